from dataclasses import replace

import numpy as np
import pytest
import torch

from audiocodec.adaptation.watch import Monitor, MonitorOptions
from audiocodec.coding import encode_latents
from audiocodec.errors import InputError

OPTIONS = MonitorOptions(window_seconds=2.0, false_alarm_rate=0.02, sequential="none")


def feed(monitor, codec, wav):
    latents = encode_latents(codec.model, wav, 16000)
    return monitor.update(latents, codec.model.quantizer.encode(latents))


def test_noise_alerts_and_quiet_ends_it(codec, voice, noisy, baseline):
    monitor = Monitor(codec, baseline, options=OPTIONS)
    before = feed(monitor, codec, voice(6.0, seed=41))
    assert [report.state for report in before] == ["ok"] * 3
    during = feed(monitor, codec, noisy(6.0, seed=31))
    assert [report.state for report in during[-2:]] == ["alert"] * 2
    assert during[-1].score > during[-1].alert_threshold
    assert during[-1].p_value == pytest.approx(1 / 101)
    assert during[-1].measures["relative_error"] > 1.3
    after = feed(monitor, codec, voice(10.0, seed=43))
    assert [report.state for report in after[:2]] == ["alert"] * 2  # hysteresis
    assert monitor.state != "alert"
    assert monitor.windows == len(before) + len(during) + len(after)
    starts = [report.start_seconds for report in before + during + after]
    assert np.diff(starts) == pytest.approx(2.0)


def test_windows_do_not_depend_on_the_pieces(codec, voice, baseline):
    latents = encode_latents(codec.model, voice(5.0, channels=2), 16000)
    codes = codec.model.quantizer.encode(latents)
    one, other = (Monitor(codec, baseline, options=OPTIONS) for _ in range(2))
    whole = one.update(latents, codes)
    pieces = [
        report
        for part, some in zip(latents.split(7, dim=2), codes.split(7, dim=2), strict=True)
        for report in other.update(part, some)
    ]
    assert len(whole) == len(pieces) == 5
    for mine, theirs in zip(whole, pieces, strict=True):
        assert mine.measures["js"] == pytest.approx(theirs.measures["js"])
        assert mine.measures["w2"] == pytest.approx(theirs.measures["w2"], rel=1e-3)


def test_silence_is_not_judged(codec, baseline):
    monitor = Monitor(codec, baseline, options=OPTIONS)
    latents = encode_latents(codec.model, np.zeros((1, 64000), np.float32), 16000)
    reports = monitor.update(latents, codec.model.quantizer.encode(latents), audible_seconds=0.0)
    assert [report.silent for report in reports] == [True, True]
    assert reports[0].score is None
    assert (monitor.state, monitor.alerts) == ("ok", 0)


def test_codes_alone_are_judged_by_their_use(codec, noisy, baseline):
    monitor = Monitor(codec, baseline, options=OPTIONS)
    codes = torch.from_numpy(codec.encode(noisy(4.0), 16000).codes)
    reports = monitor.update(None, codes)
    assert set(reports[0].measures) >= {"js", "kl", "perplexity"}
    assert "w2" not in reports[0].measures


def test_the_rest_is_judged_if_it_is_long_enough(codec, voice, baseline):
    monitor = Monitor(codec, baseline, options=OPTIONS)
    feed(monitor, codec, voice(1.0))
    assert monitor.flush() == []
    with pytest.raises(InputError, match=r"too little audio: 1\.0 s, at least 2 s"):
        monitor.check_enough()


def test_wrong_options_and_baselines(codec, baseline):
    other = replace(baseline, statistics=replace(baseline.statistics, model_id="0" * 64))
    with pytest.raises(InputError, match="not with tiny"):
        Monitor(codec, other)
    with pytest.raises(InputError, match="too little audio"):
        Monitor(codec, baseline, options=replace(OPTIONS, window_seconds=1.0))
    with pytest.raises(InputError, match="false-alarm rate"):
        Monitor(codec, baseline, options=replace(OPTIONS, false_alarm_rate=0.5))
    with pytest.raises(InputError, match="'loudness' is not known"):
        Monitor(codec, baseline, options=replace(OPTIONS, decisive=("loudness",)))
