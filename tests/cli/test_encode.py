import io
import json
import os
import shutil

import numpy as np
import pytest
import soundfile

from audiocodec import pretrained
from audiocodec.bitstream import ContainerReader


def error_lines(result):
    lines = result.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines), lines
    return lines


def test_a_file_beside_its_source(run, speech, codec):
    result = run("encode", "talk.wav", "--bitrate", 900)
    assert result.exit_code == 0, result.stderr
    data = speech.with_suffix(".nac").read_bytes()
    assert data == codec.compress(soundfile.read(speech, dtype="float32")[0], 16000, 900)
    assert "talk.wav -> talk.nac: 1.30 s" in result.stdout
    assert f"{len(data)} bytes" in result.stdout
    assert result.stderr == ""


def test_json_measures_the_file(run, speech, rows):
    (row,) = rows(run("encode", "talk.wav", "-o", "out.nac", "--json"))
    size = os.path.getsize("out.nac")
    assert row["bytes"] == size
    assert row["bitrate"] == pytest.approx(8 * size / 1.3)
    assert (row["file"], row["output"], row["model"]) == ("talk.wav", "out.nac", "tiny")
    assert (row["seconds"], row["sample_rate"], row["channels"]) == (1.3, 16000, 1)
    assert (row["num_quantizers"], row["nominal_bitrate"]) == (8, 2400.0)


def test_quiet_prints_nothing(run, speech):
    result = run("encode", "talk.wav", "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_report_scores_the_result(run, speech, rows):
    (row,) = rows(run("encode", "talk.wav", "--report", "--json"))
    assert 1.0 < row["pesq_wb"] < 4.7
    assert 0 < row["stoi"] <= 1
    assert row["errors"] == {}
    line = run("encode", "talk.wav", "--report", "--force").stdout
    assert f"pesq_wb {row['pesq_wb']:.3f}" in line


def test_folders_keep_their_tree(run, voice, tmp_path):
    for name in ("in/a.wav", "in/deep/er/b.flac", "in/deep/.hidden.wav", "in/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("in/a.wav", "in/deep/er/b.flac"):
        soundfile.write(tmp_path / name, voice(0.2).T, 16000)
    result = run("encode", "in", "-o", "out")
    assert result.exit_code == 0, result.stderr
    found = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "out").rglob("*.*"))
    assert found == ["out/a.nac", "out/deep/er/b.nac"]


def test_one_file_into_a_folder(run, speech, tmp_path):
    (tmp_path / "there").mkdir()
    assert run("encode", "talk.wav", "-o", "there").exit_code == 0
    assert run("encode", "talk.wav", "-o", "new/").exit_code == 0
    assert (tmp_path / "there/talk.nac").read_bytes() == (tmp_path / "new/talk.nac").read_bytes()


def test_pipes(run, speech, codec):
    expected = codec.compress(soundfile.read(speech, dtype="float32")[0], 16000)
    result = run("encode", "-", "-o", "-", stdin=speech.read_bytes())
    assert result.exit_code == 0
    assert result.stdout_bytes == expected
    assert run("encode", "-", stdin=speech.read_bytes()).stdout_bytes == expected
    assert run("encode", "talk.wav", "-o", "-").stdout_bytes == expected


def test_a_bad_pipe(run):
    for stdin in (b"", b"no sound at all"):
        result = run("encode", "-", "-o", "-", stdin=stdin)
        assert (result.exit_code, result.stdout_bytes) == (1, b"")
        assert error_lines(result)[0].startswith("error: -: ")
        assert "/tmp" not in result.stderr


def test_wrong_usage(run, speech):
    for arguments in (
        ("encode",),
        ("encode", "talk.wav", "--no-such-option"),
        ("encode", "talk.wav", "talk.wav2", "-o", "-"),
        ("encode", "talk.wav", "-o", "-", "--json"),
        ("encode", "talk.wav", "--jobs", "0"),
        ("encode", "talk.wav", "--bitrate", "much"),
        ("encod", "talk.wav"),
    ):
        assert run(*arguments).exit_code == 2, arguments


