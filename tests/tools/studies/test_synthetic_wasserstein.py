import importlib
import sys
from pathlib import Path

import pytest
import torch

from audiocodec.quantizers import build_method

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "tools" / "studies")
    return importlib.import_module("synthetic_wasserstein")


def test_measures_by_brute_force(tool):
    torch.manual_seed(0)
    quantizer = build_method(8, "vector", 16, {}).eval()
    quantizer.load_codebooks({"codebook": torch.randn(16, 8)})
    samples = torch.randn(50, 8)
    distances = torch.cdist(samples, quantizer.codebook.detach())
    counts = torch.bincount(distances.argmin(1), minlength=16) / 50
    found = tool.measure(quantizer, samples)
    assert found["error"] == pytest.approx(float(distances.min(1).values.square().mean()), rel=1e-4)
    assert found["usage"] == pytest.approx(100 * float((counts > 0).float().mean()))
    assert found["perplexity"] == pytest.approx(float(torch.special.entr(counts).sum().exp()), rel=1e-4)


def test_the_bimodal_features_are_two_clouds(tool):
    torch.manual_seed(0)
    samples = tool.bimodal(4000)
    assert float((samples[:, 0].abs() - 4).abs().max()) < 3
    assert float(samples.mean(0).abs().max()) < 0.3
    assert float(samples[:, 1:].std()) == pytest.approx(1, abs=0.02)


def test_matched_codes_reach_features_that_plain_ones_do_not(tool, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tool", "--entries=32", "--samples=256", "--steps=60", "--means=6"])
    monkeypatch.setattr(tool, "METHODS", {k: tool.METHODS[k] for k in ("vector", "wasserstein")})
    threads = torch.get_num_threads()
    tool.main()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
    lines = [
        line.split("|")
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("| ") and "---" not in line
    ]
    assert [line[1].strip() for line in lines] == ["", "vector", "wasserstein"]
    vector, wasserstein = (line[2].split("/") for line in lines[1:])
    assert float(wasserstein[1]) > 3 * float(vector[1])
