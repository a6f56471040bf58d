import dataclasses
import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from audiocodec.config import load_config
from audiocodec.model import QuantizerConfig, build_quantizer
from audiocodec.quantizers import QUANTIZERS
from audiocodec.training.config import TrainConfig

REPOSITORY = Path(__file__).parents[3]
RECIPES = sorted((REPOSITORY / "recipes" / "quantizers").glob("*.yaml"))
METHODS = [path for path in RECIPES if path.stem != "base"]


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "tools" / "studies")
    return importlib.import_module("quantizers_rows")


def test_recipes_change_the_quantizer_alone():
    for path in METHODS:
        config, base = (load_config(TrainConfig, p) for p in (path, path.parent / "base.yaml"))
        assert config.name == f"quantizers-{path.stem}"
        same = dataclasses.replace(config.model, quantizer=base.model.quantizer)
        assert dataclasses.replace(config, name=base.name, model=same) == base, path
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
        assert len(lines) <= 15, path


def test_recipes_give_eight_rows_that_learn():
    for path in RECIPES:
        torch.manual_seed(0)
        config = load_config(TrainConfig, path).model.quantizer
        quantizer = build_quantizer(dataclasses.replace(config, codebook_size=64), 16)
        assert quantizer.prefixes[-1] == len(quantizer.codebook_sizes) == 8, path
        latents = torch.einsum("dc,bct->bdt", torch.linalg.qr(torch.randn(16, 3))[0], torch.randn(2, 3, 40))
        quantizer.initialize(latents)
        quantized = quantizer.eval()(latents).quantized.detach()
        error = (quantized - latents).square().mean()
        assert float(error) < 0.5 * float(latents.square().mean()), path
        assert bool(torch.isfinite(quantizer.train()(latents).loss)), path


def test_every_method_has_a_recipe_at_the_same_bits():
    quantizers = {path.stem: load_config(TrainConfig, path).model.quantizer for path in METHODS}
    assert set(QUANTIZERS) == {q.method for q in quantizers.values()}
    for name, config in quantizers.items():
        assert isinstance(config, QuantizerConfig)
        if name != "ema-multiscale":
            assert 79 <= build_quantizer(config, 64).bits_per_frame() <= 80


def _chain(rng, length, size, stay):
    codes = [0]
    for _ in range(length - 1):
        codes.append(codes[-1] if rng.random() < stay else int(rng.integers(size)))
    return np.array(codes)


def test_costs_approach_the_entropies_of_a_markov_chain(rows):
    rng, size, stay = np.random.default_rng(0), 16, 0.6
    fit, held_out = ([_chain(rng, 2000, size, stay) for _ in range(n)] for n in (10, 5))
    move = (1 - stay) / size
    true = -(stay + move) * np.log2(stay + move) - (size - 1) * move * np.log2(move)
    nothing, previous = rows.coding_costs(fit, held_out, size)
    assert nothing == pytest.approx(np.log2(size), abs=0.03)
    assert true - 0.03 < previous < true + 0.06


def test_costs_of_independent_codes_do_not_fall_with_few_frames(rows):
    """Pairs counted in the data itself would seem to tell nearly everything here."""
    rng = np.random.default_rng(0)
    fit, held_out = ([rng.integers(1024, size=500) for _ in range(n)] for n in (8, 4))
    nothing, previous = rows.coding_costs(fit, held_out, 1024)
    assert previous == pytest.approx(nothing, abs=0.05)
    assert nothing > 9.9


def test_a_killed_study_goes_on(rows, tmp_path):
    path, seen = tmp_path / "new" / "rows.jsonl", []

    def run(name):
        if name == "c" and "c" not in seen:
            seen.append(name)
            raise KeyboardInterrupt
        seen.append(name)
        return {"error": 0.5, "name": name}

    with pytest.raises(KeyboardInterrupt):
        rows.run_missing(path, "single", ["a", "b", "c"], run)
    path.write_text(path.read_text()[:-7])  # a line that was being written
    rows.run_missing(path, "single", ["a", "b", "c"], run)
    rows.run_missing(path, "single", ["a", "b", "c"], run)
    assert seen == ["a", "b", "c", "b", "c"]
    assert [row["run"] for row in rows.read_rows(path)] == ["a", "b", "c"]


def test_statistics_are_those_of_the_held_out_codes(rows):
    held_out = [np.array([0, 0, 1, 1]), np.array([2, 2, 3, 3])]
    found = rows.code_statistics([np.arange(8), np.arange(8)], held_out, 8)
    assert (found["usage"], found["entropy"]) == (0.5, 2.0)
    assert found["perplexity"] == pytest.approx(4)
    assert found["usage_fit"] == 1


def test_the_report_has_a_row_for_each_run(rows, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    report = importlib.import_module("quantizers_report")
    stage = {"usage": 0.5, "perplexity": 9.0, "given_nothing": 3.0, "given_previous": 2.0}
    codec = {"bitrate": 4000.0, "error": 0.1, "si_sdr": 1.0, "mel_distance": 0.5, "pesq": 2.0, "stoi": 0.8,
             "step_ms": 9.0, "stages": [stage, stage]}  # fmt: skip
    single = {"method": "ema", "codebook_size": 256, "start": "own", "error": 0.25,
              "usage_fit": 1.0, **stage}  # fmt: skip
    report.write_report(
        [
            {"study": "codec", "run": "ema", **codec},
            {"study": "single", "run": "ema/256/own", **single},
            {"study": "zador", "run": "4/lbg", "dim": 4, "how": "lbg", "error": 0.02, "usage": 1.0},
            {"study": "zador", "run": "8/lbg", "dim": 8, "how": "lbg", "error": 0.03, "usage": 0.9},
        ],
        tmp_path / "tables.md",
        tmp_path,
    )
    lines = (tmp_path / "tables.md").read_text().splitlines()
    assert "| ema | 4000 | 0.100 | 50 | 9 | 3.00 | 2.00 | 1.00 | 0.500 | 2.000 | 0.800 | 9 |" in lines
    assert "| ema | 0.250 · 50 · 2.00 |" in lines
    assert "| lbg | 0.0200 (100 %) | 0.0300 (90 %) |" in lines
    assert {path.name for path in tmp_path.glob("*.png")} == {"quantizers_codec.png", "quantizers_single.png"}


@pytest.mark.slow
def test_the_codec_study_trains_scores_and_reports(tmp_path, voice):
    soundfile = pytest.importorskip("soundfile")
    for split in ("train", "valid"):
        (tmp_path / split).mkdir()
        soundfile.write(tmp_path / split / "a.wav", voice(4.0).T, 16000)
    tool = [sys.executable, str(REPOSITORY / "tools" / "studies" / "quantizers.py")]
    out = ["--out", str(tmp_path / "out"), "--images", str(tmp_path)]
    changes = ["steps=2", f"data.manifest={tmp_path}", "model.quantizer.codebook_size=16"]
    subprocess.run([*tool, "codec", *out, "--runs", "ema", *changes], check=True, timeout=300)
    subprocess.run([*tool, "report", *out], check=True, timeout=120)
    row = json.loads((tmp_path / "out" / "rows.jsonl").read_text())
    assert (row["run"], row["steps"], len(row["stages"])) == ("ema", 2, 8)
    assert row["bitrate"] == 50 * 8 * 4
    assert "| ema | 1600 |" in (tmp_path / "out" / "tables.md").read_text()
