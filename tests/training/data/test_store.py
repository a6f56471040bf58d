import json
import logging

import numpy as np
import pytest
import soundfile

from audiocodec import audio
from audiocodec.corpus.manifest import Recording
from audiocodec.errors import InputError
from audiocodec.training.data import store as module
from audiocodec.training.data.store import SampleStore, decode, decode_all, to_float32, to_int16


def recording(path, part=None, source=""):
    return Recording(path.name, path, split="train", source=source, part=part)


@pytest.fixture
def wavs(tmp_path, voice):
    """16 kHz mono, 44.1 kHz stereo, and one of a tenth of a second."""
    soundfile.write(tmp_path / "mono.wav", voice(1.0, seed=1).T, 16000)
    soundfile.write(tmp_path / "stereo.wav", voice(0.7, 44100, channels=2, seed=2).T, 44100)
    soundfile.write(tmp_path / "short.wav", voice(0.1, seed=3).T, 16000)
    return [recording(tmp_path / f"{name}.wav", source=name) for name in ("mono", "stereo", "short")]


def test_holds_what_the_files_hold(tmp_path, wavs, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_LENGTH", 1000)  # many blocks, so that their joints are tested
    store = SampleStore(wavs, 16000, tmp_path / "cache")
    assert store.lengths.tolist() == [16000, -(-30870 * 16000 // 44100), 1600]
    for index, item in enumerate(wavs):
        wav, rate = audio.read(item.path)
        mono = audio.resample(wav.mean(axis=0, keepdims=True), rate, 16000)[0]
        found = store.segment(index, 0, len(mono))
        assert np.abs(found - mono).max() <= 0.5 / 32767 + 1e-6
    assert store.sources == ["mono", "stereo", "short"]
    assert store.skipped == {}


def test_is_the_same_file_as_numpy_would_write(tmp_path, wavs):
    store = SampleStore(wavs, 16000, tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("*.samples.npy")
    assert np.load(path).dtype == np.int16
    np.save(tmp_path / "again.npy", np.array(store.samples))
    assert np.array_equal(np.load(tmp_path / "again.npy"), store.samples)
    assert isinstance(store.samples, np.memmap)


def test_segments_at_the_edges(tmp_path, wavs):
    store = SampleStore(wavs, 16000, tmp_path / "cache")
    whole = store.segment(0, 0, 16000)
    assert np.array_equal(store.segment(0, 15000, 1000), whole[15000:])
    short = store.segment(2, 0, 4000)
    assert not short[1600:].any()
    assert short[:1600].any()
    assert np.array_equal(store.segment(2, 1000, 4000)[:600], short[1000:1600])


def test_decodes_once_and_again_when_a_file_changes(tmp_path, wavs, voice, monkeypatch):
    SampleStore(wavs, 16000, tmp_path / "cache")
    told = []
    SampleStore(wavs, 16000, tmp_path / "cache", told.append)
    assert told == []
    soundfile.write(wavs[2].path, voice(0.2, seed=4).T, 16000)
    store = SampleStore(wavs, 16000, tmp_path / "cache", told.append)
    assert told == [pytest.approx(share) for share in (1 / 3, 2 / 3, 1.0)]
    assert store.lengths[2] == 3200


def test_a_corpus_rewritten_in_place_is_decoded_again(tmp_path, wavs, caplog):
    """Half as loud, of the same size; it is said, as a run that goes on learns from other sound then."""
    before = SampleStore(wavs, 16000, tmp_path / "cache").segment(0, 0, 16000)
    sizes = [item.path.stat().st_size for item in wavs]
    for item in wavs[:2]:
        wav, rate = soundfile.read(item.path)
        soundfile.write(item.path, 0.5 * wav, rate)
    assert [item.path.stat().st_size for item in wavs] == sizes
    after = SampleStore(wavs, 16000, tmp_path / "cache").segment(0, 0, 16000)
    np.testing.assert_allclose(after, 0.5 * before, atol=2 / 32767)
    assert caplog.messages == [
        f"2 of 3 recordings have changed, such as {wavs[0].path}; all are decoded again"
    ]


@pytest.mark.parametrize("about", [None, {"skipped": {}}, {"skipped": {}, "bytes": "sizes"}], ids=str)
def test_a_cache_without_stamps_is_made_again(tmp_path, wavs, about):
    SampleStore(wavs, 16000, tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob("*.about.json")
    if about is None:
        file.unlink()
    else:
        sizes = {"bytes": [item.path.stat().st_size for item in wavs]} if "bytes" in about else {}
        file.write_text(json.dumps(about | sizes))
    told = []
    SampleStore(wavs, 16000, tmp_path / "cache", told.append)
    assert told[-1] == 1
    SampleStore(wavs, 16000, tmp_path / "cache", told.clear)
    assert told[-1] == 1


def test_bad_files_are_named_and_left_out(tmp_path, wavs, caplog):
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    cut = tmp_path / "cut.flac"
    soundfile.write(tmp_path / "whole.flac", np.random.default_rng(0).uniform(-0.5, 0.5, 200_000), 16000)
    cut.write_bytes((tmp_path / "whole.flac").read_bytes()[:100_000])
    bad = [recording(path) for path in (text, tmp_path / "missing.wav", cut)]
    with caplog.at_level(logging.WARNING):
        store = SampleStore([bad[0], wavs[0], bad[2], bad[1], wavs[2]], 16000, tmp_path / "cache")
    assert store.lengths.tolist() == [0, 16000, 0, 0, 1600]
    assert len(store.samples) == 17600
    assert set(store.skipped) == {str(item.path) for item in bad}
    assert all(str(item.path) in caplog.text for item in bad)
    assert "skipped 3 of 5 recordings" in caplog.text
    alone = SampleStore([wavs[0], wavs[2]], 16000, tmp_path / "cache2")
    assert np.array_equal(alone.samples, store.samples)
    caplog.clear()
    again = SampleStore([bad[0], wavs[0], bad[2], bad[1], wavs[2]], 16000, tmp_path / "cache")
    assert again.skipped == store.skipped
    assert "missing.wav" in caplog.text


def test_only_bad_files(tmp_path):
    with pytest.raises(InputError, match=r"none of 1 recordings can be read; the first: .*missing\.wav"):
        SampleStore([recording(tmp_path / "missing.wav")], 16000, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_no_recordings(tmp_path):
    with pytest.raises(InputError, match="no recording"):
        SampleStore([], 16000, tmp_path)


def test_a_damaged_cache_is_named(tmp_path, wavs):
    SampleStore(wavs, 16000, tmp_path / "cache")
    (samples,) = (tmp_path / "cache").glob("*.samples.npy")
    whole = samples.read_bytes()
    samples.write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"samples\.npy: damaged.*delete"):
        SampleStore(wavs, 16000, tmp_path / "cache")
    samples.write_bytes(whole)
    (lengths,) = (tmp_path / "cache").glob("*.lengths.npy")
    np.save(lengths, np.array([1, 2, 3]))
    with pytest.raises(InputError, match="does not fit"):
        SampleStore(wavs, 16000, tmp_path / "cache")
    (about,) = (tmp_path / "cache").glob("*.about.json")
    about.write_text("{")
    with pytest.raises(InputError, match=r"about\.json: damaged"):
        SampleStore(wavs, 16000, tmp_path / "cache")


def test_an_interrupted_decode_leaves_no_cache(tmp_path, wavs):
    def stop(share):
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SampleStore(wavs, 16000, tmp_path / "cache", stop)
    assert list((tmp_path / "cache").iterdir()) == []


def test_about_lists_stamps(tmp_path, wavs):
    SampleStore(wavs, 16000, tmp_path / "cache")
    (about,) = (tmp_path / "cache").glob("*.about.json")
    assert json.loads(about.read_text()) == {
        "skipped": {},
        "stamps": [[*audio.stamp(item.path)] for item in wavs],
    }


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
    monkeypatch.setattr(module, "LONG_SECONDS", long_seconds)  # some are decoded in their turn then
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
