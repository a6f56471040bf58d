"""Models of checkpoints: the same bytes as the trainer writes, from the file alone."""

import json
import shutil
from dataclasses import replace

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from audiocodec.checkpoint import load_model
from audiocodec.errors import CheckpointError, ConfigError, InputError
from audiocodec.training.checkpoints import choose_checkpoint
from audiocodec.training.exporting import check_target, export_checkpoint
from audiocodec.training.folder import write_config
from audiocodec.training.loop import Trainer


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rewrite(path, change=lambda tensors: None, **metadata):
    """The same checkpoint with other tensors or other things said of it; None takes one out."""
    with safe_open(path, framework="pt") as file:
        about = file.metadata() | metadata
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {name: text for name, text in about.items() if text is not None})


@pytest.mark.parametrize("method", ["ema", "simvq"])
def test_the_model_is_that_of_the_trainer(recipe, tmp_path, method):
    """After ten steps, at which the average moves; simvq computes its codebooks from weights."""
    quantizer = replace(recipe.model.quantizer, method=method)
    trainer = Trainer(replace(recipe, model=replace(recipe.model, quantizer=quantizer)), tmp_path / "run")
    for _ in range(11):
        trainer.step()
    trainer.export()
    path = trainer.save()
    alone = tmp_path / "elsewhere.safetensors"
    shutil.copy(path, alone)
    assert export_checkpoint(alone, tmp_path / "model") == (trainer.config, 11)
    assert files(tmp_path / "model") == files(tmp_path / "run" / "model")


def test_what_it_started_from_need_not_be_there(recipe, tmp_path, trainer):
    trainer.export()
    second = Trainer(replace(recipe, start=str(tmp_path / "run" / "model")), tmp_path / "second")
    second.imitates = ("stoi",)
    path = second.save()
    shutil.rmtree(tmp_path / "run")
    export_checkpoint(path, tmp_path / "model")
    assert load_model(tmp_path / "model")[2]["imitates"] == "stoi"


def test_half_precision(trainer, tmp_path):
    path = trainer.save()
    for half in (False, True):
        export_checkpoint(path, tmp_path / str(half), half)
    sizes = [len(files(tmp_path / name)["model.safetensors"]) for name in ("True", "False")]
    assert sizes[0] < 0.7 * sizes[1]


def test_an_older_checkpoint_has_its_recipe_beside_it(trainer, tmp_path):
    path = trainer.save()
    export_checkpoint(path, tmp_path / "new")
    rewrite(path, recipe=None, imitates=None)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        export_checkpoint(path, tmp_path / "old")
    write_config(trainer.folder, trainer.config, 0)
    export_checkpoint(path, tmp_path / "old")
    assert files(tmp_path / "old") == files(tmp_path / "new")


def test_which_checkpoint(trainer, tmp_path):
    with pytest.raises(InputError, match="has no checkpoint; give a run folder"):
        choose_checkpoint(trainer.folder)
    paths = []
    for step, score in enumerate((None, 2.0, 1.0), 1):
        if step == 2:
            with pytest.raises(InputError, match="no checkpoint that a validation scored; leave out --best"):
                choose_checkpoint(trainer.folder, best=True)
        trainer.step_number = step
        paths.append(trainer.save(score))
    assert choose_checkpoint(trainer.folder) == paths[2]
    assert choose_checkpoint(trainer.folder, best=True) == paths[1]
    assert choose_checkpoint(paths[1]) == paths[1]


def recipe_with(trainer, **model):
    from audiocodec.config import to_mapping

    mapping = to_mapping(trainer.config)
    return json.dumps(mapping | {"model": mapping["model"] | model})


def test_what_cannot_be_exported(trainer, tmp_path):
    path = trainer.save()
    whole = path.read_bytes()
    net, weight = (
        {"kind": "spectral", "dim": 16, "encoder_blocks": 1 << 30},
        "average/encoder.project_in.weight",
    )
    cases = [
        (lambda: path.write_bytes(whole[: len(whole) // 2]), "damaged"),
        (lambda: path.write_text("name: tiny"), "damaged"),
        (lambda: rewrite(path, step=None), "no checkpoint of a training"),
        (lambda: rewrite(path, step="x"), "damaged"),
        (lambda: rewrite(path, recipe="[" * 100_000), "cannot be understood"),
        (lambda: rewrite(path, recipe="{}"), "cannot be understood"),
        (lambda: rewrite(path, recipe=" " * (1 << 21)), "larger than"),
        (lambda: rewrite(path, recipe=recipe_with(trainer, net=net)), "encoder_blocks = 1073741824"),
        (lambda: rewrite(path, recipe=recipe_with(trainer, unknown=1)), r"model\.unknown"),
        (lambda: rewrite(path, recipe=recipe_with(trainer, net={"kind": "spectral"})), "do not fit"),
        (lambda: rewrite(path, lambda t: t.pop(weight)), "missing in the file"),
        (lambda: rewrite(path, lambda t: t[weight].fill_(float("nan"))), "finite"),
    ]  # fmt: skip
    for change, message in cases:
        path.write_bytes(whole)
        change()
        with pytest.raises(CheckpointError, match=message):
            export_checkpoint(path, tmp_path / "model")
        assert not (tmp_path / "model").exists()


def test_where_a_model_may_go(trainer, tmp_path):
    check_target(tmp_path / "new", force=False)
    trainer.save()
    with pytest.raises(InputError, match="holds a run"):
        check_target(trainer.folder, force=True)
    trainer.export()
    with pytest.raises(InputError, match=r"has model\.safetensors already.*--force"):
        check_target(trainer.folder / "model", force=False)
    check_target(trainer.folder / "model", force=True)


def test_a_checkpoint_that_is_taken_for_a_model_says_how_to_make_one(trainer):
    with pytest.raises(
        CheckpointError, match="no audiocodec model; make one of this checkpoint: audiocodec export"
    ):
        load_model(trainer.save())