def write_bad(tmp_path, voice):
    """Every kind of input that cannot be encoded; gives a word of the expected error for each."""
    wav = voice(0.3)[0]
    (tmp_path / "text.wav").write_bytes(b"this is a text, and no sound at all\n")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "nothing").mkdir()
    soundfile.write(tmp_path / "zero.wav", np.zeros((0, 1)), 16000)
    for name, value in (("nan", np.nan), ("inf", np.inf)):
        broken = wav.copy()
        broken[1600] = value
        soundfile.write(tmp_path / f"{name}.wav", broken, 16000, "FLOAT")
    soundfile.write(tmp_path / "slow.wav", wav, 4000)
    soundfile.write(tmp_path / "fast.wav", wav, 384000)
    data = (tmp_path / "talk.wav").read_bytes()
    (tmp_path / "header.wav").write_bytes(data[:30])
    return {
        "missing.wav": "no such file",
        "text.wav": "not a sound file",
        "empty.wav": "empty",
        "nothing": "has no file",
        "zero.wav": "no samples",
        "nan.wav": "not a finite number (NaN or infinity) at 0.100 s",
        "inf.wav": "not a finite number (NaN or infinity) at 0.100 s",
        "slow.wav": "4000 Hz is not supported",
        "fast.wav": "384000 Hz is not supported",
        "header.wav": "",
    }


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_bad_files_are_named_and_the_others_done(run, speech, voice, tmp_path, tiny_folder, rows, jobs):
    bad = write_bad(tmp_path, voice)
    before = {path.name for path in tmp_path.iterdir()}
    result = run("encode", *bad, "talk.wav", "-o", "out", "--json", "--jobs", jobs, "--model", tiny_folder)
    assert result.exit_code == 1
    lines = error_lines(result)
    assert len(lines) == len(bad)
    for name, words in bad.items():
        (line,) = [line for line in lines if line.startswith(f"error: {name}: ")]
        assert words in line, line
        assert line.count(name) == 1, line
        assert "internal" not in line
    done = [row for row in rows(result) if "error" not in row]
    assert [row["file"] for row in done] == ["talk.wav"]
    assert {row["file"] for row in rows(result) if "error" in row} == set(bad)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["talk.nac"]
    assert {path.name for path in tmp_path.iterdir()} == before | {"out"}


@pytest.mark.parametrize(
    ("rate", "channels", "subtype", "length"),
    [
        (16000, 1, "PCM_16", 1),
        (8000, 1, "PCM_16", 4001),
        (192000, 1, "PCM_24", 40000),
        (48000, 8, "PCM_16", 9999),
        (44100, 2, "PCM_24", 30001),
        (22050, 1, "FLOAT", 5000),
        (16000, 1, "DOUBLE", 5000),
        (16000, 1, "ULAW", 5000),
        (16000, 1, "PCM_U8", 5000),
    ],
)
def test_every_kind_of_sound_comes_back(run, voice, tmp_path, rate, channels, subtype, length):
    wav = voice(1.0, rate, channels)[:, :length]
    soundfile.write(tmp_path / "a.wav", wav.T, rate, subtype)
    assert run("encode", "a.wav").exit_code == 0
    result = run("decode", "a.nac", "-o", "b.wav", "--subtype", "PCM_24")
    assert result.exit_code == 0, result.stderr
    found = soundfile.info(tmp_path / "b.wav")
    assert (found.samplerate, found.channels, found.frames, found.subtype) == (
        rate,
        channels,
        length,
        "PCM_24",
    )


@pytest.mark.parametrize("make", [np.zeros, lambda n: 3.0 * np.sign(np.sin(np.arange(n) / 9))])
def test_silence_and_clipping(run, tmp_path, make):
    soundfile.write(tmp_path / "a.wav", make(20000), 16000, "FLOAT")
    assert run("encode", "a.wav").exit_code == 0
    assert run("decode", "a.nac", "-o", "b.wav").exit_code == 0
    assert soundfile.info(tmp_path / "b.wav").frames == 20000


def test_nothing_is_overwritten_unless_asked(run, speech, tmp_path):
    (tmp_path / "talk.nac").write_bytes(b"precious")
    result = run("encode", "talk.wav")
    assert result.exit_code == 1
    assert error_lines(result) == [
        "error: talk.wav: talk.nac: exists already; replace it with --force, or choose another name"
    ]
    assert (tmp_path / "talk.nac").read_bytes() == b"precious"
    assert run("encode", "talk.wav", "--force").exit_code == 0
    assert (tmp_path / "talk.nac").read_bytes()[:4] == b"NAC1"


def test_two_inputs_never_share_an_output(run, speech, voice, tmp_path):
    soundfile.write(tmp_path / "talk.flac", voice(0.2).T, 16000)
    result = run("encode", "talk.wav", "talk.flac")
    assert result.exit_code == 0, result.stderr
    written = [(tmp_path / f"talk.{kind}.nac").read_bytes() for kind in ("wav", "flac")]
    assert [ContainerReader(io.BytesIO(data)).length for data in written] == [20800, 3200]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "talk.wav").write_bytes(speech.read_bytes())
    result = run("encode", "talk.wav", "deep/talk.wav", "-o", "out")
    assert result.exit_code == 1
    assert error_lines(result) == [
        "error: deep/talk.wav: the output out/talk.nac belongs to talk.wav; use -o with another folder"
    ]


def test_an_input_is_never_replaced(run, speech):
    data = speech.read_bytes()
    result = run("encode", "talk.wav", "-o", "talk.wav", "--force")
    assert result.exit_code == 2
    assert "name the output talk.nac" in " ".join(result.stderr.replace("│", " ").split())
    assert speech.read_bytes() == data


