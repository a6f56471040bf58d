import io
import os
import threading

import pytest

from audiocodec.audio import as_file, find_audio, stamp
from audiocodec.errors import InputError


@pytest.fixture
def folder(tmp_path):
    for name in ("b.wav", "a.FLAC", "notes.txt", "sub/c.mp3", "sub/.hidden.wav", ".git/d.wav", "x.nac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def names(folder, paths):
    return [str(path.relative_to(folder)) for path in paths]


def test_folders_are_searched_in_order(folder):
    assert names(folder, find_audio([folder])) == ["a.FLAC", "b.wav", "sub/c.mp3"]
    assert names(folder, find_audio([folder], recursive=False)) == ["a.FLAC", "b.wav"]
    assert names(folder, find_audio([folder], suffixes=[".nac"])) == ["x.nac"]


def test_named_files_are_kept_as_given_and_once(folder):
    given = [folder / "notes.txt", folder / "none.wav", folder / "b.wav", folder]
    found = names(folder, find_audio(given))
    assert found == ["notes.txt", "none.wav", "b.wav", "a.FLAC", "sub/c.mp3"]


def test_a_folder_without_audio(folder):
    (folder / "void").mkdir()
    with pytest.raises(InputError, match=r"void: the folder has no file ending in .*\.wav"):
        find_audio([folder / "void"])


def test_files_and_missing_files_pass_through(folder):
    for name in ("b.wav", "none.wav", "sub"):
        with as_file(folder / name) as path:
            assert path == folder / name


def test_standard_input_becomes_a_file_and_goes(tmp_path):
    with as_file("-", io.BytesIO(b"sound")) as path:
        assert path.read_bytes() == b"sound"
        assert path.read_bytes() == b"sound"
    assert not path.exists()


def test_nothing_through_the_pipe():
    with pytest.raises(InputError, match="nothing came"), as_file("-", io.BytesIO(b"")):
        pass


def test_a_named_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    writer = threading.Thread(target=(tmp_path / "pipe.wav").write_bytes, args=(b"sound" * 50000,))
    writer.start()
    with as_file(tmp_path / "pipe.wav") as path:
        assert path.read_bytes() == b"sound" * 50000
        assert path.name == "pipe.wav"
    writer.join()


def test_what_is_passed_over_is_counted(folder, caplog):
    for name in ("x.m4a", "y.M4A", "sub/z.webm", ".hidden.m4a"):
        (folder / name).touch()
    (folder / "gone.wav").symlink_to(folder / "nowhere.wav")
    assert len(find_audio([folder])) == 3
    assert caplog.messages == [f"{folder}: skipped 4 (dead link 1, m4a 2, webm 1)"]
    caplog.clear()
    find_audio([folder], suffixes=[".nac"])
    assert not caplog.messages


def test_a_stamp_is_size_and_time(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(b"12345")
    os.utime(file, ns=(5, 1_000_000_007))
    assert stamp(file) == (5, 1_000_000_007)
    assert stamp(tmp_path / "gone.wav") == stamp("no\0name") == (0, 0)
