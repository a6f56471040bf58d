"""Numbers and names as people read them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from audiocodec.metrics import METRICS

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
THIN = "\N{NARROW NO-BREAK SPACE}"

TITLES = {
    "pesq_wb": "PESQ-WB",
    "pesq_nb": "PESQ-NB",
    "stoi": "STOI",
    "estoi": "ESTOI",
    "si_sdr": "SI-SDR",
    "mel_distance": "Mel distance",
    "word_error_rate": "Word errors",
    "log_spectral_distance": "Log-spectral distance",
    "distillmos": "Distill-MOS",
    "dnsmos": "DNSMOS OVRL",
    "dnsmos_sig": "DNSMOS SIG",
    "dnsmos_bak": "DNSMOS BAK",
    "dnsmos_p808": "DNSMOS P.808",
    "visqol_audio": "ViSQOL audio",
    "visqol_speech": "ViSQOL speech",
    "visqol_speech_polynomial": "ViSQOL speech, polynomial",
    "level_1_2khz": "Level 1 to 2 kHz",
    "level_2_4khz": "Level 2 to 4 kHz",
    "level_4_7khz": "Level 4 to 7 kHz",
    "harmonicity_2_4khz": "Harmonicity 2 to 4 kHz",
    "harmonicity_4_7khz": "Harmonicity 4 to 7 kHz",
    "token_flip_rate": "Codes changed",
}
AGAINST = {"input": "against what went in", "clean": "against the clean original", "uncoded": "with no codec"}


def sentence(words: str) -> str:
    """With a capital at the start, and the rest as it is."""
    return words[:1].upper() + words[1:]


def metric_and_reference(score: str) -> tuple[str, str]:
    """A column apart: pesq_wb_clean is (pesq_wb, clean); a bare name is against what went in."""
    name, _, reference = score.rpartition("_")
    return (name, reference) if reference in AGAINST else (score, "input")


def title(score: str) -> str:
    """Name of a metric without its reference."""
    name, _ = metric_and_reference(score)
    return TITLES.get(name, name.replace("_", " ").capitalize())


def against(score: str) -> str:
    """What it compares the decoded sound with."""
    return AGAINST[metric_and_reference(score)[1]]


def full_title(score: str) -> str:
    """Name of a metric with its reference, if it has one."""
    name, _ = metric_and_reference(score)
    if score == "token_flip_rate":  # compares codes, and with those of the clean original
        return "Codes changed by the condition"
    return (
        title(score)
        if name in METRICS and METRICS[name].needs == "none"
        else f"{title(score)} {against(score)}"
    )


def digits(score: str) -> int:
    """Decimals that are worth showing."""
    name, _ = metric_and_reference(score)
    if name in ("stoi", "estoi", "token_flip_rate", "usage", "mel_distance", "quantization_error"):
        return 3
    if name.startswith("harmonicity") or name == "speaker_similarity":
        return 3
    return 1 if name in ("si_sdr", "log_spectral_distance", "perplexity", "frame_lock") else 2


def number(value: float | None, decimals: int, sign: bool = False) -> str:
    """With so many decimals and a real minus sign; a dash for what is not there."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:+.{decimals}f}" if sign else f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def interval(low: float | None, high: float | None, decimals: int, sign: bool = False) -> str:
    """Both limits, or nothing where there is no interval."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"{number(low, decimals, sign)} to {number(high, decimals, sign)}"


def percent(share: float) -> str:
    """A share in percent."""
    return f"{100 * share:.0f}{THIN}%"


def bound(change: Mapping[str, Any]) -> str:
    """What is known of the bits for equal quality when no quality is shared; empty when nothing is."""
    for name, mark in (("at_least", ">"), ("at_most", "<")):
        if (value := change[name]) is not None and value == value:
            return f"{mark} {number(value, 0, sign=True)}{THIN}%"
    return ""


def snr(curve: Mapping[str, Any], kind: str, name: str) -> str:
    """Where a curve falls, or a limit of that, in dB; beyond what was measured with a mark."""
    value = curve[kind][name]
    if isinstance(value, str):
        end = curve["points"][-1 if value == "never" else 0]["snr_db"]
        return f"{'<' if value == 'never' else '>'} {number(end, 0)}"
    return number(value, 0)


def kilobits(bitrate: float) -> str:
    """A bitrate in kbit/s, without its unit."""
    return number(bitrate / 1000, 2 if bitrate < 1000 else 1)


def condition_title(name: str) -> str:
    """The name of a condition in words: street_10db is street, 10 dB."""
    head, _, tail = name.rpartition("_")
    for unit, written in (("db", "dB"), ("hz", "Hz"), ("kbps", "kbit/s")):
        value = tail.removesuffix(unit)
        if head and value != tail and value.lstrip("-").replace(".", "").isdigit():
            return f"{head.replace('_', ' ')}, {value.replace('-', MINUS)}{THIN}{written}"
    return name.replace("_", " ")


def excludes_zero(low: float | None, high: float | None) -> bool:
    """Whether an interval says which way a difference goes."""
    return low is not None and high is not None and (low > 0 or high < 0)
