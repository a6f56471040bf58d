import math

import numpy as np
import pytest
import soundfile
from scipy.signal import welch

from audiocodec.audio.levels import active_level, rms_db
from audiocodec.effects import Sources, build_effect
from audiocodec.effects.noise import add_at_snr, colored_noise, draw_excerpt
from audiocodec.effects.sources import find_sources
from audiocodec.errors import InputError

RATE = 16000


@pytest.mark.parametrize("snr_db", [-5, 0, 7.3, 20])
def test_the_snr_is_hit(speech, snr_db):
    noise = np.random.default_rng(1).standard_normal(len(speech)).astype(np.float32) * 0.02
    added = add_at_snr(speech, noise, snr_db, RATE) - speech
    power = 10 * math.log10(np.mean(np.square(added, dtype=np.float64)))
    assert active_level(speech, RATE).level_db - power == pytest.approx(snr_db, abs=0.01)


@pytest.mark.parametrize("snr_db", [0, 15])
def test_over_active_speech_however_long_the_pauses(speech, snr_db):
    noise = np.random.default_rng(1).standard_normal(3 * len(speech)).astype(np.float32)
    tone = 0.1 * np.sin(np.arange(len(speech)) * 0.3).astype(np.float32)
    wav = np.concatenate([np.zeros_like(tone), tone, np.zeros_like(tone)])
    added = add_at_snr(wav, noise, snr_db, RATE) - wav
    frames = np.abs(wav) > 0
    ratio = 10 * np.log10(np.mean(wav[frames] ** 2) / np.mean(added[frames] ** 2))
    # P.56 counts 0.2 s, and the time its envelope takes to fall, after 2 s of tone as speech: 0.56 dB.
    assert ratio - snr_db == pytest.approx(0.56, abs=0.05)


def test_silence_has_no_snr(speech):
    with pytest.raises(InputError, match=r"speech is silent over its 2\.00 s"):
        add_at_snr(np.zeros_like(speech), speech, 10, RATE)
    with pytest.raises(InputError, match="noise is silent"):
        add_at_snr(speech, np.zeros_like(speech), 10, RATE)


def test_silent_excerpts_are_drawn_again(tmp_path):
    wav = np.zeros(20 * RATE)
    wav[-5 * RATE :] = 0.1 * np.random.default_rng(0).standard_normal(5 * RATE)
    soundfile.write(tmp_path / "mostly_silent.wav", wav, RATE)
    sources = Sources(find_sources(tmp_path, "noise"))
    rng = np.random.default_rng(0)
    clips = sources.find("noise")
    starts = [draw_excerpt(rng, clips, sources, RATE, 4 * RATE)[1] for _ in range(30)]
    assert min(starts) > 11 * RATE - 10
    wav[:] = 0
    wav[-1] = 1e-3
    soundfile.write(tmp_path / "mostly_silent.wav", wav, RATE, "FLOAT")
    sources = Sources(clips)
    with pytest.raises(InputError, match="below -60 dB"):
        draw_excerpt(rng, clips, sources, RATE, RATE)


def add(effect, wav, sources, seed=0):
    drawn = effect.draw(np.random.default_rng(seed), len(wav), RATE, sources)
    return effect.apply(wav, RATE, drawn, sources) - wav, drawn


@pytest.mark.parametrize("types", [["street"], ["cafe"], ["short_hum"]])
def test_it_adds_the_noise_of_that_type(speech, sound_folder, types):
    sources = Sources.open(folders={"noise": [sound_folder / "noise"]})
    added, drawn = add(build_effect({"kind": "noise", "snr_db": 5, "types": types}), speech, sources)
    assert drawn["type"] == types[0]
    assert active_level(speech, RATE).level_db - rms_db(added) == pytest.approx(5, abs=0.05)
    if types != ["short_hum"]:  # the excerpt itself, but for its level and the rounding of its file
        wav = soundfile.read(sound_folder / "noise" / drawn["name"])[0][drawn["start"] :][: len(speech)]
        assert np.corrcoef(wav, added)[0, 1] > 0.99999


def test_noise_shorter_than_speech_goes_on_without_a_click(speech, sound_folder):
    sources = Sources.open(folders={"noise": [sound_folder / "noise"]})
    added, _ = add(build_effect({"kind": "noise", "snr_db": 0, "names": ["short_hum.wav"]}), speech, sources)
    hum_step = np.abs(added).max() * 2 * np.pi * 100 / RATE
    assert np.abs(np.diff(added)).max() < 1.6 * hum_step
    assert min(rms_db(part) for part in np.split(added, 20)) > rms_db(added) - 3  # heard all the time


