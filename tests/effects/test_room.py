import numpy as np
import pytest
import soundfile
from scipy.signal import fftconvolve

from audiocodec.corpus import Recording
from audiocodec.effects import Sources, build_effect
from audiocodec.effects.room import direct_path

RATE = 16000


def through(wav, sources, **fields):
    effect = build_effect({"kind": "room", **fields})
    drawn = effect.draw(np.random.default_rng(0), len(wav), RATE, sources)
    return effect.apply(wav, RATE, drawn, sources), effect.reference(wav, RATE, drawn, sources)


@pytest.mark.parametrize("name", ["office", "hall"])
def test_it_is_a_convolution_without_its_delay_at_the_same_level(speech, sources, sound_folder, name):
    heard, target = through(speech, sources, names=[f"rir/{name}.wav"])
    response = soundfile.read(sound_folder / "rir" / f"{name}.wav")[0]
    delay = {"office": 40, "hall": 200}[name]
    assert direct_path(response) == delay
    expected = fftconvolve(speech.astype(np.float64), response)[delay : delay + len(speech)]
    expected *= np.sqrt(np.sum(np.square(speech, dtype=np.float64)) / np.sum(expected**2))
    np.testing.assert_allclose(heard, expected, atol=1e-3 * np.abs(expected).max())
    np.testing.assert_array_equal(target, speech)


def test_direct_and_early_parts_add_up(speech, sources, sound_folder):
    response = soundfile.read(sound_folder / "rir" / "hall.wav")[0]
    heard, early = through(speech, sources, names=["*hall*"], clean="early")
    _, direct = through(speech, sources, names=["*hall*"], clean="direct")
    gain = np.sqrt(np.sum(speech**2) / np.sum(fftconvolve(speech, response)[200 : 200 + len(speech)] ** 2))
    first = fftconvolve(speech, response[200:1001])[: len(speech)] * gain  # 50 ms
    np.testing.assert_allclose(early, first, atol=1e-3 * np.abs(first).max())
    near = [np.sum(np.square(heard - part)) for part in (early, direct)]
    assert near[0] < near[1] < np.sum(np.square(heard))


def test_a_reflection_may_be_the_highest():
    response = np.zeros(500)
    response[[100, 101, 300]] = [0.6, 0.7, 1.0]
    assert direct_path(response) == 101


def test_only_one_channel_of_a_response_is_used(tmp_path, speech):
    two = np.zeros((800, 2))
    two[10, 0], two[200, 1] = 1.0, 1.0
    soundfile.write(tmp_path / "two.wav", two, RATE)
    sources = Sources([Recording("two", tmp_path / "two.wav", kind="rir", type="measured")])
    np.testing.assert_allclose(through(speech, sources)[0], speech, atol=1e-4)
