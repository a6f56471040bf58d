import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from audiocodec.errors import MissingPackageError
from audiocodec.metrics import Metric
from audiocodec.metrics.waveform import si_sdr
from audiocodec.model import CodecModel, QuantizerConfig, build_model, build_quantizer
from audiocodec.nn.spectral import start_linear
from audiocodec.training.engine.processes import Processes
from audiocodec.training.validation import JUDGES, Clip, validate

ALONE = Processes()


@pytest.fixture(scope="module")
def model(tiny_config, voice):
    torch.manual_seed(0)
    model = build_model(tiny_config)
    wav = torch.from_numpy(np.stack([voice(4.0, seed=seed) for seed in range(4)]))
    with torch.no_grad():
        start_linear(model.encoder, model.decoder, wav)
        model.quantizer.initialize(model.encoder(wav))
    return model.eval()


def plain(*wavs):
    return [Clip(wav, wav) for wav in wavs]


def test_scores_rise_with_the_number_of_quantizers(model, voice):
    found = validate(model, plain(voice(3.0, seed=5)[0], voice(2.01, seed=6)[0]), [1, 8], ALONE)
    scores = found.scores
    assert set(scores) == {f"{name}/{n}" for name in ("pesq_wb", "stoi", "si_sdr") for n in (1, 8, 0)} | {
        f"{name}/{stage}" for name in ("perplexity", "usage") for stage in range(8)
    } | {"unscored"}
    assert scores["unscored"] == 0
    for name in ("pesq_wb", "stoi", "si_sdr"):
        assert scores[f"{name}/1"] < scores[f"{name}/8"] < scores[f"{name}/0"]
    assert set(found.sounds) == {f"plain-{n}/{what}" for n in range(2) for what in ("input", "1", "8")}


def test_use_of_codes_is_counted_over_all_clips(model, voice):
    wavs = [voice(1.0, seed=5)[0], voice(1.5, seed=6)[0]]
    found = validate(model, plain(*wavs), [8], ALONE)
    with torch.no_grad():
        frames = [-(-(len(wav) + model.delay) // model.hop_length) for wav in wavs]
        padded = [
            np.pad(wav, (0, count * model.hop_length - len(wav)))
            for wav, count in zip(wavs, frames, strict=True)
        ]
        codes = torch.cat([model.encode(torch.from_numpy(wav)[None, None]) for wav in padded], dim=2)[0]
    for stage, row in enumerate(codes):
        assert found.counts[stage].tolist() == row.bincount(minlength=len(found.counts[stage])).tolist()
        assert found.scores[f"usage/{stage}"] == pytest.approx(len(row.unique()) / len(found.counts[stage]))


def test_environments_are_scored_apart_against_their_target(model, voice):
    wav = voice(2.0, seed=5)[0]
    noisy = wav + 0.05 * np.random.default_rng(0).standard_normal(len(wav)).astype(np.float32)
    clips = [Clip(wav, wav), Clip(noisy, noisy, "street"), Clip(noisy, wav, "clean-street")]
    found = validate(model, clips, [8], ALONE)
    decoded = found.sounds["street-0/8"]
    assert found.scores["si_sdr/8/street"] == pytest.approx(si_sdr(noisy, decoded, 16000))
    assert found.scores["si_sdr/8/clean-street"] == pytest.approx(si_sdr(wav, decoded, 16000))
    assert "si_sdr/0" in found.scores
    assert "si_sdr/0/street" not in found.scores
    assert np.array_equal(found.sounds["clean-street-0/target"], wav)
    alone = validate(model, clips[:1], [8], ALONE)
    assert {n: found.scores[n] for n in alone.scores} == alone.scores  # noise counts nowhere else


class Frames(nn.Module):
    """A perfect encoder: the samples of each frame."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, wav, state=None):
        return self.gain * wav.reshape(wav.shape[0], -1, 16).transpose(1, 2)


class Late(nn.Module):
    """A perfect decoder that is 40 samples late."""

    def forward(self, latents, state=None):
        wav = latents.transpose(1, 2).reshape(latents.shape[0], 1, -1)
        return functional.pad(wav, (40, 0))[..., : wav.shape[-1]]


def test_the_delay_is_taken_out(voice):
    quantizer = build_quantizer(QuantizerConfig(num_quantizers=1, codebook_size=4), 16)
    model = CodecModel(Frames(), quantizer, Late(), 16000, 16, 40)
    scores = validate(model, plain(voice(2.001)[0]), [1], ALONE).scores
    assert scores["pesq_wb/0"] > 4.6
    assert scores["stoi/0"] > 0.999


def test_judges_hear_a_few_plain_clips(model, voice, monkeypatch):
    heard = []

    def lock(reference, estimate, sample_rate):
        heard.append(reference)
        return float(len(heard))

    def broken(reference, estimate, sample_rate):
        raise MissingPackageError("half of it is not installed")

    monkeypatch.setitem(JUDGES, "frame_lock", Metric("frame_lock", lock, "dB", "lower"))
    monkeypatch.setitem(JUDGES, "distillmos", Metric("distillmos", broken, "MOS", "higher", "none"))
    monkeypatch.setitem(
        JUDGES, "dnsmos_p808", Metric("dnsmos_p808", lock, "", "higher", modules=("is_not_there",))
    )
    wavs = [voice(1.0, seed=seed)[0] for seed in range(4)]
    clips = [Clip(wavs[3], wavs[3], "street"), *plain(*wavs[:3])]
    found = validate(model, clips, [1, 8], ALONE, judge_clips=2)
    assert [id(wav) for wav in heard] == [id(wav) for wav in (wavs[0],) * 3 + (wavs[1],) * 3]
    judged = {name: score for name, score in found.scores.items() if name.split("/")[0] in JUDGES}
    assert judged == {"frame_lock/1": 2.5, "frame_lock/8": 3.5, "frame_lock/0": 4.5}
    assert found.scores["unscored"] == 6  # no judge ends a training
    assert not any(name.startswith("frame_lock") for name in validate(model, clips, [8], ALONE).scores)


def test_silence_is_counted_not_scored(model, voice):
    scores = validate(model, plain(np.zeros(32000, np.float32), voice(2.0)[0]), [8], ALONE).scores
    assert scores["unscored"] == 2 * 3  # PESQ, STOI and SI-SDR, each with 8 quantizers and with none
    assert scores["pesq_wb/8"] > 1
