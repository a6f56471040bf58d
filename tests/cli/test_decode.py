import numpy as np
import pytest
import soundfile

from audiocodec.bitstream import ContainerReader


@pytest.fixture
def nac(codec, voice, tmp_path):
    """talk.nac: 4.3 s, stereo, 22.05 kHz."""
    path = tmp_path / "talk.nac"
    path.write_bytes(codec.compress(voice(4.3, 22050, 2), 22050))
    return path


def read(path):
    return soundfile.read(path, dtype="float32", always_2d=True)[0].T


def test_the_original_form_comes_back(run, nac, codec, tmp_path):
    result = run("decode", "talk.nac")
    assert result.exit_code == 0, result.stderr
    assert "talk.nac -> talk.wav: 4.30 s" in result.stdout
    found = soundfile.info(tmp_path / "talk.wav")
    assert (found.samplerate, found.channels, found.frames, found.subtype) == (22050, 2, 94815, "PCM_16")
    whole, _ = codec.decompress(nac.read_bytes())
    np.testing.assert_allclose(read(tmp_path / "talk.wav"), np.clip(whole, -1, 1), atol=1 / 32768)


def test_the_ending_chooses_the_format(run, nac, tmp_path):
    assert run("decode", "talk.nac", "-o", "talk.flac").exit_code == 0
    assert soundfile.info(tmp_path / "talk.flac").format == "FLAC"
    result = run("decode", "talk.nac", "-o", "talk.xyz")
    assert result.exit_code == 1
    assert "unknown ending '.xyz'" in result.stderr
    result = run("decode", "talk.nac", "--subtype", "PCM_17")
    assert result.exit_code == 1
    assert "no subtype 'PCM_17'; use one of" in result.stderr


def test_json(run, nac, codec, rows):
    (row,) = rows(run("decode", "talk.nac", "--json"))
    assert row == {
        "file": "talk.nac",
        "output": "talk.wav",
        "warnings": [],
        "seconds": 4.3,
        "sample_rate": 22050,
        "channels": 2,
        "length": 94815,
        "model": "tiny",
        "codebook": codec.codebook_id[:32],
        "lost": [],
        "clipped": 0,
        "gain_db": 0.0,
    }


def test_a_part(run, nac, codec, tmp_path):
    result = run("decode", "talk.nac", "--start", 2.5, "--duration", 1.25, "--subtype", "FLOAT")
    assert result.exit_code == 0
    whole, _ = codec.decompress(nac.read_bytes())
    first = round(2.5 * 22050)
    wav = read(tmp_path / "talk.wav")
    np.testing.assert_allclose(wav, whole[:, first : first + round(1.25 * 22050)], atol=2e-5)
    result = run("decode", "talk.nac", "-o", "late.wav", "--start", 9)
    assert result.exit_code == 1
    assert "error: talk.nac: cannot start at 9.0 s: the recording has 4.300 s" in result.stderr


def test_pipes(run, nac, tmp_path):
    assert run("decode", "talk.nac").exit_code == 0
    expected = (tmp_path / "talk.wav").read_bytes()
    assert run("decode", "-", "-o", "-", stdin=nac.read_bytes()).stdout_bytes == expected
    assert run("decode", "talk.nac", "-o", "-").stdout_bytes == expected


def test_folders_keep_their_tree(run, nac, tmp_path):
    (tmp_path / "in/deep").mkdir(parents=True)
    nac.rename(tmp_path / "in/deep/a.nac")
    assert run("decode", "in", "-o", "out").exit_code == 0
    assert (tmp_path / "out/deep/a.wav").exists()
    result = run("decode", "out")
    assert result.exit_code == 1
    assert "out: the folder has no file ending in .nac" in result.stderr


def test_a_model_that_is_not_installed_is_named(run, nac, tiny_folder, installed, monkeypatch, tmp_path):
    from audiocodec import pretrained

    monkeypatch.setattr(pretrained, "data_folder", lambda: tmp_path)
    result = run("decode", "talk.nac")
    assert result.exit_code == 1
    assert "made with model 'tiny' (identity " in result.stderr
    assert "not installed; name its folder (--model)" in result.stderr
    assert run("decode", "talk.nac", "--model", tiny_folder).exit_code == 0


def test_a_file_of_another_model(run, nac, tiny_config, tmp_path):
    import torch

    from audiocodec.checkpoint import save_model
    from audiocodec.model import build_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        save_model(tmp_path / "other", build_model(tiny_config), tiny_config)
    result = run("decode", "talk.nac", "--model", "other")
    assert result.exit_code == 1
    assert "error: talk.nac: made with model 'tiny'" in result.stderr
    assert "choose that model" in result.stderr
    assert not (tmp_path / "talk.wav").exists()


