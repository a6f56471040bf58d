import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from audiocodec import pretrained
from audiocodec.codec import load

REPOSITORY = Path(__file__).parents[3]


def publish(folder, root, name, *options):
    command = [sys.executable, str(REPOSITORY / "tools" / "release" / "publish_model.py"), str(folder)]
    return subprocess.run(
        [*command, "--name", name, "--licence", "MIT", "--root", str(root), *options],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_a_published_model_can_be_used_by_name(tmp_path, tiny_folder):
    done = publish(tiny_folder, tmp_path, "one", "--default", "--description", "a test")
    assert done.returncode == 0, done.stderr
    entry = pretrained.models(tmp_path)["one"]
    assert (entry.default, entry.description, entry.licence) == (True, "a test", "MIT")
    assert entry.latency_ms == pytest.approx(40.0)
    codec = load(pretrained.find("one", tmp_path), device="cpu")
    assert codec.name == "one"
    assert codec.metadata["note"] == "made by the tests"
    assert (codec.model_id, codec.codebook_id) == (entry.model_id, entry.codebook_id)
    assert (tmp_path / "one" / "model.safetensors").stat().st_size < (
        tiny_folder / "model.safetensors"
    ).stat().st_size
    stored = load_file(tmp_path / "one" / "golden.safetensors")
    assert stored["wav"].shape == (1, 32000)
    encoded = codec.encode(stored["wav"], codec.sample_rate)
    np.testing.assert_array_equal(encoded.codes, stored["codes"])
    np.testing.assert_array_equal(codec.decode(encoded)[0], stored["decoded"])


@pytest.mark.slow
def test_a_second_model_joins_the_index(tmp_path, tiny_folder):
    for name in ("one", "two"):
        assert publish(tiny_folder, tmp_path, name, "--default").returncode == 0
    index = json.loads((tmp_path / "index.json").read_text())
    assert {name: entry["default"] for name, entry in index["models"].items()} == {"one": False, "two": True}
    assert pretrained.default_model(tmp_path) == "two"
