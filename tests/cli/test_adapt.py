import os

import numpy as np
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


def test_what_cannot_be_used_is_named(run, incoming, tmp_path):
    folder = tmp_path / "incoming"
    (folder / "broken.wav").write_bytes(b"RIFF of nothing")
    (folder / "empty.wav").write_bytes(b"")
    soundfile.write(folder / "silent.wav", np.zeros(16000 * 8), 16000)
    (folder / "film.m4a").write_bytes(b"x")
    (folder / "dead.wav").symlink_to(tmp_path / "nothing")
    for name in ("broken.wav", "empty.wav", "silent.wav"):
        os.utime(folder / name, (1000, 1000))
    result = run("adapt", "--watch", "incoming", "--store", "books", "--clean", "quiet", "--once")
    assert result.exit_code == 0
    told = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    for name in ("broken.wav", "empty.wav", "silent.wav", "film.m4a", "dead.wav"):
        (line,) = [line for line in told if name in line]
        assert line.endswith("; left out")
    assert len(told) == 5
