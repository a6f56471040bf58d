import io
import os
from datetime import UTC

import pytest

from audiocodec.errors import InputError, RegistryError
from audiocodec.outside import lines, parse_json, parse_time, read_bytes


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bytes(tmp_path / "a", 5) == b"12345"
    with pytest.raises(RegistryError, match="a: 5 bytes, at most 4 are read"):
        read_bytes(tmp_path / "a", 4, RegistryError)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nothing")
    for name, words in (
        ("pipe", "no regular file"),
        ("/dev/zero", "no regular file"),
        ("", "a folder"),
        ("none", "No such file"),
        ("link", "No such file"),
        ("\0", "cannot be read"),
        ("x" * 300, "cannot be read"),
    ):
        with pytest.raises(InputError, match=words):
            read_bytes(tmp_path / name, 100)


@pytest.mark.parametrize(
    "text", ["Infinity", "-Infinity", "NaN", "1e400", "9" * 301, "9" * 9999, "[" * 100_000, "", b"\xff", "{"]
)
def test_json_without_what_cannot_be_computed_with(text):
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_a_file_that_grows_or_is_replaced_meanwhile_is_read_as_it_was_opened(tmp_path, monkeypatch):
    """Logs are read while others append to them."""
    path, fstat, found = tmp_path / "log", os.fstat, os.stat

    def grow(descriptor):
        size = fstat(descriptor)
        with path.open("ab") as file:
            file.write(b"more")
        return size

    def replace(name):
        before = found(name)
        path.unlink()
        path.write_bytes(b"another")
        return before

    path.write_bytes(b"old")
    monkeypatch.setattr("audiocodec.outside.os.fstat", grow)
    assert read_bytes(path, 100) == b"old"
    monkeypatch.undo()
    monkeypatch.setattr("audiocodec.outside.os.stat", replace)
    assert read_bytes(path, 100) == b"another"


def test_json_otherwise_as_ever():
    text = '{"a": [1, -2.5, 1e300, 123456789012345678901234567890], "b": null}'
    assert parse_json(text) == {"a": [1, -2.5, 1e300, 123456789012345678901234567890], "b": None}
    assert parse_json("[Infinity, 1e400]", finite=False) == [float("inf")] * 2


def test_lines_that_are_too_long_are_passed_over():
    data = b"ab\nabcd\nabcde\n\n" + b"x" * 100 + b"\nend"
    assert list(lines(io.BytesIO(data), 4)) == [b"ab\n", b"abcd\n", None, b"\n", None, b"end"]
    assert list(lines(io.BytesIO(b"x" * 5), 4)) == [None]
    assert list(lines(io.BytesIO(b""), 4)) == []


def test_times_say_where():
    assert parse_time("2026-11-21T10:00:00.000Z").tzinfo == UTC
    for text in ("yesterday", "2026-11-21T10:00:00", "", "0000-00-00T00:00:00Z"):
        with pytest.raises(ValueError, match=r"."):
            parse_time(text)
