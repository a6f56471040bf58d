import pandas as pd
import pytest

from audiocodec.evaluation.report.markdown import render
from audiocodec.evaluation.report.text import THIN
from audiocodec.evaluation.summary import summarize
from audiocodec.storage import plain

META = {"command": ["audiocodec", "evaluate", "--data", "a b"], "data": "a b", "created": "2026-11-21T10:00"}
NOISES = (("hum_20db", 20.0), ("hum_0db", 0.0))


@pytest.fixture
def summary(made_rows):
    def rename(row):
        row["codec"] = row["codec"].replace("late", "la|te")
        row["nominal_bits"] = row["codec"] == "la|te"

    def worse(row):
        rename(row)
        row["condition"], row["group"] = row["condition"].replace("hum", "hiss"), "hiss"
        row["pesq_wb_input"] -= 0.5

    return plain(summarize(pd.concat([made_rows(rename), made_rows(worse, NOISES)]), resamples=50))


def tables(text):
    """Title -> rows of cells."""
    found = {}
    for part in text.split("\n## ")[1:]:
        title, *lines = part.splitlines()
        rows = [line.replace("\\|", "¦")[2:-2].split(" | ") for line in lines if line[:1] == "|"]
        rows = [[cell.strip().replace(THIN, " ") for cell in row] for row in rows]
        assert len({len(row) for row in rows[1:]}) == 1
        found[title] = rows
    return found


def test_tables_for_a_page(summary):
    text = render(summary, META)
    found = tables(text)
    assert list(found) == [
        "Clean speech, compared with what went in",
        "Mean of 4 other conditions, compared with what went in",
        "Conditions, PESQ-WB against what went in",
        "All noises together, PESQ-WB against what went in",
        "SNR in dB below which PESQ-WB against what went in is under 2.0",
        "Bits for the same quality",
    ]
    means = found["Clean speech, compared with what went in"]
    assert means[0] == ["Codec", "kbit/s", "PESQ-WB ↑", "Encode and decode, RTF", "Rows failed"]
    assert means[2][:2] == ["model", "2.0"]
    assert means[2][2].startswith("1.65 (")
    assert means[2][3:] == ["0.1 + 0.2", "0 of 16"]
    assert ["la¦te", "≈16.0"] in [row[:2] for row in means]
    assert "audiocodec evaluate --data 'a b'" in text.splitlines()
    assert "bootstrap over 8 speakers" in text
    assert "measured, in kbit/s, except those marked ≈." in text
    assert "Data: a b, 2026-11-21." in text.splitlines()


def test_conditions_and_noises(summary):
    found = tables(render(summary, META))
    mean = 1 - 0.35 - 0.005 + 2  # of speakers and takes, at 4 kbit/s
    rows = {row[0]: row for row in found["Conditions, PESQ-WB against what went in"]}
    assert list(rows)[2:] == ["clean", "hum, 20 dB", "hum, 0 dB", "hiss, 20 dB", "hiss, 0 dB"]
    assert float(rows["hum, 0 dB"][2]) == pytest.approx(mean - 0.7, abs=0.006)
    assert float(rows["hiss, 20 dB"][2]) == pytest.approx(mean - 0.6, abs=0.006)
    heads, _, *lines = found["All noises together, PESQ-WB against what went in"]
    assert heads[1:] == ["clean", "20 dB", "0 dB"]
    (line,) = (line for line in lines if line[0] == "model 4.0 kbit/s")
    assert [float(cell.split()[0]) for cell in line[1:]] == pytest.approx(
        [mean, mean - 0.35, mean - 0.95], abs=0.006
    )
    falls = {
        row[0]: row[1:] for row in found["SNR in dB below which PESQ-WB against what went in is under 2.0"]
    }
    assert falls[""] == ["hum", "hiss"]
    assert falls["model 8.0 kbit/s"] == ["< 0", "< 0"]
    assert falls["model 2.0 kbit/s"] == ["> 20", "> 20"]


def test_bits_for_the_same_quality(summary):
    _, _, *lines = tables(render(summary, META))["Bits for the same quality"]
    cells = {tuple(row[:2]): row[2] for row in lines}
    assert cells["model against la¦te", "Clean speech"].startswith("\N{MINUS SIGN}50 % (")
    assert cells["model against far", "Clean speech"].startswith("< \N{MINUS SIGN}94")


def test_one_condition_has_no_table_of_conditions(made_rows):
    text = render(plain(summarize(made_rows(conditions=(("clean", None),)), resamples=10)), {})
    assert list(tables(text)) == ["Clean speech, compared with what went in", "Bits for the same quality"]


def test_scores_that_a_loss_imitates_are_marked(made_rows):
    def judged(row):
        row["distillmos"] = 2.5

    summary = plain(summarize(made_rows(judged, metrics=("distillmos",)), resamples=10))
    text = render(summary, {"codecs": [{"name": "model", "imitates": ["pesq_wb"]}, {"name": "late"}]})
    assert "\\* The training losses of model imitate PESQ-WB: these scores overrate it" in text
    found = tables(text)
    heads, _, *lines = found["Clean speech, compared with what went in"]
    assert heads[2:4] == ["Distill-MOS ↑", "PESQ-WB ↑"]
    assert {line[0] for line in lines if "\\*" in line[3]} == {"model"}
    assert not any("\\*" in line[2] for line in lines)
    assert "Conditions, Distill-MOS" in found


def test_failures_are_named_and_nothing_hostile_is_markdown(made_rows):
    def fail(row):
        row["codec"] = f"<b>{row['codec']}\n`x`"
        if row["condition"] != "clean":
            del row["pesq_wb_input"], row["pesq_wb_clean"]
            row["error"] = "the | disk\n# is <full>"

    text = render(plain(summarize(made_rows(fail), resamples=10)), {"skipped": {"lyra": "no files of Lyra"}})
    found = tables(text)
    assert ["\\<b>model \\`x\\`", "hum, 20 dB", "the ¦ disk # is \\<full>", "48"] in found[
        "Rows without scores"
    ]
    assert found["Asked for, but not run"][2] == ["lyra", "no files of Lyra"]
    assert not [line for line in text.splitlines() if line.startswith("# ")]
