import numpy as np
import pytest
import soundfile

from audiocodec.corpus import measuring
from audiocodec.corpus.measuring import measure
from audiocodec.errors import InputError


def write(path, wav, rate=16000, **options):
    if path.suffix == ".opus":
        options = {"format": "OGG", "subtype": "OPUS"}
    soundfile.write(path, wav, rate, **options)
    return path


def sine(seconds, amplitude, rate=16000):
    return amplitude * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("block_frames", [1000, 3])
def test_a_tone_and_a_pause(tmp_path, monkeypatch, block_frames):
    monkeypatch.setattr(measuring, "BLOCK_FRAMES", block_frames)
    wav = np.concatenate([sine(1.0, 0.1), np.zeros(48000)])
    found = measure(write(tmp_path / "a.wav", wav, subtype="FLOAT"))
    assert (found.seconds, found.sample_rate, found.channels) == (4.0, 16000, 1)
    assert found.level_db == pytest.approx(-23.01, abs=0.02)  # 0.1 / sqrt(2); the pause does not count
    assert found.peak_db == pytest.approx(-20.0, abs=0.01)
    assert found.silence == pytest.approx(0.75, abs=0.006)
    assert found.clipped == 0


def test_speech_in_noise_is_measured_where_someone_speaks(tmp_path):
    noise = 10 ** (-60 / 20) * np.random.default_rng(0).standard_normal(32000)
    speech = noise.copy()
    speech[:16000] += sine(1.0, 0.2)
    found = measure(write(tmp_path / "a.wav", speech))
    assert found.level_db == pytest.approx(-16.99, abs=0.05)
    assert found.silence == pytest.approx(0.5, abs=0.03)


def test_clipping_is_counted_in_runs(tmp_path):
    clean = measure(write(tmp_path / "a.wav", sine(1.0, 0.95)))
    clipped = sine(1.0, 2.0).clip(-1, 1)
    found = measure(write(tmp_path / "b.wav", clipped))
    peaks = np.zeros(16000)
    peaks[::100] = 1.0  # single samples at full scale are peaks
    peaks[50::100] = 0.1
    assert clean.clipped == 0
    assert found.clipped == pytest.approx((np.abs(clipped) >= measuring.CLIPPED_AT).mean(), rel=0.02)
    assert measure(write(tmp_path / "c.wav", peaks)).clipped == 0
    stereo = measure(write(tmp_path / "d.wav", np.stack([clipped, sine(1.0, 0.3)], axis=1)))
    assert (stereo.channels, stereo.clipped) == (2, pytest.approx(found.clipped / 2))


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.opus", "a.mp3"])
def test_every_format(tmp_path, name):
    rate = 48000 if name.endswith(("opus", "mp3")) else 22050
    found = measure(write(tmp_path / name, sine(1.5, 0.2, rate), rate))
    assert found.sample_rate == rate
    assert found.seconds == pytest.approx(1.5, abs=0.06)  # MP3 pads to whole frames
    assert found.level_db == pytest.approx(-16.99, abs=0.5)


@pytest.mark.parametrize("wav", [np.zeros(16000), np.full(16000, 1e-4)])
def test_silence_is_refused(tmp_path, wav):
    with pytest.raises(InputError, match=r"a\.wav: silent, nothing in it is above -70 dB"):
        measure(write(tmp_path / "a.wav", wav, subtype="FLOAT"))


def test_damage_is_said(tmp_path):
    write(tmp_path / "whole.flac", np.random.default_rng(0).uniform(-0.5, 0.5, 200_000))
    (tmp_path / "cut.flac").write_bytes((tmp_path / "whole.flac").read_bytes()[:100_000])
    with pytest.raises(InputError, match=r"cut\.flac: damaged"):
        measure(tmp_path / "cut.flac")


def test_stereo_with_an_inverted_channel_is_not_silent(tmp_path):
    tone = sine(1.0, 0.3)
    path = write(tmp_path / "a.wav", np.stack([tone, -tone], axis=1))
    with pytest.raises(InputError, match=r"a\.wav: its channels cancel each other"):
        measure(path)
