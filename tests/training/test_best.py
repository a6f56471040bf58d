"""Which scores say that a checkpoint is good."""

import logging
from dataclasses import replace

import pytest

from audiocodec.config import from_mapping
from audiocodec.errors import ConfigError, MissingPackageError
from audiocodec.training import validation
from audiocodec.training.best import USUAL, best_score, best_weights
from audiocodec.training.config import TrainConfig
from audiocodec.training.loop import Trainer
from audiocodec.training.run.folder import checkpoints

PREFIXES = [2, 4]


@pytest.fixture
def installed(monkeypatch):
    """Says of modules that they are there, or not."""

    def say(*names):
        monkeypatch.setattr("audiocodec.metrics.base.find_spec", lambda name: name if name in names else None)

    return say


def test_the_usual_set_as_far_as_it_can_be_computed(installed):
    installed("distillmos", "xls_r_sqa", "speechmos", "onnxruntime", "requests")
    assert best_weights(TrainConfig(), PREFIXES, [""]) == {f"{name}/4": USUAL[name] for name in USUAL}
    installed("distillmos", "xls_r_sqa", "speechmos")  # DNSMOS lacks what it runs on
    assert set(best_weights(TrainConfig(), PREFIXES, [""])) == {"distillmos/4", "pesq_wb/4", "frame_lock/4"}
    installed()
    assert set(best_weights(TrainConfig(), PREFIXES, [""])) == {"pesq_wb/4", "frame_lock/4"}
    assert best_weights(TrainConfig(judge_clips=0), PREFIXES, [""]) == {"pesq_wb/4": 0.5}


def test_a_set_of_ones_own():
    for given, expected in (
        ("stoi/2", {"stoi/2": 1.0}),
        ("", best_weights(TrainConfig(), PREFIXES, [""])),
        ({"si_sdr/4/street": 0.1, "frame_lock/0": -1}, {"si_sdr/4/street": 0.1, "frame_lock/0": -1.0}),
    ):
        config = from_mapping(TrainConfig, {"best_score": given})
        assert best_weights(config, PREFIXES, ["", "street"]) == expected


def test_scores_that_a_validation_does_not_give(installed):
    with pytest.raises(ConfigError, match=r"best_score names 'pesq/4'; did you mean 'pesq_wb/4'"):
        best_weights(TrainConfig(best_score={"pesq/4": 1.0}), PREFIXES, [""])
    with pytest.raises(ConfigError, match="frame_lock/4/street"):
        best_weights(TrainConfig(best_score="frame_lock/4/street"), PREFIXES, ["", "street"])
    with pytest.raises(ConfigError, match="judge_clips is 0"):
        best_weights(TrainConfig(best_score="frame_lock/4", judge_clips=0), PREFIXES, [""])
    installed()
    with pytest.raises(MissingPackageError, match="pip install distillmos"):
        best_weights(TrainConfig(best_score="distillmos/4"), PREFIXES, [""])
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
    (record,) = [one for one in caplog.records if "does without" in one.message]
    assert "distillmos, dnsmos_p808: pip install 'audiocodec[scores]'" in record.message
    assert lines["valid/frame_lock/4"] == 0.0
    assert not any("distillmos" in name for name in lines)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Frame lock, dB: 0 is natural" in page
    assert "<h3>Distill-MOS" not in page


def zero(reference, estimate, sample_rate):
    return 0.0
