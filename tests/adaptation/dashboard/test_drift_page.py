import re
from dataclasses import replace

import pytest

from audiocodec.adaptation.dashboard import build_page, read_timeline, write_page
from audiocodec.adaptation.dashboard.drift_page import STATE_COLORS
from audiocodec.adaptation.dashboard.timeline import CodebookEvent
from audiocodec.errors import InputError

HOSTILE = '<script>alert("x")</script> $\\frac{1}{$ 名前'


def events(*kinds):
    return tuple(
        CodebookEvent("2026-11-21T10:00:02Z", kind, "cd" * 32, HOSTILE, at) for at, kind in enumerate(kinds)
    )


def test_a_page_needs_nothing_and_trusts_nothing(line, write):
    names = {"decisive": HOSTILE, "baseline": HOSTILE, "codebook_id": HOSTILE, "sources": [HOSTILE]}
    windows = [
        line(0, environment={"name": HOSTILE}, **names),
        line(1, "alert", 4.0, environment={"name": "_street"}, **names),
        line(2, "alert", None, **names),
        line(3, "warning", 2.5, **names),
    ]
    timeline = replace(
        read_timeline([write(windows)]), events=events("publish", "activate", HOSTILE, "rollback")
    )
    page = build_page(timeline)
    assert "http" not in page
    assert not re.search(r"<(script|link|iframe)", page)
    # in the legend, two tiles, the measure of an alert, one kind of event, and four reasons
    assert page.count("&lt;script&gt;") == 9
    assert "_street</span>" in page
    assert page == build_page(timeline)


def test_panels(log):
    timeline = replace(read_timeline([log]), events=events("publish", "activate", "activate"))
    page = build_page(timeline)
    assert page.count("<svg") == 1
    drawn = re.findall(r"<text[^>]*>([^<]*)</text>", page)
    assert {"State and environment", "alert", "warning", "baseline", "2", "3"} <= set(drawn)
    assert any(text.startswith("Drift score") for text in drawn)
    assert any(text.startswith("Quantization error") for text in drawn)
    assert "Jensen-Shannon divergence by quantizer; darker is larger, from 0.1 to 0.3" in drawn
    assert not any(text.startswith("Latents") for text in drawn)  # no window has them
    for color in STATE_COLORS.values():
        assert f"fill: {color}" in page


def test_numbers_that_are_nearly_equal_can_be_drawn(strange_log):
    assert "<svg" in build_page(read_timeline([strange_log]))


def test_one_silent_window_is_a_page_too(line, write):
    page = build_page(read_timeline([write([line(0, score=None)])]))
    assert "Drift score" not in page
    assert "Latest alerts" not in page


def test_a_page_is_not_overwritten(log, tmp_path):
    page = tmp_path / "page.html"
    write_page(page, read_timeline([log]))
    with pytest.raises(InputError):
        write_page(page, read_timeline([log]))
    write_page(page, read_timeline([log]), overwrite=True)
