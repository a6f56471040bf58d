from audiocodec import pretrained


def test_json(run, rows, codec):
    (row,) = rows(run("models", "--json"))
    assert row["name"] == "tiny"
    assert row["bitrates"] == list(codec.bitrates)
    assert row["model_id"] == codec.model_id
    assert (row["sample_rate"], row["latency_ms"], row["licence"], row["default"]) == (
        16000,
        40.0,
        "MIT",
        True,
    )


def test_for_people(run):
    text = run("models").stdout
    for word in ("tiny (default)", "16000", "300 to 2400 in 8 steps", "0.1 M", "40", "MIT"):
        assert word in text


def test_none(run, monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "data_folder", lambda: tmp_path)
    result = run("models")
    assert (result.exit_code, result.stdout) == (0, "no pretrained model is installed\n")
    assert run("models", "--json").stdout == ""


def test_a_damaged_index(run, monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "data_folder", lambda: tmp_path)
    (tmp_path / "index.json").write_text("{")
    result = run("models")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "index.json: damaged" in result.stderr
