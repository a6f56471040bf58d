import os

import pytest
import soundfile

from audiocodec.adaptation.registry import Registry


@pytest.fixture
def incoming(voice, tmp_path):
    """10 s of speech that arrived long ago, and clean speech."""
    (tmp_path / "incoming").mkdir()
    (tmp_path / "quiet").mkdir()
    for folder in ("incoming", "quiet"):
        soundfile.write(tmp_path / folder / "a.wav", voice(10.0)[0], 16000)
    os.utime(tmp_path / "incoming" / "a.wav", (1000, 1000))


def test_once_says_what_it_found_and_takes_in_the_models_own_codebooks(run, rows, incoming):
    arguments = ("adapt", "--watch", "incoming", "--store", "books", "--clean", "quiet", "--once", "--json")
    (found,) = rows(run(*arguments))
    assert found == {"state": "waiting", "text": "10 s of sound, 96 s are needed"}
    assert [event.kind for event in Registry("books").log()] == ["baseline"]


def test_a_dry_run_makes_no_store_and_a_missing_folder_is_an_error(run, incoming, tmp_path):
    arguments = ("--store", "books", "--clean", "quiet", "--once", "--dry-run")
    assert run("adapt", "--watch", "incoming", *arguments).exit_code == 0
    assert not (tmp_path / "books").exists()
    result = run("adapt", "--watch", "nowhere", *arguments)
    assert result.exit_code == 1
    assert "nowhere: no such folder" in result.stderr
