"""`audiocodec export`: from a run, or one of its checkpoints, to a model that encodes."""

import pytest

from audiocodec.checkpoint import load_model


@pytest.fixture
def trained(place, run):
    """A run of four steps and two validations."""
    short = ["steps=4", "validate_every=2"]
    assert run("train", "tiny.yaml", "-o", "run", *short, "-q").exit_code == 0
    return place / "run"


def test_a_run_and_a_checkpoint(trained, run, rows, speech):
    (newest,) = sorted(trained.glob("checkpoint-*"))[-1:]
    result = run("export", "run", "-o", "new")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"new: tiny, step 4, from run/{newest.name}\n"
    assert load_model("new")[2]["steps"] == "4"
    assert run("encode", speech, "--model", "new").exit_code == 0
    assert rows(run("export", newest, "-o", "again", "--json")) == [
        {"model": "again", "name": "tiny", "step": 4, "checkpoint": str(newest)}
    ]
    for name in ("model.safetensors", "config.yaml"):
        assert (trained.parent / "again" / name).read_bytes() == (trained / "model" / name).read_bytes()


def test_the_best(trained, run, rows):
    (told,) = rows(run("export", "run", "--best", "-o", "best", "--json"))
    for name in ("model.safetensors", "config.yaml"):
        assert (trained.parent / "best" / name).read_bytes() == (trained / "model-best" / name).read_bytes()
    assert load_model("best")[2]["steps"] == str(told["step"])


def test_nothing_is_replaced_unasked(trained, run):
    assert run("export", "run", "-o", "new", "-q").stdout == ""
    before = (trained.parent / "new" / "model.safetensors").stat().st_mtime_ns
    result = run("export", "run", "-o", "new")
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert (trained.parent / "new" / "model.safetensors").stat().st_mtime_ns == before
    assert run("export", "run", "-o", "new", "--force").exit_code == 0
    recipe = (trained / "config.yaml").read_bytes()
    assert "holds a run" in run("export", "run", "-o", "run", "--force").stderr
    assert (trained / "config.yaml").read_bytes() == recipe


def test_mistakes(tmp_path, run, tiny_folder):
    (tmp_path / "file.txt").write_text("no checkpoint")
    (tmp_path / "empty").mkdir()
    for arguments, status, words in (
        (["gone", "-o", "new"], 1, "gone: no such"),
        (["empty", "-o", "new"], 1, "empty: has no checkpoint"),
        (["file.txt", "-o", "new"], 1, "damaged"),
        ([tiny_folder / "model.safetensors", "-o", "new"], 1, "no checkpoint of a training"),
        (["file.txt", "--best", "-o", "new"], 2, "--best"),
        (["empty"], 2, "--output"),
    ):
        result = run("export", *arguments)
        assert result.exit_code == status
        assert words in result.stderr
        assert not (tmp_path / "new").exists()
