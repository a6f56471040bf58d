import json
import pickle
import sys
from pathlib import Path

import pandas as pd
import pytest
import soundfile
import typer

from audiocodec.adaptation.registry import Registry, round_changes
from audiocodec.cli.evaluate import parse_bitrates, parse_formats, parse_peer_models, parse_peers
from audiocodec.evaluation.schedule import Schedule
from audiocodec.work import Backend

finish = Schedule.run


@pytest.fixture
def folder(voice, tmp_path):
    """Two speakers, and a noise."""
    for seed, name in enumerate(("speech/ann/a.wav", "speech/ben/b.wav", "noise/hum.wav")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, voice(1.0, seed=seed)[0], 16000)
    return tmp_path


QUICKLY = ("--bitrates", "600,1500", "--metrics", "stoi,si_sdr", "--jobs", 1, "--conditions", "clean")


def test_a_folder_of_results(run, folder, rows, request):
    chosen = ("--noise", "noise", *QUICKLY, "--conditions", "white_0db")
    arguments = ("evaluate", "--data", "speech", *chosen, "-o", "out")
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    *found, summary = rows(result)
    assert len(found) == 8
    assert (summary["summary"], summary["rows"], summary["failed_rows"]) == (True, 8, 0)
    frame = pd.read_parquet(folder / "out" / "rows.parquet")
    assert frame["file"].tolist() == [row["file"] for row in found]
    assert frame["model"].unique().tolist() == ["tiny"]
    assert len(pd.read_csv(folder / "out" / "rows.csv")) == 8
    written = json.loads((folder / "out" / "summary.json").read_text())
    assert written["run"]["conditions"][1]["name"] == "white_0db"
    assert (folder / "out" / "report.html").stat().st_size > 1000

    result = run(*arguments)
    assert result.exit_code == 1
    assert "--resume goes on with them, --force replaces them" in result.stderr
    request.getfixturevalue("here")
    (folder / "speech" / "cid").mkdir()
    soundfile.write(
        folder / "speech" / "cid" / "c.wav", soundfile.read(folder / "noise" / "hum.wav")[0], 16000
    )
    summary = rows(run(*arguments, "--resume", "--json"))[-1]
    assert (summary["rows"], summary["reused_rows"]) == (12, 8)


@pytest.fixture
def here(monkeypatch):
    """Workers are slow to start, and tested elsewhere."""
    monkeypatch.setattr(Schedule, "run", lambda schedule, backend: finish(schedule, Backend("here")))


@pytest.fixture
def sent(monkeypatch):
    """As `here`, with what is sent to a worker sent indeed."""

    def send_and_run(schedule, backend):
        schedule.setup = pickle.loads(pickle.dumps(schedule.setup))
        finish(schedule, Backend("here"))

    monkeypatch.setattr(Schedule, "run", send_and_run)


def test_resume_says_when_there_is_nothing_to_go_on_from(run, here, folder):
    arguments = ("evaluate", "--data", "speech", *QUICKLY, "--resume", "-o", "out", "-q")
    nothing = "warning: out: has no finished row of this run to continue from; all rows are computed\n"
    assert run(*arguments).stderr == nothing
    assert run(*arguments).stderr == ""
    assert run(*arguments, "--limit-seconds", "0.5").stderr == nothing


def test_codebooks_of_a_store_side_by_side(run, sent, folder, codec):
    registry = Registry(folder / "books", actor="tester")
    own = codec.model.quantizer.codebooks()
    parent = registry.baseline(codec.model_id, own, model="tiny").codebook_id
    new = round_changes(registry.get(parent), {name: 1.1 * entries for name, entries in own.items()})
    other = registry.publish(
        codec.model_id, new, parent, reason="louder", environment="hall", verdict={"accepted": True}
    ).codebook_id
    chosen = ("--store", "books", "--codebook", parent[:8], "--codebook", other[:8])
    result = run("evaluate", "--data", "speech", *QUICKLY, *chosen, "-o", "out")
    assert result.exit_code == 0, result.stderr
    frame = pd.read_parquet(folder / "out" / "rows.parquet")
    names = frame.groupby("codec")["codebook"].unique().map(list).to_dict()
    assert names == {"tiny": [parent[:32]], f"tiny@{other[:8]}": [other[:32]]}
    scores = frame.groupby("codec")["si_sdr"].mean()
    assert scores.iloc[0] != scores.iloc[1]


