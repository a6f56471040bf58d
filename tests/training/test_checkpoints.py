"""Checkpoints: partial files are ignored, damaged ones named, old ones go, a full disk costs nothing."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from audiocodec.errors import CheckpointError
from audiocodec.training import checkpoints as checkpoint_files
from audiocodec.training.checkpoints import checkpoints, newest_checkpoint
from audiocodec.training.loop import Trainer


def test_keeps_the_newest_two(trainer):
    for step in (1, 2, 3):
        trainer.step_number = step
        trainer.save()
    names = sorted(path.name for path in trainer.folder.glob("*.safetensors"))
    assert names == ["checkpoint-000000002.safetensors", "checkpoint-000000003.safetensors"]
    assert newest_checkpoint(trainer.folder).name == names[-1]


def test_the_format_of_names(trainer):
    """Runs of months depend on these names; changing one needs a way to read the old ones."""
    tensors = load_file(trainer.save())
    assert {name.split("/")[0] for name in tensors} == {"parameter", "buffer", "average", "optimizer"}
    assert {
        "parameter/encoder.project_in.weight",
        "buffer/encoder.scale.mean_square",
        "buffer/quantizer.stages.0.codebook",
        "average/decoder.project_out.bias",
        "optimizer/0/exp_avg",
        "optimizer/0/exp_avg_sq",
        "optimizer/0/step",
    } <= set(tensors)


def test_a_file_that_was_never_finished_is_ignored(trainer):
    path = trainer.save()
    part = path.with_name(".checkpoint-000000009.safetensors.0123456789ab.part")
    part.write_bytes(path.read_bytes()[:1000])
    assert newest_checkpoint(trainer.folder) == path


@pytest.mark.parametrize("damage", ["cut", "empty", "noise"])
def test_a_damaged_checkpoint_names_the_one_before(trainer, damage):
    older = trainer.save()
    trainer.step()
    newer = trainer.save()
    whole = newer.read_bytes()
    newer.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "noise": b"\xff" * 1000}[damage])
    with pytest.raises(CheckpointError) as caught:
        trainer.resume()
    assert str(newer) in str(caught.value)
    assert f"delete it to resume from {older.name}" in str(caught.value)
    newer.unlink()
    assert trainer.resume()
    assert trainer.step_number == 1
    older.write_bytes(b"")
    with pytest.raises(CheckpointError, match="no older one"):
        trainer.resume()


def test_a_full_disk_leaves_the_last_checkpoint(trainer, monkeypatch):
    path = trainer.save()

    def full(tensors, file, metadata):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_files, "save_file", full)
    trainer.step_number = 2
    with pytest.raises(CheckpointError, match=r"No space left.*earlier checkpoints are whole"):
        trainer.save()
    assert [file.name for file in trainer.folder.glob("checkpoint-*")] == [path.name]
    trainer.load(path)
    assert trainer.step_number == 1


def test_a_file_that_the_system_does_not_let_grow_leaves_the_last_checkpoint(trainer):
    """As a full disk or a quota, from the system itself."""
    resource = pytest.importorskip("resource")
    path = trainer.save()
    before, (soft, hard) = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    trainer.step()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(CheckpointError, match="earlier checkpoints are whole"):
            trainer.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [file.read_bytes() for file in trainer.folder.glob("checkpoint-*")] == [before]
    assert trainer.resume()


def test_other_frozen_parts(trainer, recipe):
    trainer.save()
    other = Trainer(replace(recipe, frozen=("encoder",)), trainer.folder)
    with pytest.raises(CheckpointError, match="same `frozen`"):
        other.resume()


def test_a_tensor_that_only_fits_by_repeating_is_refused(trainer, recipe):
    """A mean square of shape [1] would silently spread over any shape."""
    path = trainer.save()
    with torch.no_grad():
        trainer.model.encoder.scale.mean_square = torch.ones(2)
    with pytest.raises(CheckpointError, match=r"encoder\.scale\.mean_square"):
        trainer.load(path)


def test_the_best_stay_beside_the_newest(trainer):
    trainer.config = replace(trainer.config, keep_best=2)
    for step, score in enumerate([None, 2.0, 1.0, 2.5, None, 1.5, None, None], 1):
        trainer.step_number = step
        trainer.save(score)
    assert [path.name[11:20].lstrip("0") for path in checkpoints(trainer.folder)] == ["2", "4", "7", "8"]
    trainer.step_number = 8
    trainer.save(3.0)
    trainer.save()  # once more at the end of a run: the score stays
    trainer.step_number = 9
    trainer.save()
    trainer.step_number = 10
    trainer.save()
    assert [path.name[11:20].lstrip("0") for path in checkpoints(trainer.folder)] == ["4", "8", "9", "10"]


def test_keeping_no_best(trainer):
    trainer.config = replace(trainer.config, keep_best=0)
    for step in (1, 2, 3):
        trainer.step_number = step
        trainer.save(3.0 - step)
    assert len(checkpoints(trainer.folder)) == 2


def test_only_the_first_process_writes(trainer):
    trainer.processes = replace(trainer.processes, rank=1)
    assert trainer.save() is None
    assert checkpoints(trainer.folder) == []
