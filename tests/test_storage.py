import ast
import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from audiocodec.errors import InputError
from audiocodec.storage import Journal, hidden_beside, make_output_folder, new_file, plain, replacing

PACKAGE = Path(__file__).parents[1] / "audiocodec"


def test_a_file_that_appears_meanwhile_is_kept(tmp_path):
    def race():
        with new_file(tmp_path / "a.nac") as temporary:
            temporary.write_bytes(b"ours")
            (tmp_path / "a.nac").write_bytes(b"theirs")

    with pytest.raises(InputError, match="exists already"):
        race()
    assert (tmp_path / "a.nac").read_bytes() == b"theirs"


def test_a_full_disk_is_named(tmp_path):
    def fill():
        with new_file(tmp_path / "a.nac"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match=r"a\.nac: .*No space left"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_content_is_on_the_disk_before_it_has_its_name_and_the_name_after(tmp_path, monkeypatch):
    steps = []
    monkeypatch.setattr(
        "os.fsync", lambda descriptor: steps.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    )
    rename = os.replace
    monkeypatch.setattr("os.replace", lambda old, new: (steps.append(str(new)), rename(old, new)))
    with replacing(tmp_path / "a") as part:
        part.write_bytes(b"content")
    assert steps == [str(part), str(tmp_path / "a"), str(tmp_path)]


def test_a_file_system_without_sync_will_do_and_a_broken_disk_will_not(tmp_path, monkeypatch):
    def fail(number):
        def fsync(descriptor):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("os.fsync", fsync)
        with replacing(tmp_path / "a") as part:
            part.write_bytes(b"content")

    fail(errno.EINVAL)
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OSError, match="Input/output"):
        fail(errno.EIO)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_a_signal_as_soon_as_the_hidden_file_is_there_leaves_nothing(tmp_path, monkeypatch):
    """The handler runs when `touch` comes back."""
    touch = Path.touch

    def touch_and_stop(self, **options):
        touch(self, **options)
        raise SystemExit(143)

    monkeypatch.setattr(Path, "touch", touch_and_stop)
    with pytest.raises(SystemExit), replacing(tmp_path / "a"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["é" * 127, "漢" * 85, "\N{GRINNING FACE}" * 63, "a" * 255, os.fsdecode(b"\xff" * 255), "-", " ", "\n"],
    ids=lambda name: ascii(name[:1]),
)
def test_every_name_that_the_system_takes(tmp_path, name):
    """The hidden name is cut in bytes, between characters."""
    with new_file(tmp_path / name) as part:
        part.write_bytes(b"content")
        assert len(os.fsencode(part.name)) <= 255
    assert [path.name for path in tmp_path.iterdir()] == [name]
    hidden_beside(Path(name)).name.encode()


def renames(tree):
    """`os.replace(a, b)` and its like, and `path.replace(b)`; that of a text has two arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            module = getattr(node.func.value, "id", None)
            if (
                module in ("os", "shutil") and node.func.attr in ("replace", "rename", "renames", "move")
            ) or (node.func.attr in ("replace", "rename") and len(node.args) == 1 and not node.keywords):
                yield node.lineno


def test_nothing_else_gives_files_their_names():
    """A file renamed without fsync may be empty after a power cut; the others sync it themselves."""
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(renames(ast.parse(path.read_text())))
    }
    assert found == {"storage.py", "adaptation/registry/audit.py", "effects/rooms.py"}


def test_a_journal_gives_back_what_was_appended(tmp_path):
    path = tmp_path / "j.jsonl"
    assert Journal(path, int).entries == []
    Journal(path, int).append(1)
    journal = Journal(path, int)
    journal.append("2")
    assert (journal.entries, Journal(path, int).entries) == ([1], [1, 2])


@pytest.mark.parametrize(
    "damage", [b'{"a"', b"[1, 2", b"[" * 100_000, b" " * (2 << 20), b"Infinity", b"null", b'"x"']
)
def test_a_damaged_line_of_a_journal_is_named_and_costs_no_other(tmp_path, caplog, damage):
    path = tmp_path / "j.jsonl"
    for end in (b"", b"\n"):
        caplog.clear()
        path.write_bytes(b"1\n\n" + damage + end)
        journal = Journal(path, int)
        journal.append(3)
        assert Journal(path, int).entries == [1, 3]
        assert "j.jsonl, line 3: left out" in caplog.text


def test_a_journal_that_cannot_be_used_is_said(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        Journal(tmp_path, int)
    with pytest.raises(InputError, match="cannot be written"):
        Journal(tmp_path / "none" / "j.jsonl", int).append(1)


def test_values_become_strict_json():
    value = {"a": [float("nan"), np.float64("inf"), np.int64(3), (1.5, None)], 4: {"b": True}}
    assert plain(value) == {"a": [None, None, 3, [1.5, None]], "4": {"b": True}}
    assert json.loads(json.dumps(plain(np.float32(0.5)), allow_nan=False)) == 0.5


def test_a_folder_for_output_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="choose another folder with -o"):
        make_output_folder(tmp_path / "file" / "run")
