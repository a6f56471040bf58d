import threading

import numpy as np
import pytest
import soundfile

from audiocodec import audio
from audiocodec.corpus.manifest import Recording
from audiocodec.errors import InputError
from audiocodec.training.data import decoding
from audiocodec.training.data.decoding import decode, decode_all, in_order, to_float32, to_int16
from audiocodec.training.data.store import SampleStore


def recording(path, part=None):
    return Recording(path.name, path, split="train", part=part)


@pytest.fixture
def files(tmp_path, voice):
    """Nine files of several rates and lengths, two of them bad."""
    found = []
    for number, rate in enumerate([16000, 44100, 8000, 16000, 22050, 48000, 16000]):
        found.append(tmp_path / f"{number}.wav")
        soundfile.write(found[-1], voice(0.2 + 0.1 * number, rate, seed=number).T, rate)
    (tmp_path / "text.wav").write_text("no sound")
    return [
        recording(path) for path in (*found[:3], tmp_path / "text.wav", *found[3:], tmp_path / "none.wav")
    ]


@pytest.mark.parametrize("long_seconds", [600.0, 0.35])
@pytest.mark.parametrize("jobs", [2, 5])
def test_any_number_of_threads_writes_the_same_cache(tmp_path, files, monkeypatch, jobs, long_seconds):
    monkeypatch.setattr(decoding, "LONG_SECONDS", long_seconds)  # some are decoded in their turn then
    serial = SampleStore(files, 16000, tmp_path / "serial", jobs=1)
    told = []
    store = SampleStore(files, 16000, tmp_path / "parallel", told.append, jobs=jobs)
    names = sorted(path.name for path in (tmp_path / "serial").iterdir())
    assert len(names) == 3
    for name in names:
        assert (tmp_path / "parallel" / name).read_bytes() == (tmp_path / "serial" / name).read_bytes()
    assert set(store.skipped) == set(serial.skipped) == {str(files[3].path), str(files[8].path)}
    assert told == [pytest.approx((n + 1) / 9) for n in range(9)]


def test_a_part_of_a_file(tmp_path, voice):
    wav = voice(3.0)
    soundfile.write(tmp_path / "a.flac", wav.T, 16000)
    whole, _ = audio.read(tmp_path / "a.flac")
    found = np.concatenate(list(decode(recording(tmp_path / "a.flac", (0.5, 2.25)), 16000)))
    np.testing.assert_array_equal(found, to_int16(whole[0, 8000:36000]))
    past = np.concatenate(list(decode(recording(tmp_path / "a.flac", (2.5, 9.0)), 16000)))
    assert len(past) == 8000
    with pytest.raises(InputError, match=r"a\.flac: seconds 4 to 5 are not in its 3"):
        list(decode(recording(tmp_path / "a.flac", (4.0, 5.0)), 16000))


def test_parts_of_one_file_have_a_cache_of_their_own(tmp_path, voice):
    soundfile.write(tmp_path / "a.wav", voice(2.0).T, 16000)
    path = tmp_path / "a.wav"
    for parts in ([(0.0, 1.0), (1.0, 1.5)], [(0.5, 1.0)], [None]):
        store = SampleStore([recording(path, part) for part in parts], 16000, tmp_path / "cache")
        assert store.lengths.tolist() == [round(16000 * (p[1] - p[0])) if p else 32000 for p in parts]


def test_few_tasks_run_ahead():
    started, lock = [], threading.Lock()

    def work(task):
        with lock:
            started.append(task)
        return task * task

    results = in_order(work, range(100), jobs=2)
    assert next(results) == 0
    assert len(started) <= 2 * decoding.AHEAD
    assert list(results) == [task * task for task in range(1, 100)]


def test_an_error_of_ours_is_no_bad_file(tmp_path):
    def broken(task):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(in_order(broken, [1, 2], jobs=2))


def test_decode_all_keeps_order(files):
    lengths = []
    for blocks in decode_all(files, 8000, jobs=3):
        try:
            lengths.append(sum(map(len, blocks)))
        except InputError:
            lengths.append(0)
    assert lengths == [1600, 2400, 3200, 0, 4000, 4800, 5600, 6400, 0]


def test_samples_as_integers():
    wav = np.array([-2.0, -1.0, -0.5, 0.0, 0.99999, 1.0, 3.0], np.float32)
    assert to_int16(wav).tolist() == [-32767, -32767, -16384, 0, 32767, 32767, 32767]
    codes = np.arange(-32767, 32768, dtype=np.int16)
    assert np.array_equal(to_int16(to_float32(codes)), codes)


def test_stereo_with_an_inverted_channel_is_not_trained_on_as_silence(tmp_path, voice):
    wav = voice(1.0)[0]
    soundfile.write(tmp_path / "a.wav", np.stack([wav, -wav], axis=1), 16000)
    with pytest.raises(InputError, match=r"a\.wav: its channels cancel each other"):
        list(decode(recording(tmp_path / "a.wav"), 16000))
