"""The page of a run: whole, alone, with every number of the log that it names."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

from audiocodec.training.run.report import read_log, write_report

SCORES = {"pesq_wb/2": 1.5, "pesq_wb/4": 2.345, "pesq_wb/0": 3.0, "stoi/4": 0.9, "si_sdr/4": -1.0}


class Tags(HTMLParser):
    """Checks that what is opened is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "br", "circle"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def folder(tmp_path):
    lines = [
        {"group": "train", "step": step, "total": 5.0 / step, "mel": 0.5, "grad_norm": None, "usage/0": 0.5,
         "audio_seconds_per_second": 21.0, "waiting_share": 0.01, "environment/street": 0.25}
        for step in (1, 2, 4)
    ]  # fmt: skip
    noisy = {f"{name}/street": value / 2 for name, value in SCORES.items() if not name.endswith("/0")}
    use = {"usage/0": 0.75, "usage/1": 0.5, "perplexity/0": 20.0, "perplexity/1": 10.0}
    lines += [{"group": "valid", "step": 4, **SCORES, **noisy, **use}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "log.jsonl").write_text(text + '{"group": "tr')  # cut off by a kill
    return tmp_path


def words(folder):
    text = (folder / "report.html").read_text()
    parser = Tags()
    parser.feed(text)
    assert parser.open == []
    assert parser.links == []
    assert "http" not in text.replace("http-equiv", "")
    return re.sub(r"\s+", " ", re.sub("<style>.*</style>|<[^>]*>", " ", text, flags=re.DOTALL))


def test_what_the_page_says(folder, recipe):
    skipped = {"a<b>.wav": "a<b>.wav: empty"}
    write_report(folder, replace(recipe, name="mine"), torch.device("cpu"), skipped)
    text = words(folder)
    for part in (
        "mine",
        "4 of 12 steps",
        "1.25 total loss",
        "21 times real time",
        "1.0 % of the time waiting",
    ):
        assert part in text
    assert "2.35 PESQ-WB now" in text  # with the most quantizers, not unquantized
    assert "as recorded 1.50 2.35" in text
    assert "street 25 % 0.75 1.17" in text
    assert "from 0.75 in the first stage to 0.5 in the last" in text
    assert "Recordings left out: 1" in text
    assert "a&lt;b&gt;.wav: empty" in text
    assert "weight_ema_decay: 0.998" in text
    assert f"torch {torch.__version__.split('+')[0]}" in text


def test_a_run_without_validation(folder, recipe):
    lines = (folder / "log.jsonl").read_text().splitlines(keepends=True)
    (folder / "log.jsonl").write_text("".join(line for line in lines if "train" in line))
    write_report(folder, recipe, torch.device("cpu"), {})
    text = words(folder)
    assert "Validation" not in text
    assert "Environments" not in text
    assert "in a batch" in text  # the use of codes is that of the training
    assert "Recordings left out None." in text


def test_nothing_logged_yet(tmp_path, recipe):
    (tmp_path / "log.jsonl").write_text("")
    write_report(tmp_path, recipe, torch.device("cpu"), {})
    assert "0 of 12 steps" in words(tmp_path)


def test_reading_the_log(folder):
    curves = read_log(folder / "log.jsonl")
    assert curves.train["mel"] == [(1, 0.5), (2, 0.5), (4, 0.5)]
    assert curves.valid["pesq_wb/4"] == [(4, 2.345)]
    assert curves.valid["pesq_wb/4/street"] == [(4, 2.345 / 2)]


@pytest.mark.parametrize(
    "line",
    [
        b'{"group": "train", "ste',
        b'{"group": "train"}',
        b'{"group": "train", "step": 4, "mel": "x"}',
        b'{"group": "train", "step": -1, "mel": 0.5}',
        b'{"group": "train", "step": Infinity, "mel": 0.5}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_damaged_lines_are_named_and_left_out(folder, caplog, line):
    before, path = read_log(folder / "log.jsonl"), folder / "log.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(whole[0] + line + b"\n" + b"".join(whole[1:]))
    assert read_log(path) == before
    assert f"{path}, line 2: no line of a log" in caplog.text
