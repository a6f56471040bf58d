import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from audiocodec.effects import Clip, Sources
from audiocodec.effects.sources import limit_seconds, loop
from audiocodec.errors import InputError

RATE = 16000


def test_excerpts_are_the_file(sources, sound_folder):
    wav = soundfile.read(sound_folder / "noise" / "cafe.wav")[0]
    out = sources.excerpt("noise", "noise/cafe.wav", RATE, 1234, 5000)
    np.testing.assert_allclose(out, wav[1234:6234], atol=1 / 32767)
    other = sources.samples("noise", "noise/cafe.wav", 8000) / 32767
    np.testing.assert_allclose(other[500:-500], soxr.resample(wav, RATE, 8000, "VHQ")[500:-500], atol=1e-4)


def test_order_of_the_list_does_not_matter(sources):
    assert Sources(sources.clips[::-1]).find("noise") == sources.find("noise")


def test_find(sources):
    assert sources.types("noise") == ["cafe", "made", "street"]
    assert [clip.name for clip in sources.find("noise", ("str*", "x"))] == [
        "noise/street_01.wav",
        "noise/street_02.wav",
    ]
    assert [clip.name for clip in sources.find("noise", (), ("*_02*",))] == ["noise/street_02.wav"]
    with pytest.raises(InputError, match="no recording of kind music of type rock"):
        sources.find("music", ("rock",))


def test_a_name_is_given_once(tmp_path):
    with pytest.raises(InputError, match="noise a is listed twice"):
        Sources([Clip("a", tmp_path / "a", "noise"), Clip("a", tmp_path / "b", "noise")])


def test_folders_may_hold_equal_names(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "street.wav", np.full(100, 0.1), RATE)
    found = Sources.open(folders={"noise": [tmp_path / "a", tmp_path / "b"]}).find("noise", ("street",))
    assert [clip.name for clip in found] == ["a/street.wav", "b/street.wav"]


def test_memory_is_bounded(sources):
    bounded = Sources(sources.clips, max_bytes=250_000)  # one recording of 3 s is 96 kB
    for clip in bounded.find("speech"):
        bounded.samples("speech", clip.name, RATE)
    assert bounded.used_bytes <= 250_000
    first = bounded.find("speech")[0].name
    np.testing.assert_array_equal(
        bounded.samples("speech", first, RATE), sources.samples("speech", first, RATE)
    )


def test_it_goes_to_other_processes_without_its_samples(sources):
    sources.preload(RATE)
    data = pickle.dumps(sources)
    assert len(data) < 10_000 < sources.used_bytes
    copy = pickle.loads(data)
    assert copy.used_bytes == 0
    name = "noise/cafe.wav"
    np.testing.assert_array_equal(copy.samples("noise", name, RATE), sources.samples("noise", name, RATE))


def test_unreadable_recordings_are_left_out(tmp_path, caplog):
    soundfile.write(tmp_path / "good.wav", np.full(100, 0.5), RATE)
    soundfile.write(tmp_path / "silent.wav", np.zeros(100), RATE)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    names = ("good", "broken", "silent", "missing")
    sources = Sources([Clip(name, tmp_path / f"{name}.wav", "noise") for name in names])
    rng = np.random.default_rng(0)
    assert {sources.draw(rng, sources.find("noise"), RATE)[0].name for _ in range(40)} == {"good"}
    assert sorted(Path(path).stem for path in sources.unreadable) == ["broken", "missing", "silent"]
    assert len(caplog.records) == 3
    sources.unreadable.clear()  # forgotten, so that the same is drawn as at first
    assert len(sources.find("noise")) == 4
    bad = Sources([Clip("broken", tmp_path / "broken.wav", "noise")])
    clips = bad.find("noise")
    with pytest.raises(InputError, match="none of 1 recordings can be read"):
        bad.draw(rng, clips, RATE)
    with pytest.raises(InputError, match="no noise other among the sources"):
        sources.samples("noise", "other", RATE)


def test_preload_tells_how_far_it_is(sources):
    told = []
    sources.preload(RATE, ("noise", "music"), told.append)
    assert told == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


@pytest.mark.parametrize("start", [0, 300, 990])
def test_loop(start):
    rng = np.random.default_rng(0)
    samples = (rng.standard_normal(1000) * 3000).astype(np.int16)
    out = loop(samples, start, 5000, 100)
    assert len(out) == 5000
    until = max(0, 900 - start)
    if start >= 100 or not until:
        np.testing.assert_array_equal(out[:until], samples[start : start + until])
    np.testing.assert_allclose(out[900:1800], out[:900], rtol=1e-6)  # goes round in 1000 - 100 samples
    power = [np.mean(part**2) for part in np.split(out, 10)]
    assert max(power) < 1.5 * min(power)  # the fade keeps the power


@pytest.mark.parametrize("length", [1, 2, 3])
def test_loop_of_almost_nothing(length):
    assert np.all(loop(np.full(length, 5, np.int16), 0, 50, 800) >= 5)


def test_limit_seconds(tmp_path):
    clips = [Clip(f"{n}", tmp_path / f"{n}", "speech", seconds=10.0) for n in range(50)]
    kept = limit_seconds(clips, 105.0)
    assert len(kept) == 10
    assert limit_seconds(clips[::-1], 105.0) == kept
    assert len({clip.name for clip in kept}) == 10


def test_noise_whose_channels_cancel_each_other_is_left_out_for_that_reason(tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    soundfile.write(tmp_path / "a.wav", np.stack([noise, -noise], axis=1), RATE)
    with pytest.raises(InputError, match="cancel each other"):
        Sources.open(folders={"noise": [tmp_path]}).samples("noise", "a.wav", RATE)
