import importlib.util
import json
import math
import sys
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture(scope="module")
def tool():
    path = Path(__file__).parents[3] / "tools" / "studies" / "plot_robustness.py"
    spec = importlib.util.spec_from_file_location("plot_robustness", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def summary():
    """Two codecs, one with a score that is missing and one without intervals."""
    scopes = ("clean", "degraded", "noises at 20 dB", "noises at 0 dB")
    means = [
        {
            "scope": scope,
            "codec": codec,
            "nominal_bitrate": nominal,
            "scores": {"pesq_wb_input": {"value": 2.0 + at, "low": low, "high": 3.5 + at}},
        }
        for at, scope in enumerate(scopes)
        for codec, low in (("model", 1.5), ("peer", None))
        for nominal in (3000.0, 6000.0)
    ]
    return {
        "codecs": {
            name: {"points": [{"nominal_bitrate": rate, "bitrate": 1.1 * rate} for rate in (3000.0, 6000.0)]}
            for name in ("model", "peer")
        },
        "conditions": [{"snr_db": snr} for snr in (None, 20.0, 0.0)],
        "means": means,
    }


def test_limits_become_distances(tool, summary):
    found = tool.Summary(summary)
    assert found.estimate("clean", "model", 3000.0, "pesq_wb_input") == (2.0, 0.5, 1.5)
    assert found.estimate("clean", "peer", 3000.0, "pesq_wb_input")[1] == 0
    assert math.isnan(found.estimate("clean", "peer", 3000.0, "stoi_input")[0])
    assert found.nearest("model", 4000.0) == 3000.0
    assert found.snrs == [20.0, 0.0]


def test_a_picture_for_a_page(tool, summary, tmp_path, monkeypatch):
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    target = tmp_path / "picture.png"
    monkeypatch.setattr(sys, "argv", ["plot", str(tmp_path / "summary.json"), "-o", str(target)])
    tool.main()
    colors = Image.open(target).convert("RGB").getcolors(1 << 24)
    drawn = {color for _, color in colors}
    assert {(11, 99, 181), (194, 65, 12)} < drawn
    assert target.stat().st_size < 150_000
