import base64
import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from audiocodec.report.media import (
    HEIGHT,
    WIDTH,
    busiest,
    level_db,
    loudest,
    sound_uri,
    spectrogram_uri,
)

RATE = 16000
TONE = (0.5 * np.sin(2 * np.pi * 2000 * np.arange(RATE) / RATE)).astype(np.float32)


def data(uri, kind):
    head, _, text = uri.partition(";base64,")
    assert head == f"data:{kind}"
    return io.BytesIO(base64.b64decode(text, validate=True))


def test_sound_is_what_was_heard():
    wav, rate = soundfile.read(data(sound_uri(TONE, RATE), "audio/flac"), dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(wav, TONE, atol=1 / 32768)


def test_sound_that_is_too_loud_does_not_wrap():
    wav, _ = soundfile.read(data(sound_uri(4 * TONE, RATE), "audio/flac"))
    assert wav.max() > 0.999
    assert (np.sign(wav) == np.sign(TONE))[np.abs(TONE) > 0.01].all()


def test_a_tone_is_a_line_at_its_frequency():
    picture = Image.open(data(spectrogram_uri(TONE, RATE, loudest([TONE], RATE)), "image/png"))
    assert picture.size == (WIDTH, HEIGHT)
    gray = np.asarray(picture.convert("L"), dtype=float)
    row = gray[:, 50:-50].mean(axis=1).argmax()
    assert 1 - row / HEIGHT == pytest.approx(2000 / 8000, abs=0.02)
    assert gray[:20, 50:-50].max() < 30  # nothing above
    assert gray[row, WIDTH // 2] > 220


def test_a_tone_in_the_second_half_is_in_the_right_half():
    late = np.concatenate([np.zeros(RATE // 2, np.float32), TONE[: RATE // 2]])
    power = level_db(late, RATE).max(axis=0)
    assert power[: WIDTH // 2 - 15].max() < power[WIDTH // 2 + 15 : -15].min() - 60


def test_spectrograms_of_one_example_share_a_scale():
    quiet = 0.01 * TONE
    top = loudest([TONE, quiet], RATE)
    pictures = [
        np.asarray(Image.open(data(spectrogram_uri(wav, RATE, top), "image/png")).convert("L"))
        for wav in (TONE, quiet)
    ]
    assert pictures[1].max() < pictures[0].max() - 50


def test_the_busiest_stretch():
    wav = np.zeros(5 * RATE, np.float32)
    wav[3 * RATE : 4 * RATE] = TONE
    part = busiest(wav, RATE, 2.0)
    assert part.stop - part.start == 2 * RATE
    assert part.start <= 3 * RATE < 4 * RATE <= part.stop
    assert busiest(wav, RATE, 9.0) == slice(0, len(wav))