def test_files_that_cannot_be_decoded(run, nac, tmp_path):
    data = nac.read_bytes()
    bad = {
        "cut.nac": data[: len(data) // 2],
        "short.nac": data[:20],
        "empty.nac": b"",
        "text.nac": b"hello, this is a text",
        "wave.nac": b"RIFF\x00\x00\x00\x00WAVEfmt ",
        "changed.nac": data[:300] + bytes([data[300] ^ 8]) + data[301:],
        "header.nac": data[:30] + bytes([data[30] ^ 8]) + data[31:],
        "more.nac": data + b"x",
        "later.nac": data[:4] + b"\x63" + data[5:],
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    result = run("decode", *bad, "missing.nac", "talk.nac", "-o", "out")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) == len(bad) + 1
    for name in (*bad, "missing.nac"):
        (line,) = [line for line in lines if line.startswith(f"error: {name}: ")]
        assert line.count(name) == 1
        assert "internal" not in line
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["talk.wav"]


def test_damage_names_the_seconds_and_can_be_filled(run, nac, rows, tmp_path):
    with nac.open("rb") as file:
        position = ContainerReader(file).index[2] + 30
    data = bytearray(nac.read_bytes())
    data[position] ^= 1
    nac.write_bytes(data)
    result = run("decode", "talk.nac")
    assert result.exit_code == 1
    assert "1.98 to 2.98 s are lost" in result.stderr
    assert not (tmp_path / "talk.wav").exists()
    result = run("decode", "talk.nac", "--conceal", "--json")
    assert result.exit_code == 0
    assert rows(result)[0]["lost"] == [[1.98, 2.98]]
    assert result.stderr.startswith("warning: talk.nac: packet 2 cannot be read")
    assert soundfile.info(tmp_path / "talk.wav").frames == 94815


def test_a_file_that_lost_more_than_the_limit_is_refused(run, nac, rows, tmp_path):
    """2 of its 4.3 s are lost."""
    with nac.open("rb") as file:
        index = ContainerReader(file).index
    data = bytearray(nac.read_bytes())
    for packet in (1, 2):
        data[index[packet] + 30] ^= 1
    nac.write_bytes(data)
    result = run("decode", "talk.nac", "--conceal", "--conceal-limit", 1, "--json")
    assert result.exit_code == 1
    (row,) = rows(result)
    assert row["kind"] == "BitstreamError"
    assert "error: talk.nac: 2.00 s are lost and 2.32 s can be read; 1.00 s may be filled" in result.stderr
    assert not (tmp_path / "talk.wav").exists()
    assert run("decode", "talk.nac", "--conceal", "--conceal-limit", 2).exit_code == 0
    assert run("decode", "talk.nac", "--conceal", "--force").exit_code == 0
    assert soundfile.info(tmp_path / "talk.wav").frames == 94815
    result = run("decode", "talk.nac", "--conceal-limit", 2)
    assert result.exit_code == 2
    assert "--conceal-limit is for --conceal" in result.stderr


def test_what_is_beyond_full_scale_is_named_and_can_be_kept(run, codec, rows, tmp_path):
    """The codec gives back more than 1 where it was given more; 16 bits cannot hold it."""
    loud = 3 * np.sin(np.arange(16000, dtype=np.float32) / 9)[None]
    (tmp_path / "loud.nac").write_bytes(codec.compress(loud, 16000))
    full = codec.decompress((tmp_path / "loud.nac").read_bytes())[0]
    peak = float(np.abs(full).max())
    assert peak > 1.5
    result = run("decode", "loud.nac", "-o", "a.wav", "--json")
    (row,) = rows(result)
    assert row["clipped"] == int((np.abs(full) > 1).sum())
    assert f"the largest is {peak:.2f}; to keep them, lower the level with --rescale" in result.stderr
    result = run("decode", "loud.nac", "-o", "b.wav", "--json", "--rescale")
    (row,) = rows(result)
    assert (row["clipped"], result.stderr) == (0, "")
    assert row["gain_db"] == pytest.approx(-20 * np.log10(peak), abs=1e-4)
    np.testing.assert_allclose(soundfile.read("b.wav")[0], full[0] / peak, atol=1e-4)
    result = run("decode", "loud.nac", "-o", "c.wav", "--subtype", "FLOAT")
    assert result.stderr == ""
    np.testing.assert_array_equal(soundfile.read("c.wav", dtype="float32")[0], full[0])
