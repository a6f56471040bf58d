import numpy as np
import pytest
import torch

from audiocodec import audio
from audiocodec.adaptation.statistics import collect, recordings
from audiocodec.adaptation.statistics.recordings import Frames, audible_seconds, encode_frames, statistics_of


@pytest.mark.parametrize("sample_rate", [16000, 24000])
def test_codes_are_those_of_the_file(codec, voice, sample_rate):
    wav = voice(2.3, sample_rate, channels=2)
    encoded = codec.encode(wav, sample_rate)
    found = collect(codec, [(wav, sample_rate)], rng=np.random.default_rng(0))
    assert found.frames == encoded.codes.shape[0] * encoded.codes.shape[2]
    counts = np.bincount(encoded.codes[:, 2].ravel(), minlength=64)
    assert np.array_equal(found.codes[2].counts, counts)
    assert (found.model_id, found.codebook_id) == (codec.model_id, codec.codebook_id)


def test_files_come_one_by_one(voice, tmp_path):
    files = [tmp_path / f"{number}.wav" for number in range(2)]
    for file in files:
        audio.write(file, voice(1.0), 16000)
    shares = []
    for number, (wav, sample_rate) in enumerate(recordings(files, shares.append)):
        assert (wav.shape, sample_rate) == ((1, 16000), 16000)
        assert shares == [0.5, 1.0][:number]
    assert shares == [0.5, 1.0]


def numbered(count):
    return Frames(torch.arange(count).repeat(2, 1).float(), torch.arange(count)[None], float(count))


def test_cuts_and_circles():
    frames = numbered(10)
    assert frames.cut(3, 6).codes.tolist() == [[3, 4, 5]]
    assert frames.cut(3, 6).audible_seconds == pytest.approx(3)
    assert frames.around(8, 4).codes.tolist() == [[8, 9, 0, 1]]
    joined = Frames.join([frames.cut(0, 2), frames.cut(9, 10)])
    assert joined.codes.tolist() == [[0, 1, 9]]
    assert joined.latents[1].tolist() == [0, 1, 9]


def test_statistics_of_frames_are_those_of_the_audio(codec, voice):
    from audiocodec.adaptation.statistics import collect

    wavs = [(voice(1.5, seed=seed), 16000) for seed in range(2)]
    direct = collect(codec, wavs, rng=np.random.default_rng(0))
    parts = list(encode_frames(codec, wavs))
    again = statistics_of(codec, parts, np.random.default_rng(0))
    assert again.relative_errors == pytest.approx(direct.relative_errors)
    assert all(np.array_equal(a.bigrams, b.bigrams) for a, b in zip(again.codes, direct.codes, strict=True))


def test_what_can_be_heard():
    wav = np.zeros((2, 32000), np.float32)
    wav[0, :16000] = 0.01
    wav[1] = 0.0005  # -66 dB
    assert audible_seconds(wav, 16000) == pytest.approx(1.0)
