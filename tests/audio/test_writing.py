import errno
import os
import tracemalloc

import numpy as np
import pytest
import soundfile

from audiocodec.audio import BlockWriter, Resampler, blocks, read, write
from audiocodec.errors import InputError

RATE = 16000


def tone(channels=1, length=1000):
    return np.tile(0.5 * np.sin(np.arange(length) / 7), (channels, 1)).astype(np.float32)


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_U8", 8), ("PCM_16", 16), ("PCM_24", 24)])
def test_integers_come_back_exactly(tmp_path, subtype, bits):
    top = 2 ** (bits - 1)
    values = np.array([[-top, -top + 1, -3, -1, 0, 1, 2, top - 1]], np.float64) / top
    write(tmp_path / "a.wav", values.astype(np.float32), RATE, subtype)
    first, rate = read(tmp_path / "a.wav")
    assert rate == RATE
    np.testing.assert_array_equal(first, values)
    write(tmp_path / "b.wav", first, RATE, subtype)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_floats_are_kept_and_integers_clip(tmp_path):
    loud = np.array([[-3.0, 0.1, 3.0]], np.float32)
    write(tmp_path / "f.wav", loud, RATE, "FLOAT")
    np.testing.assert_array_equal(read(tmp_path / "f.wav")[0], loud)
    write(tmp_path / "i.wav", loud, RATE)
    np.testing.assert_allclose(read(tmp_path / "i.wav")[0], [[-1, 0.1, 1 - 2**-15]], atol=2**-16)
    assert soundfile.info(tmp_path / "i.wav").subtype == "PCM_16"


@pytest.mark.parametrize(
    ("name", "kind", "subtype"),
    [("a.wav", "WAV", "PCM_16"), ("a.flac", "FLAC", "PCM_16"), ("a.ogg", "OGG", "VORBIS"),
     ("a.opus", "OGG", "OPUS"), ("a.AIFF", "AIFF", "PCM_16"), ("a.w64", "W64", "PCM_16")],
)  # fmt: skip
def test_the_ending_chooses_the_format(tmp_path, name, kind, subtype):
    write(tmp_path / name, tone(2, 4000), RATE)
    found = soundfile.info(tmp_path / name)
    assert (found.format, found.subtype, found.channels) == (kind, subtype, 2)


@pytest.mark.parametrize("size", [1, 333, 1000])
def test_blocks_make_the_same_file(tmp_path, size):
    wav = tone(2)
    write(tmp_path / "whole.wav", wav, RATE)
    with BlockWriter(tmp_path / "blocks.wav", RATE, 2) as writer:
        for i in range(0, 1000, size):
            writer.write(wav[:, i : i + size])
    assert (tmp_path / "whole.wav").read_bytes() == (tmp_path / "blocks.wav").read_bytes()


