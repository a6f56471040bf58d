import pytest


def test_json(run, rows, speech, tiny_folder):
    result = run("bench", speech, "--model", tiny_folder, "--bitrates", "2400", "--repeats", 1, "--json",
                 "--peer", "copy=cp {in} {out}")  # fmt: skip
    found = rows(result)
    assert [(row["codec"], row["bitrate"]) for row in found[:2]] == [("tiny", 2400.0), ("copy", 2400.0)]
    tiny, copy, about = found
    assert tiny["payload_bitrate"] == pytest.approx(2400, rel=0.2)
    both = 1 / tiny["encode_speed"] + 1 / tiny["decode_speed"]
    assert 1 / tiny["speed"] == pytest.approx(both)  # one run: the best is the only one
    assert tiny["peak_mb"] > 50
    assert (copy["encode_speed"], copy["decode_speed"], copy["peak_mb"]) == (None, None, None)
    assert about["summary"]
    assert (about["threads"], about["seconds"]) == (1, pytest.approx(1.3))
    assert result.exit_code == 0


def test_for_people(run, tiny_folder):
    result = run("bench", "--model", tiny_folder, "--bitrates", "600", "--seconds", 1, "--repeats", 1,
                 "--peer", "bad=false {in} {out}", "--peers", "lyra")  # fmt: skip
    assert "peak MB" in result.stdout
    assert "tiny" in result.stdout
    assert "warning: lyra: skipped: lyra needs the folder" in result.stderr
    assert "error: bad at 600 bit/s: bad: " in result.stderr
    assert result.exit_code == 1


def test_usage(run, tiny_folder):
    assert run("bench", "--seconds", 0).exit_code == 2
    result = run("bench", "--model", tiny_folder, "--peers", "mp4")
    assert result.exit_code == 1
    assert "no codec 'mp4'" in result.stderr
    assert "no such file" in run("bench", "missing.wav", "--model", tiny_folder).stderr
