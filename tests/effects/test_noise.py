import numpy as np
import pytest
import soundfile

from audiocodec.audio.levels import active_level, rms_db
from audiocodec.effects import Sources, build_effect
from audiocodec.errors import InputError

RATE = 16000


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
