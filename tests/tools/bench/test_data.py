"""What the tool measures is the training's own reading; times are not looked at."""

import importlib.util
from pathlib import Path

import soundfile

from audiocodec.training.data.config import DataConfig

PATH = Path(__file__).parents[3] / "tools" / "bench" / "data.py"


def test_prints_a_row_for_each_way(tmp_path, voice, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("bench_data", PATH)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", voice(40.0, seed=number).T, 16000)
    options = ["--data", str(tmp_path), "--hours", "1", "--batches", "3", "--jobs", "1,2"]
    monkeypatch.setattr("sys.argv", ["bench_data.py", *options])
    monkeypatch.setattr(tool, "DataConfig", lambda: DataConfig(batch_size=2, shuffle_segments=8))
    tool.main()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[-4:-2] for line in lines if line[0] == "decode"] == [["1", "120"], ["2", "120"]]
    assert [line[-4:-2] for line in lines if line[:3] == ["draw", "from", "shards"]] == [
        ["1", "12"],
        ["2", "12"],
    ]
    assert len(lines) == 7
