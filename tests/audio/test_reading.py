import os
import struct

import numpy as np
import pytest
import soundfile

from audiocodec.audio import blocks, info, read
from audiocodec.audio.contents import look
from audiocodec.errors import InputError, SampleRateError

RATE = 16000


@pytest.fixture
def wav():
    return (np.random.default_rng(0).standard_normal((2, 5000)) * 0.1).astype(np.float32)


@pytest.fixture
def path(tmp_path, wav):
    soundfile.write(tmp_path / "a.wav", wav.T, RATE, subtype="FLOAT")
    return tmp_path / "a.wav"


def consume(path, length=1000):
    return list(blocks(path, length))


def test_info(path):
    found = info(path)
    assert (found.sample_rate, found.channels, found.length) == (RATE, 2, 5000)
    assert (found.subtype, found.format) == ("FLOAT", "WAV")
    assert found.seconds == 5000 / RATE


def test_read_whole_and_part(path, wav):
    samples, rate = read(path)
    assert rate == RATE
    assert samples.dtype == np.float32
    assert samples.flags.c_contiguous
    np.testing.assert_array_equal(samples, wav)
    np.testing.assert_array_equal(read(path, 100, 50)[0], wav[:, 100:150])
    np.testing.assert_array_equal(read(path, 4999)[0], wav[:, 4999:])


@pytest.mark.parametrize(("start", "length"), [(5000, None), (-1, None), (0, 5001), (10, 0), (10, -5)])
def test_parts_outside_the_file(path, start, length):
    with pytest.raises(InputError, match="the file has 0 to 5000"):
        read(path, start, length)


@pytest.mark.parametrize("length", [1, 7, 1000, 5000, 10**9])
def test_blocks_cover_the_file_once(path, wav, length):
    parts = consume(path, length)
    assert max(part.shape[1] for part in parts) <= length
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), wav)


def test_blocks_of_a_part(path, wav, monkeypatch):
    """The file is walked once, not once a block: some files are searched from their start."""
    opened = []
    monkeypatch.setattr("audiocodec.audio.reading.look", lambda path: opened.append(path) or look(path))
    parts = list(blocks(path, 100, 300, 4000))
    assert len(parts) == 40
    assert len(opened) == 1  # to look at it, not again to read it
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), wav[:, 300:4300])
    with pytest.raises(InputError, match="the file has 0 to 5000"):
        list(blocks(path, 100, 300, 4701))


def test_blocks_checks_its_length(path):
    with pytest.raises(InputError, match="not positive"):
        blocks(path, 0)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_U8", "FLOAT", "DOUBLE"])
def test_rates_and_depths(tmp_path, rate, subtype):
    tone = 0.5 * np.sin(np.arange(800) / 10)
    soundfile.write(tmp_path / "a.wav", tone, rate, subtype=subtype)
    samples, found = read(tmp_path / "a.wav")
    assert found == rate
    assert np.abs(samples[0] - tone).max() < 2**-6


def test_eight_channels_and_one_sample(tmp_path):
    soundfile.write(tmp_path / "8.wav", np.eye(8) * 0.5, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(read(tmp_path / "8.wav")[0], np.eye(8) * 0.5)
    soundfile.write(tmp_path / "1.wav", [0.25], RATE)
    np.testing.assert_array_equal(read(tmp_path / "1.wav")[0], [[0.25]])


@pytest.mark.parametrize("use", [info, read, consume])
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.wav", b"this is no sound" * 20, "not a sound file"),
        ("cut.wav", b"RIFF\x00\x00\x00\x00WAVE", "not a sound file"),
        ("empty.wav", b"", "0 bytes"),
        ("headerless.raw", b"\x00\x01" * 100, "not a sound file"),
    ],
)
def test_other_files(tmp_path, use, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as error:
        use(tmp_path / name)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("use", [info, read, consume])
def test_missing_file_folder_and_pipe(tmp_path, use):
    with pytest.raises(InputError, match=r"none\.wav: no such file"):
        use(tmp_path / "none.wav")
    with pytest.raises(InputError, match="no such file"):
        use(tmp_path / ("x" * 300))
    with pytest.raises(InputError, match="is a folder"):
        use(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no regular file"):
        use(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(path):
    path.chmod(0)
    with pytest.raises(InputError, match="permissions"):
        info(path)


@pytest.mark.parametrize("use", [info, read, consume])
def test_no_samples(tmp_path, use):
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 1)), RATE)
    with pytest.raises(InputError, match=r"a\.wav: contains no samples"):
        use(tmp_path / "a.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf, 30000.0])
@pytest.mark.parametrize("use", [read, consume])
def test_bad_samples_name_file_and_place(tmp_path, use, value):
    wav = np.zeros(RATE * 2)
    wav[RATE + 8000] = value
    soundfile.write(tmp_path / "a.wav", wav, RATE, subtype="FLOAT")
    with pytest.raises(InputError, match=r"a\.wav: .* 1\.500 s"):
        use(tmp_path / "a.wav")


def test_rate_and_channels_out_of_range(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 4000)
    with pytest.raises(SampleRateError, match=r"a\.wav: sample rate 4000"):
        info(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.zeros((10, 65)), RATE)
    with pytest.raises(InputError, match=r"b\.wav: 65 channels, at most 64"):
        info(tmp_path / "b.wav")


def test_a_cut_flac_is_an_error_not_silence(tmp_path, wav):
    soundfile.write(tmp_path / "a.flac", np.tile(wav, 10).T, RATE)
    content = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"a\.flac: damaged between 1\.\d+ and 1\.\d+ s of 3\.125 s"):
        consume(tmp_path / "a.flac")


def test_a_wav_streamed_by_another_program_has_no_length_in_its_header(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(100, 0.5), RATE)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[4:8] = content[40:44] = struct.pack("<I", 0xFFFFFFFF)
    (tmp_path / "a.wav").write_bytes(content)
    np.testing.assert_array_equal(read(tmp_path / "a.wav")[0], np.full((1, 100), 0.5))
