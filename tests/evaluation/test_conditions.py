import ast
import subprocess
import sys

import numpy as np
import pytest
from scipy.signal import lfilter

from audiocodec.audio import resample
from audiocodec.effects import Sources
from audiocodec.errors import ConfigError
from audiocodec.evaluation.conditions import (
    Condition,
    Grid,
    conditions_folder,
    expand,
    find_conditions,
    read_conditions,
    runnable,
)
from audiocodec.evaluation.recordings import open_sources, read_recordings

SHIPPED = sorted(path.stem for path in conditions_folder().glob("*.yaml"))


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


NOISE = """
conditions:
  clean: {}
  "{type}":
    each: {type: ["*"], snr_db: [20, -5]}
    effects: [{kind: noise, types: ["{type}"], snr_db: "{snr_db}"}]
"""


def test_a_grid_becomes_conditions_with_names(tmp_path):
    found = read_conditions(write(tmp_path, NOISE), types=["rain", "hum"])
    assert [one.name for one in found] == ["clean", "rain_20db", "rain_-5db", "hum_20db", "hum_-5db"]
    assert [one.kind for one in found] == ["clean", *["noise"] * 4]
    assert [one.group for one in found[1:]] == ["rain", "rain", "hum", "hum"]
    assert [one.snr_db for one in found] == [None, 20.0, -5.0, 20.0, -5.0]
    effect = found[1].environment.effects[0]
    assert (effect.types, effect.snr_db) == (("rain",), 20.0)


@pytest.mark.parametrize(
    ("name", "each", "names", "groups"),
    [
        ("{a}_{snr_db}db_x", {"a": ("p",), "snr_db": (5,)}, ["p_5db_x"], ["p_x"]),
        ("loud", {"gain_db": (-30, 10.5)}, ["loud_-30db", "loud_10.5db"], ["loud_-30db", "loud_10.5db"]),
        ("cut", {"high_hz": (4000,), "snr_db": (0,)}, ["cut_4000hz_0db"], ["cut_4000hz"]),
        ("kind_{a}", {"a": ("p", "p", "q")}, ["kind_p", "kind_q"], ["kind_p", "kind_q"]),
    ],
)
def test_names_say_what_differs(name, each, names, groups):
    effects = ({"kind": "gain", "gain_db": 0.0},)
    found = expand(name, Grid(each=each, effects=effects), {})
    assert [one.name for one in found] == names
    assert [one.group for one in found] == groups


HUGE = ", ".join(f"{name}: [{', '.join(map(str, range(100)))}]" for name in "abcdefgh")
"""A hundred to the eighth combinations in a file of 3 kB."""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no condition; name at least one"),
        ("conditions: {}", "no condition; name at least one"),
        ("conditions: {x: {effects: [{kind: noize}]}}", "x: no effect of kind 'noize'; did you mean 'noise'"),
        ("conditions: {x: {effects: [{kind: gain, gain_db: '{y}'}]}}", "y in braces must stand under `each`"),
        ("conditions: {x: {efects: []}}", "unknown key"),
        ("conditions: {'{a}x': {each: {a: [p]}}, 'p{b}': {each: {b: [x]}}}", "two conditions are named px"),
        (f"conditions: {{'{{a}}': {{each: {{{HUGE}}}}}}}", "more than 10000 combinations"),
        ("conditions: {'{a.__class__}': {each: {a: [p]}}}", None),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path, text, message):
    path = write(tmp_path, text)
    if message is None:  # nothing but names is put in
        assert read_conditions(path)[0].name == "{a.__class__}_p"
        return
    with pytest.raises(ConfigError, match=message) as caught:
        read_conditions(path)
    assert str(path) in str(caught.value)


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(ConfigError, match=f"no such conditions; .* {', '.join(SHIPPED)}"):
        read_conditions("quik")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_conditions_are_understood(name):
    found = read_conditions(name, types=["street", "rain"], own_types=["hum"])
    assert sum(one.changes_nothing for one in found) == 1
    assert any(one.snr_db is not None for one in found)


def test_conditions_say_what_they_draw_from():
    pools = {one.name: one.pools for one in read_conditions("full", types=["rain"])}
    assert (pools["clean"], pools["white_5db"], pools["telephone"]) == (set(), set(), set())
    assert (pools["rain_5db"], pools["babble2_5db"], pools["music_5db"]) == ({"noise"}, {"speech"}, {"music"})
    assert pools["room_small"] == pools["room_small_noise_10db"] == {"rir"}


def test_quick_has_eight():
    assert len(read_conditions("quick")) == 8


@pytest.fixture
def sources(speech_folder, noise_folder):
    recordings = read_recordings(speech_folder)
    return open_sources(None, None, recordings, [("noise", noise_folder)])


def active_power(wav, rate):
    """Mean power where the 30 ms envelope lies within 15.9 dB of the active level: P.56, by bisection."""
    size = round(0.03 * rate)
    envelope = np.abs(wav).astype(np.float64)
    pole = np.exp(-1 / size)
    for _ in range(2):
        envelope = lfilter([1 - pole], [1, -pole], envelope)
    energy, hang = float((wav.astype(np.float64) ** 2).sum()), round(0.2 * rate)
    low, high = 1e-5, 1.0
    for _ in range(40):
        threshold = np.sqrt(low * high)
        active = np.convolve(envelope >= threshold, np.ones(hang + 1))[: len(wav)] > 0.5
        power = energy / max(1, active.sum())
        low, high = (threshold, high) if 10 * np.log10(power / threshold**2) > 15.9 else (low, threshold)
    return power