def test_outputs_that_cannot_be_written(run, speech, tmp_path):
    (tmp_path / "file").touch()
    for out in ("file/deep/", "/proc/none/talk.nac"):
        result = run("encode", "talk.wav", "-o", out)
        assert result.exit_code == 1
        assert len(error_lines(result)) == 1
        assert "internal" not in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(run, speech, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    result = run("encode", "talk.wav", "-o", "locked/talk.nac")
    assert result.exit_code == 1
    assert "cannot be written" in error_lines(result)[0]


def test_an_unknown_model_or_bitrate_is_said_once(run, speech, voice, tmp_path):
    soundfile.write(tmp_path / "two.wav", voice(0.2).T, 16000)
    result = run("encode", "talk.wav", "two.wav", "--model", "none-such")
    assert result.exit_code == 1
    assert error_lines(result) == [
        "error: model 'none-such' is not known; pretrained are: tiny; or name a model folder"
    ]
    result = run("encode", "talk.wav", "two.wav", "--bitrate", 1234)
    assert result.exit_code == 1
    assert error_lines(result) == [
        "error: bitrate 1234 bit/s is not offered by this model; choose one of 300, 600, 900, 1200, 1500,"
        " 1800, 2100, 2400"
    ]
    assert not list(tmp_path.glob("*.nac"))


def test_an_unknown_codebook(run, speech, codec):
    assert run("encode", "talk.wav", "--codebook", codec.codebook_id).exit_code == 0
    result = run("encode", "talk.wav", "--force", "--codebook", "ab" * 32)
    assert result.exit_code == 1
    assert "codebook abab" in error_lines(result)[0]


def test_what_nobody_expected_is_reported_and_the_others_done(run, speech, voice, tmp_path, monkeypatch):
    from audiocodec.codec import Codec

    soundfile.write(tmp_path / "two.wav", voice(0.2).T, 16000)
    original = Codec.compress_file

    def fail_once(self, source, *arguments, **options):
        if source.name == "talk.wav":
            raise ZeroDivisionError("a bug\nof ours")
        return original(self, source, *arguments, **options)

    monkeypatch.setattr(Codec, "compress_file", fail_once)
    result = run("encode", "talk.wav", "two.wav")
    assert result.exit_code == 1
    assert error_lines(result) == [
        "error: talk.wav: internal error: ZeroDivisionError: a bug of ours; please report it"
    ]
    assert (tmp_path / "two.nac").exists()


def test_a_file_that_is_cut_off_is_encoded_with_a_warning_or_refused(run, tmp_path, rows):
    whole = np.zeros(2 * 16000, np.float32) + 0.1 * np.sin(np.arange(32000) / 9)
    soundfile.write(tmp_path / "a.wav", whole, 16000)
    data = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(data[: len(data) // 2])
    refused = run("encode", tmp_path / "a.wav", "--strict")
    assert refused.exit_code == 1
    assert "cut off: its header says 2.000 s, 0.999 s are there; get a whole copy" in refused.stderr
    assert not (tmp_path / "a.nac").exists()
    for command in (("roundtrip",), ("tokens", "-o", tmp_path)):
        assert "get a whole copy" in run(*command, tmp_path / "a.wav", "--strict").stderr
    warning = "cut off: its header says 2.000 s, 0.999 s are there\n"
    done = run("encode", tmp_path / "a.wav", "--report")  # reads it twice
    assert done.exit_code == 0
    assert done.stderr == f"warning: {tmp_path / 'a.wav'}: {warning}"
    assert (tmp_path / "a.nac").exists()
    (row,) = rows(run("encode", tmp_path / "a.wav", "--force", "--json"))
    assert row["warnings"] == [warning.strip()]
    piped = run("encode", "-", "-o", tmp_path / "b.nac", stdin=data[: len(data) // 2])
    assert piped.stderr == f"warning: -: {warning}"


def test_denoised(run, speech, denoising, denoising_folder):
    assert run("encode", "talk.wav", "--model", denoising_folder, "--denoise").exit_code == 0
    wav = soundfile.read(speech, dtype="float32")[0]
    data = speech.with_suffix(".nac").read_bytes()
    assert data == denoising.compress(wav, 16000, denoise=True)
    assert data != denoising.compress(wav, 16000)


def test_a_model_that_cannot_denoise(run, speech, tmp_path, installed, monkeypatch):
    result = run("encode", "talk.wav", "--denoise")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "error: model 'tiny' has no denoising switch; installed models with one: none; leave out --denoise,"
        " or name one of these or a folder (--model)"
    ]
    assert not (tmp_path / "talk.nac").exists()
    index = json.loads((installed / "index.json").read_text())
    index["models"]["quiet"] = {**index["models"]["tiny"], "denoise": True}
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "index.json").write_text(json.dumps(index))
    shutil.copytree(installed / "tiny", tmp_path / "root" / "tiny")
    monkeypatch.setattr(pretrained, "data_folder", lambda: tmp_path / "root")
    assert "installed models with one: quiet;" in run("encode", "talk.wav", "--denoise").stderr
    assert " yes " in run("models").stdout
