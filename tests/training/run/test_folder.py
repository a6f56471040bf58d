import pytest

from audiocodec.errors import InputError
from audiocodec.training.run.folder import check_free, checkpoints, clear, make_folder


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


def test_a_file_is_in_the_way(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="choose another folder"):
        make_folder(tmp_path / "file" / "run")
