"""Scores of a validation, and which checkpoints they keep."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from audiocodec.config import from_mapping
from audiocodec.errors import ConfigError, MissingPackageError
from audiocodec.metrics import Metric
from audiocodec.metrics.waveform import si_sdr
from audiocodec.model import CodecModel, QuantizerConfig, build_model, build_quantizer
from audiocodec.nn.spectral import start_linear
from audiocodec.training import validation
from audiocodec.training.checkpoints import checkpoints
from audiocodec.training.config import TrainConfig
from audiocodec.training.loop import Trainer
from audiocodec.training.processes import Processes
from audiocodec.training.validation import (
    JUDGES,
    USUAL_WEIGHTS,
    ValidationClip,
    best_score,
    best_weights,
    validate,
)

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
    return [ValidationClip(wav, wav) for wav in wavs]


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
    clips = [
        ValidationClip(wav, wav),
        ValidationClip(noisy, noisy, "street"),
        ValidationClip(noisy, wav, "clean-street"),
    ]
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

    def forward(self, latents, state=None, num_quantizers=None, renderings=1):
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
    clips = [ValidationClip(wavs[3], wavs[3], "street"), *plain(*wavs[:3])]
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


PREFIXES = [2, 4]


@pytest.fixture
def installed(monkeypatch):
    """Says of modules that they are there, or not."""

    def say(*names):
        monkeypatch.setattr("audiocodec.metrics.base.find_spec", lambda name: name if name in names else None)

    return say


def test_the_usual_set_as_far_as_it_can_be_computed(installed):
    installed("distillmos", "xls_r_sqa", "speechmos", "onnxruntime", "requests")
    assert best_weights({}, 4, PREFIXES, [""]) == {f"{name}/4": USUAL_WEIGHTS[name] for name in USUAL_WEIGHTS}
    installed("distillmos", "xls_r_sqa", "speechmos")  # DNSMOS lacks what it runs on
    assert set(best_weights({}, 4, PREFIXES, [""])) == {"distillmos/4", "pesq_wb/4", "frame_lock/4"}
    installed()
    assert set(best_weights({}, 4, PREFIXES, [""])) == {"pesq_wb/4", "frame_lock/4"}
    assert best_weights({}, 0, PREFIXES, [""]) == {"pesq_wb/4": 0.5}


def test_a_set_of_ones_own():
    for given, expected in (
        ("stoi/2", {"stoi/2": 1.0}),
        ("", best_weights({}, 4, PREFIXES, [""])),
        ({"si_sdr/4/street": 0.1, "frame_lock/0": -1}, {"si_sdr/4/street": 0.1, "frame_lock/0": -1.0}),
    ):
        config = from_mapping(TrainConfig, {"best_score": given})
        assert best_weights(config.best_score, 4, PREFIXES, ["", "street"]) == expected


def test_scores_that_a_validation_does_not_give(installed):
    with pytest.raises(ConfigError, match=r"best_score names 'pesq/4'; did you mean 'pesq_wb/4'"):
        best_weights({"pesq/4": 1.0}, 4, PREFIXES, [""])
    with pytest.raises(ConfigError, match="frame_lock/4/street"):
        best_weights("frame_lock/4/street", 4, PREFIXES, ["", "street"])
    with pytest.raises(ConfigError, match="judge_clips is 0"):
        best_weights("frame_lock/4", 0, PREFIXES, [""])
    installed()
    with pytest.raises(MissingPackageError, match="pip install distillmos"):
        best_weights("distillmos/4", 4, PREFIXES, [""])
    with pytest.raises(ConfigError, match="best_score: expected one of dict, str"):
        from_mapping(TrainConfig, {"best_score": 3})


def test_the_weighted_sum():
    weights = {"distillmos/4": 1.0, "frame_lock/4": -0.1}
    assert best_score({"distillmos/4": 3.0, "frame_lock/4": 5.0, "stoi/4": 0.9}, weights) == pytest.approx(
        2.5
    )
    assert best_score({"distillmos/4": 3.0}, weights) == 3.0
    assert best_score({"stoi/4": 0.9}, weights) is None


def test_checkpoints_are_kept_by_the_sum(recipe, tmp_path, monkeypatch):
    config = replace(
        recipe, steps=6, validate_every=1, keep_best=1, validate_seconds=6.0,
        best_score={"pesq_wb/4": 1.0, "si_sdr/4": -0.1},
    )  # fmt: skip
    trainer = Trainer(config, tmp_path / "run")
    found = iter([(2.0, 0.0), (3.0, 20.0), (2.5, 0.0), (2.4, 0.0), (2.4, 0.0), (2.4, 0.0)])

    def validate():
        pesq, sdr = next(found)
        return validation.Validation({"pesq_wb/4": pesq, "si_sdr/4": sdr})

    monkeypatch.setattr(trainer, "validate", validate)
    told = []
    trainer.fit(lambda step, scalars: told.append(scalars.get("valid/best_score")))
    assert [path.name[11:20].lstrip("0") for path in checkpoints(tmp_path / "run")] == ["3", "5", "6"]
    assert [score for score in told if score] == pytest.approx([2.0, 1.0, 2.5, 2.4, 2.4, 2.4])


def test_the_log_names_missing_judges_once(recipe, tmp_path, installed, caplog, monkeypatch):
    installed()
    monkeypatch.setitem(
        validation.JUDGES, "frame_lock", replace(validation.JUDGES["frame_lock"], compute=zero)
    )
    config = replace(recipe, steps=2, validate_every=1, validate_seconds=6.0, judge_clips=1)
    lines = {}
    with caplog.at_level(logging.WARNING):
        Trainer(config, tmp_path / "run").fit(lambda step, scalars: lines.update(scalars))
    (record,) = [one for one in caplog.records if "leaves out" in one.message]
    assert "distillmos, dnsmos_p808; to have them: pip install 'audiocodec[scores]'" in record.message
    assert lines["valid/frame_lock/4"] == 0.0
    assert not any("distillmos" in name for name in lines)


def zero(reference, estimate, sample_rate):
    return 0.0
