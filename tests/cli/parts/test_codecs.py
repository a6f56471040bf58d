"""What is wrong with names and numbers is told before a model is loaded."""

import pytest

COMMANDS = [
    ("encode", "gone.wav"),
    ("encode", "talk.wav", "-o", "there.nac"),
    ("encode", "talk.wav", "--bitrate", "-5"),
    ("encode", "talk.wav", "--bitrate", "nan"),
    ("encode", "talk.wav", "--model", "nowhere"),
    ("encode", "talk.wav", "--store", "nowhere"),
    ("decode", "gone.nac"),
    ("decode", "there.nac", "-o", "there.nac.wav", "--model", "nowhere"),
    ("tokens", "gone.wav", "-o", "codes"),
    ("roundtrip", "gone.wav"),
    ("roundtrip", "talk.wav", "--store", "nowhere"),
    ("monitor", "gone.wav"),
    ("baseline", "gone.wav", "-o", "b.safetensors"),
    ("baseline", "talk.wav", "-o", "b.safetensors", "--held-out", "gone"),
    ("refresh", "gone.wav", "--store", "books"),
    ("refresh", "talk.wav", "--store", "books", "--clean", "gone"),
    ("adapt", "--watch", "gone", "--store", "books", "--once"),
    ("bench", "gone.wav"),
    ("evaluate", "--data", "gone", "-o", "results"),
    ("evaluate", "--data", ".", "--split", "all", "-o", "full"),
    ("evaluate", "--data", ".", "--split", "all", "-o", "results", "--model", "nowhere"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_model_is_loaded_for_what_cannot_be_done(run, speech, tmp_path, monkeypatch, arguments):
    def load(*arguments, **options):
        raise AssertionError("a model is loaded")

    monkeypatch.setattr("audiocodec.codec.load_model", load)
    (tmp_path / "there.nac").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "rows.csv").touch()
    result = run(*arguments)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    wanted = ("gone", "there.nac", "bitrate", "nowhere", "full")
    assert any(word in result.stderr for word in wanted)
    assert not (tmp_path / "books").exists()


def test_what_can_be_done_is_done_when_something_cannot(run, speech):
    result = run("encode", "gone.wav", "talk.wav")
    assert result.exit_code == 1
    assert result.stderr == "error: gone.wav: no such file; check the name\n"
    assert (speech.parent / "talk.nac").is_file()