@pytest.mark.parametrize("kind", ["white", "babble1", "hum", "rain"])
@pytest.mark.parametrize("snr_db", [20.0, -5.0])
def test_the_snr_is_met_over_active_speech(voice, sources, kind, snr_db):
    effect = {
        "white": {"kind": "colored_noise", "colors": ("white",)},
        "babble1": {"kind": "babble", "talkers": (1,)},
    }.get(kind, {"kind": "noise", "types": (kind,)})
    [condition] = expand(kind, Grid({"snr_db": (snr_db,)}, ({**effect, "snr_db": "{snr_db}"},)), {})
    speech = np.concatenate([voice(1.2)[0], np.zeros(8000, np.float32)])  # a pause must not count
    scene = condition.apply(speech, 16000, "id", sources, "somebody")
    noise = (scene.wav - scene.target).astype(np.float64)
    found = 10 * np.log10(active_power(scene.target, 16000) / (noise**2).mean())
    assert found == pytest.approx(snr_db, abs=0.1)


def test_every_snr_meets_the_same_noise(voice, sources):
    grid = Grid({"snr_db": (20.0, 0.0)}, ({"kind": "noise", "snr_db": "{snr_db}"},))
    speech = 0.1 * voice(1.0)[0]
    noises = []
    for condition in expand("any", grid, {}):
        scene = condition.apply(speech, 16000, "id", sources, "")
        noises.append(scene.wav - scene.target)
    np.testing.assert_allclose(noises[0] * 10, noises[1], atol=1e-6)


def test_another_recording_or_condition_meets_another_noise(voice, sources):
    [condition] = expand("any", Grid({}, ({"kind": "colored_noise", "snr_db": 0.0},)), {})
    speech = voice(0.5)[0]
    one = condition.apply(speech, 16000, "id", sources, "").wav
    assert not np.array_equal(one, condition.apply(speech, 16000, "other", sources, "").wav)
    [renamed] = expand("every", Grid({}, ({"kind": "colored_noise", "snr_db": 0.0},)), {})
    assert not np.array_equal(one, renamed.apply(speech, 16000, "id", sources, "").wav)


HASHES = """
import hashlib, sys
from pathlib import Path
import numpy as np
from audiocodec.evaluation.conditions import Grid, expand
from audiocodec.evaluation.recordings import open_sources, read_recordings

def hashes(speech, noise, identities):
    sources = open_sources(None, None, read_recordings(Path(speech)), [("noise", Path(noise))])
    effects = ({"kind": "noise", "snr_db": 3.0}, {"kind": "babble", "talkers": (1,)}, {"kind": "packet_loss"})
    [condition] = expand("all", Grid({}, effects), {})
    wav = (0.1 * np.sin(np.arange(16000) / 20)).astype(np.float32)
    found = {i: condition.apply(wav, 16000, i, sources, "").wav.tobytes() for i in identities}
    return {i: hashlib.sha256(wav).hexdigest() for i, wav in found.items()}
"""


def test_samples_are_the_same_in_every_process_and_order(speech_folder, noise_folder):
    (noise_folder / "hum" / "bad.wav").write_bytes(b"no sound")  # what cannot be read changes nothing either
    there = {}
    exec(HASHES, there)
    here = there["hashes"](speech_folder, noise_folder, ["c", "b", "a"])
    output = subprocess.run(
        [sys.executable, "-c", f"{HASHES}\nprint(hashes(*sys.argv[1:3], ['a', 'b', 'c']))",
         str(speech_folder), str(noise_folder)],
        capture_output=True, text=True, check=True, timeout=120,
    ).stdout  # fmt: skip
    assert ast.literal_eval(output) == here
    assert len(set(here.values())) == 3


def test_conditions_that_cannot_be_made_are_told_with_the_reason():
    conditions = [Condition("clean"), *expand("rain", Grid({}, ({"kind": "noise", "types": ("rain",)},)), {})]
    able, skipped = runnable(conditions, Sources())
    assert [one.name for one in able] == ["clean"]
    assert "no recording of kind noise of type rain" in skipped["rain"]
    with pytest.raises(ConfigError, match="none of 1 conditions can be made here; rain: "):
        runnable(conditions[1:], Sources())


def test_loud_sums_stay_below_full_scale_and_keep_their_ratio(voice, sources):
    [condition] = expand("any", Grid({}, ({"kind": "colored_noise", "snr_db": -5.0},)), {})
    speech = voice(0.5)[0] * 3
    scene = condition.apply(speech, 16000, "id", sources, "")
    assert np.abs(scene.wav).max() <= 1.0
    ratio = scene.target / np.where(speech == 0, 1, speech)
    np.testing.assert_allclose(ratio[np.abs(speech) > 1e-3], ratio.max(), rtol=1e-4)


def test_other_sample_rates(voice, sources):
    [condition] = expand("any", Grid({}, ({"kind": "noise", "snr_db": 5.0},)), {})
    speech = resample(voice(0.5), 16000, 44100)[0]
    assert condition.apply(speech, 44100, "id", sources, "").wav.shape == speech.shape


def test_conditions_by_name_set_file_or_themselves(tmp_path):
    mine = Condition("mine")
    found = find_conditions(["white_10db", "quick", mine], Sources())
    assert [one.name for one in found][:3] == ["white_10db", "clean", "babble6_10db"]
    assert found[-1] is mine
    assert len(found) == 9


def test_an_unknown_condition_lists_what_there_is():
    with pytest.raises(ConfigError, match=r"white_7db: .*default, full, quick, .*white_10db"):
        find_conditions(["white_7db"], Sources())