def test_a_failure_leaves_nothing(tmp_path):
    def fail():
        with BlockWriter(tmp_path / "a.wav", RATE, 1) as writer:
            writer.write(tone())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_unless_asked(tmp_path):
    write(tmp_path / "a.wav", tone(), RATE)
    before = (tmp_path / "a.wav").read_bytes()
    with pytest.raises(InputError, match=r"a\.wav: exists already"):
        write(tmp_path / "a.wav", tone(2), RATE)
    assert (tmp_path / "a.wav").read_bytes() == before
    with pytest.raises(InputError, match="not finite"):
        write(tmp_path / "a.wav", tone() * np.nan, RATE, overwrite=True)
    assert (tmp_path / "a.wav").read_bytes() == before
    write(tmp_path / "a.wav", tone(2), RATE, overwrite=True)
    assert read(tmp_path / "a.wav")[0].shape == (2, 1000)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("folder.wav", "is a folder"), ("none/a.wav", "does not exist"), ("a.xyz", "unknown ending"),
     ("file/a.wav", "does not exist"), ("pipe.wav", "no regular file"), ("a", "unknown ending"),
     (f"{'x' * 300}.wav", "too long")],
)  # fmt: skip
def test_places_that_cannot_be_written(tmp_path, name, words):
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "file").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.wav")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=words) as error:
        write(tmp_path / name, tone(), RATE, overwrite=True)
    assert name in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_read_only_folder_and_a_read_only_file(tmp_path, monkeypatch):
    # Root may write anywhere, so the system's refusal is imitated.
    def refuse(self, **_):
        raise PermissionError(errno.EACCES, "Permission denied")

    write(tmp_path / "old.wav", tone(), RATE)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.touch", refuse)
        with pytest.raises(InputError, match=r"a\.wav: cannot be written \(Permission denied\)"):
            write(tmp_path / "a.wav", tone(), RATE)
    monkeypatch.setattr("audiocodec.storage.os.access", lambda *_: False)
    with pytest.raises(InputError, match="read-only"):
        write(tmp_path / "old.wav", tone(2), RATE, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["old.wav"]


def test_a_link_stays_a_link(tmp_path):
    write(tmp_path / "real.wav", tone(), RATE)
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    write(tmp_path / "link.wav", tone(2), RATE, overwrite=True)
    assert (tmp_path / "link.wav").is_symlink()
    assert read(tmp_path / "real.wav")[0].shape == (2, 1000)


def test_permissions_follow_the_umask(tmp_path):
    mask = os.umask(0o027)
    try:
        write(tmp_path / "a.wav", tone(), RATE)
    finally:
        os.umask(mask)
    assert (tmp_path / "a.wav").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"subtype": "PCM_99"}, "no subtype 'PCM_99'; use one of"), ({"sample_rate": 5}, "5 Hz")],
)
def test_bad_arguments(tmp_path, arguments, words):
    with pytest.raises(InputError, match=words):
        write(tmp_path / "a.wav", tone(), **{"sample_rate": RATE, **arguments})
    with pytest.raises(InputError, match=r"\[C, L\]"):
        write(tmp_path / "a.wav", tone()[0], RATE)
    with pytest.raises(InputError, match="0 channels"):
        BlockWriter(tmp_path / "a.wav", RATE, 0)
    with pytest.raises(InputError, match="FLAC cannot hold 9 channels"):
        write(tmp_path / "a.flac", tone(9), RATE)
    assert list(tmp_path.iterdir()) == []


def test_wav_beyond_four_gibibytes(tmp_path, monkeypatch):
    monkeypatch.setattr("audiocodec.audio.writing._MAX_WAV_BYTES", 1000)
    with pytest.raises(InputError, match="ends at 4 GiB"), BlockWriter(tmp_path / "a.wav", RATE, 1) as writer:
        writer.write(tone())
    with BlockWriter(tmp_path / "b.wav", RATE, 1, length=1000) as writer:
        writer.write(tone())
    assert soundfile.info(tmp_path / "b.wav").format == "RF64"
    assert read(tmp_path / "b.wav")[0].shape == (1, 1000)


def test_memory_does_not_grow_with_length(tmp_path):
    def peak(seconds):
        path = tmp_path / f"{seconds}.wav"
        soundfile.write(path, np.zeros(seconds * 48000, np.float32), 48000)
        tracemalloc.start()
        resampler = Resampler(48000, RATE, 1)
        with BlockWriter(path.with_suffix(".flac"), RATE, 1) as writer:
            for block in blocks(path, 48000):
                writer.write(resampler.push(block))
            writer.write(resampler.flush())
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert soundfile.info(path.with_suffix(".flac")).frames == seconds * RATE
        return used

    peak(1)
    assert peak(60) < 1.1 * peak(6)


def test_clipping_is_said(tmp_path, caplog):
    wav = np.array([[0.5, 1.25, -1.5, 1.0]], np.float32)
    write(tmp_path / "a.wav", wav, 16000)
    assert "a.wav: 2 samples beyond full scale were clipped, the largest is 1.50" in caplog.text
    caplog.clear()
    write(tmp_path / "b.wav", wav, 16000, "FLOAT")
    write(tmp_path / "c.wav", wav / 2, 16000)
    assert not caplog.messages
