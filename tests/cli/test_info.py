import pytest


@pytest.fixture
def nac(codec, voice, tmp_path):
    path = tmp_path / "talk.nac"
    path.write_bytes(codec.compress(voice(2.3, 44100, 2), 44100, 1500))
    return path


def test_json(run, nac, codec, rows):
    result = run("info", "talk.nac", "--json")
    assert result.exit_code == 0
    (row,) = rows(result)
    size = nac.stat().st_size
    payload = row.pop("payload_bitrate")
    # 6-bit codes: 5 rows, 2 channels, 116 frames, filled up to whole bytes in each of 3 packets.
    assert payload == pytest.approx(8 * (375 + 375 + 120) / 2.3)
    assert row == {
        "file": "talk.nac",
        "seconds": 2.3,
        "sample_rate": 44100,
        "channels": 2,
        "model": "tiny",
        "codebook": codec.codebook_id[:32],
        "num_quantizers": 5,
        "nominal_bitrate": 3000.0,
        "bytes": size,
        "bitrate": pytest.approx(8 * size / 2.3),
        "length": 101430,
        "packets": 3,
        "packet_frames": 50,
        "frame_rate": 50.0,
        "model_id": codec.model_id[:32],
        "codebook_id": codec.codebook_id[:32],
        "model_sample_rate": 16000,
        "installed": True,
        "codebook_installed": True,
        "coder": 0,
        "checksums": "good",
        "damage": [],
    }


def test_for_people(run, nac, codec):
    text = run("info", "talk.nac").stdout
    assert text.startswith("talk.nac\n")
    for word in (codec.model_id[:32], codec.codebook_id[:32], "good", "44100"):
        assert word in text


def test_damage_is_shown_and_is_a_failure(run, nac, rows, tmp_path):
    data = bytearray(nac.read_bytes())
    data[-40] ^= 1
    (tmp_path / "bad.nac").write_bytes(data)
    (tmp_path / "cut.nac").write_bytes(data[:400])
    result = run("info", "bad.nac", "cut.nac", "talk.nac", "--json")
    assert result.exit_code == 1
    found = {row["file"]: row for row in rows(result) if "checksums" in row}
    assert {name: row["checksums"] for name, row in found.items()} == {
        "bad.nac": "damaged",
        "cut.nac": "damaged",
        "talk.nac": "good",
    }
    assert found["bad.nac"]["damage"][0]["start_seconds"] == pytest.approx(1.98)
    assert "error: bad.nac: packet 2 cannot be read" in result.stderr


def test_files_that_are_none(run, nac, tmp_path):
    (tmp_path / "text.nac").write_text("hello")
    result = run("info", "text.nac", "missing.nac", "talk.nac")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 2
    assert "talk.nac" in result.stdout


def test_a_pipe(run, nac, rows):
    (row,) = rows(run("info", "-", "--json", stdin=nac.read_bytes()))
    assert (row["file"], row["packets"]) == ("-", 3)
