import re
from html.parser import HTMLParser

import numpy as np
import pytest

from audiocodec.evaluation.report.examples import Example, Sound
from audiocodec.evaluation.report.html import render
from audiocodec.evaluation.summary import summarize
from audiocodec.storage import plain

VOID = {"meta", "img", "br"}
META = {
    "command": ["audiocodec", "evaluate", "--data", "my speech"],
    "data": "<speech>",
    "created": "2026-11-21T13:00:00+00:00",
    "seconds": 90.0,
    "languages": ["de", "en"],
    "skipped": {"lyra": "no files <of> Lyra"},
    "codecs": [{"name": "model", "peer": False, "model_id": "0123abcd", "codebook": "4567cdef"}],
    "environment": {"python": "3.11.7", "system": "Linux", "cores": 2, "packages": {"pesq": "0.0.4"}},
    "elapsed_seconds": 12.0,
    "workers": 2,
}


class Checker(HTMLParser):
    """Finds tags that are not closed, what would be fetched, and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.links, self.text, self.tags = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    found = Checker()
    found.feed(page)
    assert (found.open, found.wrong) == ([], [])
    assert all(link.startswith("data:") for link in found.links)
    assert "http" not in page.replace("http-equiv", "")
    assert not {"script", "link", "iframe"} & set(found.tags)
    text = "".join(found.text).replace("\N{NARROW NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")
    return " ".join(text.split()), found


@pytest.fixture
def no_charts(monkeypatch):
    """Drawing takes most of the time of a page."""
    monkeypatch.setattr("audiocodec.evaluation.report.curves.draw_curves", lambda *_, **__: "")


@pytest.fixture
def example():
    wav = (0.1 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)
    sounds = (Sound("Clean original", wav), Sound("model", 0.5 * wav, "PESQ-WB 1.10"))
    return Example("Hum, 0 dB: model at 2.0 kbit/s", "s1_0.wav", 16000, sounds)


def test_a_page_says_what_was_found_and_how(made_rows, example):
    text, found = read(render(plain(summarize(made_rows(), resamples=100)), META, [example]))
    assert "Evaluation of model" in text
    assert "16 files" in text
    assert "no failed" in text
    assert (
        "For the same PESQ-WB on clean speech, model needs 50 % fewer bits than late (-50 to -50 %)." in text
    )
    assert (
        "PESQ-WB of model at 8.0 kbit/s is 1.00 higher than that of late at 8.0 kbit/s (1.00 to 1.00)" in text
    )
    assert "The intervals rest on 8 speakers only" in text
    assert "audiocodec evaluate --data 'my speech'" in text
    assert "no files <of> Lyra" in text  # escaped, or it were a tag
    assert "model 0123abcd, codebook 4567cdef" in text
    assert "100 resamples of the 8 speakers with all their files, seed 0" in text
    assert (found.tags.count("audio"), found.tags.count("img")) == (2, 2)


def test_the_table_holds_the_means(made_rows, no_charts):
    summary = plain(summarize(made_rows(), resamples=50))
    page = render(summary, META)
    lines = re.findall(r"<i class=\"key\"></i>model</td><td[^>]*>4\.0</td>.*?</tr>", page)
    numbers = [re.findall(r">([\d.]+)<small>", line) for line in lines]
    entry = {(one["scope"], one["codec"], one["nominal_bitrate"]): one for one in summary["means"]}
    expected = [
        entry[scope, "model", 4000.0]["scores"]["pesq_wb_input"]["value"] for scope in ("clean", "degraded")
    ]
    assert [float(number) for (number,) in numbers] == pytest.approx(expected, abs=0.005)


def test_bitrates_that_were_not_measured_are_marked(made_rows, no_charts):
    def assume(row):
        row["nominal_bits"] = row["codec"] == "late"

    text, _ = read(render(plain(summarize(made_rows(assume), resamples=10)), META))
    assert "Bitrates marked ≈ are those asked for" in text
    assert "do not say how many bits they used: late." in text
    assert "late ≈16.0 kbit/s" in text
    assert "model ≈" not in text


def test_one_speaker_one_condition_one_bitrate(made_rows):
    rows = made_rows(conditions=(("clean", None),))
    rows = rows[(rows["file"] == "s0_0.wav") & (rows["codec"] == "model") & (rows["nominal_bitrate"] == 2000)]
    text, _ = read(render(plain(summarize(rows, resamples=20)), {}))
    assert "There is one speaker only" in text


def test_no_clean_speech_and_no_models(made_rows):
    rows = made_rows(conditions=(("hum_20db", 20.0), ("hum_0db", 0.0)))
    text, _ = read(render(plain(summarize(rows[rows["peer"]], resamples=20)), {}))
    assert "Evaluation of late, far" in text
    assert "Mean of 2 conditions" in text


def test_when_all_failed_the_page_says_why(made_rows):
    def fail(row):
        for name in (
            "pesq_wb_input",
            "pesq_wb_clean",
            "bitrate",
            "payload_bitrate",
            "encode_rtf",
            "decode_rtf",
        ):
            del row[name]
        row["error"] = "the <disk> is full"

    text, _ = read(render(plain(summarize(made_rows(fail), resamples=10)), {}))
    assert "384 failed" in text
    assert "the <disk> is full" in text


def test_hostile_names_stay_text(made_rows):
    def rename(row):
        row["codec"] = f"<script>{row['codec']}"
        row["file"] = "<img src=x>$\\frac{" + row["file"]
        if row["condition"] != "clean":
            row["group"] = "<b>hum"
            row["condition"] = row["condition"].replace("hum", "<b>hum")

    text, _ = read(render(plain(summarize(made_rows(rename), resamples=20)), META))
    assert "Evaluation of <script>model" in text
    assert "<b>hum, 20 dB" in text


def test_the_same_rows_give_the_same_page(made_rows, example):
    first, again = (render(plain(summarize(made_rows(), resamples=20)), META, [example]) for _ in range(2))
    assert first == again
    pictures = re.findall(r'role="img" aria-label="([^"]*)"', first)
    assert (
        len(set(pictures)) == len(pictures) == 8
    )  # over the bitrate in two scopes, and two scores at three bitrates


def test_a_page_does_not_grow_without_end(made_rows, example, monkeypatch, no_charts):
    summary = plain(summarize(made_rows(), resamples=10))
    one = len(render(summary, META, [example])) - len(render(summary, META))
    monkeypatch.setattr("audiocodec.evaluation.report.html.MAX_BYTES", round(2.5 * one))
    _, found = read(render(summary, META, [example] * 5))
    assert found.tags.count("audio") == 4


def flattered(row):
    """Distill-MOS goes its own way."""
    row["distillmos"] = 1.0 + np.log2(row["nominal_bitrate"] / 1000) / 2 + (row["codec"] == "far")


FLATTERY = {**META, "codecs": [{**META["codecs"][0], "imitates": ["pesq_wb", "stoi"]}]}


def test_a_score_that_a_loss_imitates_is_marked_and_does_not_lead(made_rows, no_charts):
    summary = plain(summarize(made_rows(flattered, metrics=("distillmos",)), resamples=50))
    text, _ = read(render(summary, FLATTERY))
    assert "On clean speech, model reaches Distill-MOS 1.50" in text
    assert "* The training losses of model imitate PESQ-WB: these scores overrate it" in text
    lines = re.findall(r"<tr.*?</tr>", render(summary, FLATTERY), re.DOTALL)
    heads = next(line for line in lines if "Encode and decode" in line)
    assert heads.index("Distill-MOS") < heads.index("PESQ-WB")
    marked = {re.sub("<[^>]*>", " ", line).split()[0] for line in lines if re.search(r"[0-9]\*<small>", line)}
    assert marked == {"model"}  # what imitates nothing is measured fairly
    text, _ = read(render(summary, META))
    assert "On clean speech, model reaches PESQ-WB" in text
    assert "* The training losses" not in text
    assert not re.search(r"[0-9]\*", text)


def test_an_imitated_score_leads_where_there_is_no_other(made_rows, no_charts):
    text, _ = read(render(plain(summarize(made_rows(), resamples=20)), FLATTERY))
    assert "On clean speech, model reaches PESQ-WB" in text
    assert "* The training losses of model imitate PESQ-WB" in text
