import sys
from types import SimpleNamespace

import numpy as np
import pytest

from audiocodec.errors import MetricError, MissingPackageError
from audiocodec.metrics import METRICS, dnsmos, dnsmos_bak, dnsmos_p808, dnsmos_sig
from audiocodec.metrics.dnsmos import _run

RATE = 16000


@pytest.fixture(autouse=True)
def _nothing_remembered():
    _run.cache_clear()


def test_all_scores_of_one_run_without_a_reference(monkeypatch, speech):
    heard = []

    def run(wav, rate):
        heard.append((wav, rate))
        return {"ovrl_mos": np.float32(3.0), "p808_mos": np.float32(3.5), "sig_mos": 2.5, "bak_mos": 4.0}

    monkeypatch.setitem(sys.modules, "speechmos.dnsmos", SimpleNamespace(run=run))
    loud = np.repeat(speech[1] * 20, 2)
    assert METRICS["dnsmos"](None, loud, 2 * RATE) == 3.0
    assert dnsmos_p808(None, loud, 2 * RATE) == 3.5
    assert dnsmos_sig(None, loud, 2 * RATE) == 2.5
    assert dnsmos_bak(None, loud, 2 * RATE) == 4.0
    [(wav, rate)] = heard  # both networks run once
    assert rate == RATE
    assert len(wav) == len(speech[1])
    assert np.abs(wav).max() == 1  # the library refuses more


def test_not_a_number_is_no_score(monkeypatch, speech):
    found = {"ovrl_mos": np.nan, "p808_mos": 3.0}
    monkeypatch.setitem(sys.modules, "speechmos.dnsmos", SimpleNamespace(run=lambda wav, rate: found))
    with pytest.raises(MetricError, match="came out as"):
        dnsmos(None, speech[0], RATE)


def test_package_missing(monkeypatch, speech):
    monkeypatch.setitem(sys.modules, "speechmos.dnsmos", None)
    with pytest.raises(MissingPackageError, match="pip install speechmos"):
        dnsmos(None, speech[0], RATE)


@pytest.mark.slow
def test_noise_sounds_worse(speech):
    pytest.importorskip("speechmos")
    pytest.importorskip("onnxruntime")
    assert dnsmos(None, speech[0], RATE) > dnsmos(None, speech[1], RATE) > 1