def test_the_denoising_switch_beside_the_model(run, sent, folder, denoising_folder):
    arguments = ("evaluate", "--data", "speech", *QUICKLY, "--denoise", "-o", "out")
    result = run(*arguments)
    assert result.exit_code == 1
    assert "has no denoising switch" in result.stderr
    result = run(*arguments, "--model", "tiny", "--model", denoising_folder)
    assert result.exit_code == 0, result.stderr
    frame = pd.read_parquet(folder / "out" / "rows.parquet")
    name = denoising_folder.name
    assert frame["codec"].unique().tolist() == ["tiny", name, f"{name} denoised"]


def test_word_errors_by_a_command(run, sent, folder):
    pytest.importorskip("jiwer")
    (folder / "listen.py").write_text("print('one two')")
    command = f"'{sys.executable}' listen.py {{in}}"
    result = run("evaluate", "--data", "speech", *QUICKLY, "--asr", command, "-o", "out")
    assert result.exit_code == 0, result.stderr
    assert pd.read_parquet(folder / "out" / "rows.parquet")["word_error_rate"].tolist() == [0.0] * 4
    assert "Word errors" in (folder / "out" / "report.html").read_text(encoding="utf-8")


def test_what_failed_is_named_and_the_rest_is_done(run, here, folder):
    (folder / "speech" / "ann" / "bad.wav").write_bytes(b"no sound")
    peer = "stuck=false {in} {out}"
    result = run("evaluate", "--data", "speech", *QUICKLY, "--peer", peer, "-o", "out")
    assert result.exit_code == 1
    assert "error: ann/bad.wav: " in result.stderr
    assert "not a sound file" in result.stderr
    assert "error: stuck: " in result.stderr
    assert "4 of 12 rows" in result.stderr
    assert "12 rows (8 failed)" in result.stdout
    frame = pd.read_parquet(folder / "out" / "rows.parquet")
    assert frame["stoi_input"].notna().sum() == 4


def test_what_is_not_there_is_skipped_with_its_reason(run, here, folder):
    result = run(
        "evaluate", "--data", "speech", *QUICKLY, "--conditions", "music_10db", "--peers", "lyra", "-o", "out"
    )
    assert result.exit_code == 0, result.stderr
    assert "warning: music_10db: skipped: no recording of kind music" in result.stderr
    assert "warning: lyra: skipped: " in result.stderr
    assert set(json.loads((folder / "out" / "summary.json").read_text())["run"]["skipped"]) == {
        "music_10db",
        "lyra",
    }


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ("--conditions", "quik"),
            1,
            "name a YAML file, one of default, full, quick",
        ),
        (("--conditions", "empty.yaml"), 1, "no condition; name at least one"),
        (("--bitrates", "7"), 1, "choose one of"),
        (("--bitrates", "x"), 2, "numbers with commas"),
        (("--metrics", "pesk"), 1, "no metric 'pesk'"),
        (("--peers", "opsu"), 1, "no codec 'opsu'"),
        (("--peers", "opus:x"), 2, "bitrates behind a colon"),
        (("--peer-model", "encodec"), 2, "name=folder"),
        (("--format", "pdf"), 2, "choose from html, md"),
        (("--resume", "--force"), 2, "give one of them"),
        (("--data", "nowhere"), 1, "nowhere: cannot be read"),
        (("--model", "nothing"), 1, "nothing"),
        (("--noise", "nowhere"), 1, "nowhere: no such folder"),
        (("--asr", "nowhere"), 1, "nowhere: no recognizer"),
        (("--store", "nowhere"), 1, "nowhere: no store there"),
    ],
)
def test_wrong_usage_leaves_nothing_behind(run, folder, arguments, status, message):
    (folder / "empty.yaml").write_text("")
    result = run("evaluate", "--data", "speech", "-o", "out", *arguments)
    assert result.exit_code == status, result.stderr
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert not (folder / "out").exists()


def test_numbers_with_commas():
    assert parse_bitrates("1500,6e3") == (1500.0, 6000.0)
    assert parse_bitrates(None) == ()
    with pytest.raises(typer.BadParameter, match="numbers with commas"):
        parse_bitrates("1500;3000")


def test_formats():
    assert parse_formats("html,md") == ("html", "md")
    with pytest.raises(typer.BadParameter, match="choose from html, md"):
        parse_formats("html,doc")


def test_peers_by_name_and_by_command():
    specs = parse_peers("opus:6000:12000,lyra", ["own=run {in} {out}"])
    assert specs == [("opus", (6000.0, 12000.0)), ("lyra", ()), ("own=run {in} {out}", ())]
    assert parse_peers(None, ()) == []
    peer_options = parse_peer_models(["dac=d"], Path("l"), 30.0)
    assert peer_options.folders == {"lyra": Path("l"), "dac": Path("d")}
    assert peer_options.timeout_seconds == 30.0
    assert parse_peer_models((), None, 900.0).timeout_seconds == 120.0
