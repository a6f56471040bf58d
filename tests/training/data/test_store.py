import json
import logging

import numpy as np
import pytest
import soundfile

from audiocodec import audio
from audiocodec.corpus.manifest import Recording
from audiocodec.errors import InputError
from audiocodec.training.data import decoding
from audiocodec.training.data.store import SampleStore


def recording(path, source=""):
    return Recording(path.name, path, split="train", source=source)


@pytest.fixture
def wavs(tmp_path, voice):
    """16 kHz mono, 44.1 kHz stereo, and one of a tenth of a second."""
    soundfile.write(tmp_path / "mono.wav", voice(1.0, seed=1).T, 16000)
    soundfile.write(tmp_path / "stereo.wav", voice(0.7, 44100, channels=2, seed=2).T, 44100)
    soundfile.write(tmp_path / "short.wav", voice(0.1, seed=3).T, 16000)
    return [recording(tmp_path / f"{name}.wav", name) for name in ("mono", "stereo", "short")]


def test_holds_what_the_files_hold(tmp_path, wavs, monkeypatch):
    monkeypatch.setattr(decoding, "BLOCK_LENGTH", 1000)  # many blocks, so that their joints are tested
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
        f"2 of 3 recordings were written anew, such as {wavs[0].path}; all are decoded again"
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