def test_types_are_drawn_evenly(sound_folder):
    sources = Sources.open(folders={"noise": [sound_folder / "noise"]})
    effect, rng = build_effect({"kind": "noise"}), np.random.default_rng(0)
    types = [effect.draw(rng, 100, RATE, sources)["type"] for _ in range(900)]
    assert {name: round(types.count(name) / 300) for name in set(types)} == {
        "street": 1,
        "cafe": 1,
        "short_hum": 1,
    }


def test_a_folder_with_one_file_is_enough(tmp_path, speech):
    soundfile.write(tmp_path / "fan.wav", np.random.default_rng(0).standard_normal(RATE) * 0.1, RATE)
    sources = Sources.open(folders={"noise": [tmp_path]})
    added, drawn = add(build_effect({"kind": "noise"}), speech, sources)
    assert drawn["type"] == "fan"
    assert rms_db(added) > -60


def test_music(speech, sources):
    _, drawn = add(build_effect({"kind": "noise", "pool": "music"}), speech, sources)
    assert drawn["name"] == "music/song.wav"


def test_what_is_not_there_is_named(sources, speech):
    with pytest.raises(InputError, match=r"of type train.*there are types cafe, made, street"):
        add(build_effect({"kind": "noise", "types": ["train"]}), speech, sources)
    with pytest.raises(InputError, match="of kind noise among the sources; give a manifest or folder"):
        add(build_effect({"kind": "noise"}), speech, Sources())


@pytest.mark.parametrize(("color", "db_per_octave"), [("white", 0.0), ("pink", -3.01), ("brown", -6.02)])
@pytest.mark.parametrize("rate", [8000, 48000])
def test_slope(color, db_per_octave, rate):
    frequencies, power = welch(colored_noise(color, 1, 20 * rate, rate), rate, nperseg=4096)
    used = (frequencies > 100) & (frequencies < rate / 2.2)
    slope = np.polyfit(np.log2(frequencies[used]), 10 * np.log10(power[used]), 1)[0]
    assert slope == pytest.approx(db_per_octave, abs=0.1)


def test_snr_and_seed(speech):
    effect = build_effect({"kind": "colored_noise", "snr_db": 10, "colors": ["pink"]})
    drawn = effect.draw(np.random.default_rng(0), len(speech), 16000, Sources())
    added = effect.apply(speech, 16000, drawn, Sources()) - speech
    assert active_level(speech, 16000).level_db - rms_db(added) == pytest.approx(10, abs=0.01)
    other = effect.apply(speech, 16000, drawn | {"seed": drawn["seed"] + 1}, Sources()) - speech
    assert abs(np.corrcoef(added, other)[0, 1]) < 0.2


@pytest.mark.parametrize("talkers", [1, 2, 6, 20])
def test_talkers(speech, sources, talkers):
    effect = build_effect({"kind": "babble", "snr_db": 3, "talkers": [talkers]})
    rng = np.random.default_rng(0)
    for _ in range(5):
        drawn = effect.draw(rng, len(speech), RATE, sources, "s2")
        speakers = [name.split("/")[1] for name, _ in drawn["talkers"]]
        assert len(speakers) == talkers
        assert "s2" not in speakers
        counts = [speakers.count(speaker) for speaker in ("s0", "s1", "s3")]
        assert max(counts) - min(counts) <= 1  # all others before anyone twice
    added = effect.apply(speech, RATE, drawn, sources) - speech
    assert active_level(speech, RATE).level_db - rms_db(added) == pytest.approx(3, abs=0.05)


def test_talkers_are_equally_loud(sources, speech):
    effect = build_effect({"kind": "babble", "snr_db": 0, "talkers": [3]})
    drawn = effect.draw(np.random.default_rng(0), len(speech), RATE, sources)
    added = (effect.apply(speech, RATE, drawn, sources) - speech).astype(np.float64)
    parts = [sources.excerpt("speech", name, RATE, start, len(speech)) for name, start in drawn["talkers"]]
    shares = np.linalg.lstsq(np.stack(parts, 1).astype(np.float64), added, rcond=None)[0]
    levels = [rms_db(share * part) for share, part in zip(shares, parts, strict=True)]
    assert np.ptp(levels) < 0.05


def test_nobody_else(sound_folder, speech):
    one = [clip for clip in find_sources(sound_folder / "speech", "speech") if clip.speaker == "s1"]
    effect = build_effect({"kind": "babble", "talkers": [2]})
    rng = np.random.default_rng(0)
    assert len(effect.draw(rng, 1000, RATE, Sources(one))["talkers"]) == 2
    with pytest.raises(InputError, match="other than s1"):
        effect.draw(rng, 1000, RATE, Sources(one), "s1")
