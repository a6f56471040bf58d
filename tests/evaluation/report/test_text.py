import pytest

from audiocodec.evaluation.report import text


@pytest.mark.parametrize(
    ("value", "decimals", "sign", "expected"),
    [
        (1.234, 2, False, "1.23"),
        (-1.235, 1, False, "\N{MINUS SIGN}1.2"),
        (-0.001, 2, False, "0.00"),
        (0.5, 1, True, "+0.5"),
        (-0.01, 1, True, "0.0"),
        (None, 2, False, "\N{EN DASH}"),
        (float("nan"), 2, False, "\N{EN DASH}"),
        (float("inf"), 2, False, "\N{EN DASH}"),
    ],
)
def test_numbers(value, decimals, sign, expected):
    assert text.number(value, decimals, sign) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("street_10db", "street, 10 dB"),
        ("room_medium_noise_-5db", "room medium noise, \N{MINUS SIGN}5 dB"),
        ("lowpass_4000hz", "lowpass, 4000 Hz"),
        ("room_medium", "room medium"),
        ("clean", "clean"),
        ("xdb", "xdb"),
        ("loss_0.05", "loss 0.05"),
    ],
)
def test_conditions_in_words(name, expected):
    assert text.condition_title(name).replace(text.THIN, " ") == expected


@pytest.mark.parametrize(
    ("score", "title", "against"),
    [
        ("pesq_wb_clean", "PESQ-WB", "against the clean original"),
        ("si_sdr", "SI-SDR", "against what went in"),
        ("voicing_error", "Voicing error", "against what went in"),
    ],
)
def test_scores_in_words(score, title, against):
    assert (text.title(score), text.against(score)) == (title, against)
    assert text.full_title(score) == f"{title} {against}"


def test_scores_without_a_reference_name_none():
    assert text.full_title("distillmos") == "Distill-MOS"
    assert text.full_title("token_flip_rate") == "Codes changed by the condition"


def test_an_interval_that_is_not_there_is_not_shown():
    assert text.interval(None, 1.0, 2) == ""
    assert text.interval(float("nan"), float("nan"), 2) == ""
    assert text.excludes_zero(0.1, 0.2)
    assert not text.excludes_zero(-0.1, 0.2)
    assert not text.excludes_zero(None, None)
