"""Who may start in a run folder, and which changes of a recipe a resumed run may have."""

import dataclasses
from dataclasses import replace

import pytest

from audiocodec.config import dump_yaml
from audiocodec.errors import ConfigError, InputError
from audiocodec.training.checkpoints import processes_of
from audiocodec.training.config import TrainConfig
from audiocodec.training.data.config import DataConfig
from audiocodec.training.folder import (
    HARMLESS,
    check_changes,
    check_free,
    checkpoints,
    clear,
    find_changes,
    write_config,
)
from audiocodec.training.loop import Trainer


@pytest.fixture
def run(tmp_path):
    """A folder after a run, and things in it that are not the run's."""
    for name in (
        "config.yaml",
        "config-000000003.yaml",
        "log.jsonl",
        "checkpoint-000000007.safetensors",
        ".checkpoint-000000008.safetensors.0123456789ab.part",
    ):
        (tmp_path / name).write_text("x")
    for name in ("model", "model-best", "tensorboard", "cache"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "checkpoint-best.safetensors").write_text("mine")
    return tmp_path


def test_an_empty_or_missing_folder_is_free(tmp_path):
    check_free(tmp_path, resume=False, force=False)
    check_free(tmp_path / "new", resume=False, force=False)


def test_a_run_is_neither_mixed_nor_overwritten_unasked(run):
    with pytest.raises(InputError, match=r"--resume.*--force.*--output"):
        check_free(run, resume=False, force=False)
    check_free(run, resume=True, force=False)
    check_free(run, resume=False, force=True)


def test_clear_deletes_the_run_and_nothing_else(run):
    clear(run)
    assert sorted(path.name for path in run.iterdir()) == [
        "cache",
        "checkpoint-best.safetensors",
        "notes.txt",
    ]


def test_force_does_not_take_a_folder_that_is_no_run(tmp_path):
    (tmp_path / "model").mkdir()
    for resume, force in ((False, True), (True, False)):
        with pytest.raises(InputError, match="has model but no run"):
            check_free(tmp_path, resume=resume, force=force)


def test_nothing_is_resumed_into_the_folder_of_a_model(tmp_path):
    """Its config.yaml would be replaced by that of the run."""
    (tmp_path / "config.yaml").write_text("x")
    (tmp_path / "model.safetensors").write_text("x")
    with pytest.raises(InputError, match=r"has config\.yaml but no run"):
        check_free(tmp_path, resume=True, force=False)


def test_a_run_without_its_log_goes_on(tmp_path):
    (tmp_path / "checkpoint-000000007.safetensors").write_text("x")
    check_free(tmp_path, resume=True, force=False)


def test_checkpoints_are_in_order_and_whole(tmp_path):
    for name in (
        "000000010.safetensors",
        "000000009.safetensors",
        "1000000000.safetensors",
        "000000011.partial",
    ):
        (tmp_path / f"checkpoint-{name}").write_text("x")
    (tmp_path / "checkpoint-best.safetensors").write_text("x")
    assert [path.stem[11:] for path in checkpoints(tmp_path)] == ["000000009", "000000010", "1000000000"]


def told(folder, config, processes=1):
    return [str(change) for change in find_changes(folder, config, processes)]


def test_keys_are_told_one_by_one(recipe, tmp_path):
    write_config(tmp_path, recipe, 0)
    assert told(tmp_path, recipe) == []
    other = replace(recipe, steps=99, optim=replace(recipe.optim, betas=(0.5, 0.9)))
    assert told(tmp_path, other) == ["optim.betas: [0.8, 0.99] -> [0.5, 0.9]", "steps: 12 -> 99"]
    weights = {"mel": 4.0, "spectrum": 100.0}
    other = replace(recipe, loss=replace(recipe.loss, weights=weights))
    assert told(tmp_path, other) == ["loss.weights.commitment: 0.5 -> nothing"]


def test_harmless_are_a_few(recipe, tmp_path):
    write_config(tmp_path, recipe, 0)
    data = replace(recipe.data, workers=3, prefetch=0, cache="", on_device="never")
    other = replace(recipe, data=data, name="other", steps=5, log_every=1, validate_every=1, keep_best=0,
                    checkpoint_minutes=9.0, compile=True)  # fmt: skip
    found = check_changes(tmp_path, other, 1, force=False)
    assert {change.key for change in found} == HARMLESS
    with pytest.raises(InputError, match=r"another experiment: seed: 0 -> 1\..*--force-config"):
        check_changes(tmp_path, replace(other, seed=1), 1, force=False)
    assert len(check_changes(tmp_path, replace(other, seed=1), 1, force=True)) == len(HARMLESS) + 1


def test_harmless_keys_are_keys():
    keys = {field.name for field in dataclasses.fields(TrainConfig)}
    keys |= {f"data.{field.name}" for field in dataclasses.fields(DataConfig)}
    assert keys >= HARMLESS


def test_the_number_of_processes_stands_in_the_checkpoint(recipe, tmp_path):
    trainer = Trainer(recipe, tmp_path)
    trainer.step()
    trainer.processes = replace(trainer.processes, world_size=3)
    write_config(tmp_path, recipe, 0)
    path = trainer.save()
    assert processes_of(path) == 3
    assert told(tmp_path, recipe, 3) == []
    assert told(tmp_path, recipe, 2) == ["processes: 3 -> 2"]
    with pytest.raises(InputError, match="processes: 3 -> 2"):
        check_changes(tmp_path, recipe, 2, force=False)
    path.write_bytes(b"damaged, which is said when it is read")
    assert told(tmp_path, recipe, 2) == []


def test_a_recipe_that_is_gone_or_of_another_version(recipe, tmp_path):
    with pytest.raises(ConfigError, match=r"config\.yaml: cannot be read \(No such file.*--force-config"):
        check_changes(tmp_path, recipe, 1, force=False)
    (tmp_path / "config.yaml").write_text("name: old\nno_longer: 3\n")
    with pytest.raises(ConfigError, match=r"no_longer.*--force-config"):
        check_changes(tmp_path, recipe, 1, force=False)
    assert check_changes(tmp_path, recipe, 1, force=True) == []


def test_the_recipe_of_every_stretch_is_kept(recipe, tmp_path):
    write_config(tmp_path, recipe, 0)
    write_config(tmp_path, recipe, 5)
    second, third = replace(recipe, seed=1), replace(recipe, seed=2)
    write_config(tmp_path, second, 7)
    write_config(tmp_path, third, 7)
    write_config(tmp_path, recipe, 9)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {
        "config-000000007.yaml": dump_yaml(recipe),
        "config-000000009.yaml": dump_yaml(third),
        "config.yaml": dump_yaml(recipe),
    }


def test_a_run_that_goes_on_keeps_them_by_itself(recipe, tmp_path):
    Trainer(replace(recipe, steps=2), tmp_path).fit()
    again = Trainer(replace(recipe, steps=3), tmp_path)
    assert again.resume()
    again.fit()
    assert "steps: 2" in (tmp_path / "config-000000002.yaml").read_text()
    assert "steps: 3" in (tmp_path / "config.yaml").read_text()
