import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from audiocodec import pretrained
from audiocodec.bitstream import ContainerReader
from audiocodec.errors import RegistryError

SPEECH = Path(__file__).parent / "data"


@pytest.fixture
def root(tmp_path, tiny_folder):
    """A folder of pretrained models with one in it."""
    shutil.copytree(tiny_folder, tmp_path / "tiny")
    files = {path.name: pretrained.sha256(path) for path in sorted((tmp_path / "tiny").iterdir())}
    entry = {
        "folder": "tiny",
        "files": files,
        "model_id": "ab" * 32,
        "codebook_id": "cd" * 32,
        "sample_rate": 16000,
        "bitrates": [300.0, 600.0],
        "parameters": 1000,
        "latency_ms": 40.0,
        "licence": "MIT",
    }
    write(tmp_path, {"tiny": entry})
    return tmp_path


def write(root, models):
    (root / "index.json").write_text(json.dumps({"version": 1, "models": models}))


def change(root, **values):
    entry = json.loads((root / "index.json").read_text())["models"]["tiny"]
    write(root, {"tiny": {**entry, **values}})


def test_an_entry_says_what_it_is(root):
    entry = pretrained.models(root)["tiny"]
    assert (entry.sample_rate, entry.bitrates, entry.licence) == (16000, (300.0, 600.0), "MIT")


def test_find_gives_the_verified_folder(root):
    assert pretrained.find("tiny", root) == root / "tiny"


def test_a_path_is_taken_as_it_is(root, tmp_path):
    assert pretrained.find(str(root / "tiny"), root) == root / "tiny"


def test_an_unknown_name_lists_the_known_ones(root):
    with pytest.raises(RegistryError, match=r"'tinny' is not known; pretrained are: tiny"):
        pretrained.find("tinny", root)


@pytest.mark.parametrize("file", ["model.safetensors", "config.yaml"])
def test_a_changed_file_is_refused(root, file):
    data = bytearray((root / "tiny" / file).read_bytes())
    data[-1] ^= 1
    (root / "tiny" / file).write_bytes(data)
    with pytest.raises(RegistryError, match=rf"{file}: not the file that was published"):
        pretrained.find("tiny", root)


def test_a_missing_file_is_named(root):
    (root / "tiny" / "config.yaml").unlink()
    with pytest.raises(RegistryError, match=r"config\.yaml: missing"):
        pretrained.find("tiny", root)


def test_find_by_identity(root):
    assert pretrained.find_by_id("ab" * 16, root) == "tiny"
    assert pretrained.find_by_id("cd" * 16, root) is None


def test_the_default_is_the_marked_one_or_the_first(root):
    assert pretrained.default_model(root) == "tiny"
    entry = json.loads((root / "index.json").read_text())["models"]["tiny"]
    write(root, {"tiny": entry, "other": {**entry, "default": True}})
    assert pretrained.default_model(root) == "other"


def test_no_model(tmp_path):
    assert pretrained.models(tmp_path) == {}
    with pytest.raises(RegistryError, match="no pretrained model is installed"):
        pretrained.default_model(tmp_path)


@pytest.mark.parametrize("folder", ["..", "/etc", "a/b", ""])
def test_the_index_cannot_lead_elsewhere(root, folder):
    change(root, folder=folder)
    with pytest.raises(RegistryError, match="no plain name"):
        pretrained.find("tiny", root)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"version": 1}',
        '{"version": 1, "models": {"a": {"folder": 3}}}',
        '{"version": 1, "models": 7}',
    ],
)
def test_a_damaged_index(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(RegistryError, match=r"index\.json: damaged"):
        pretrained.models(tmp_path)


def test_a_newer_index(tmp_path):
    (tmp_path / "index.json").write_text('{"version": 2, "models": {}}')
    with pytest.raises(RegistryError, match="index version 2, 1 is read"):
        pretrained.models(tmp_path)


def test_what_is_published_here_is_whole():
    """Every model of this repository has its files, unchanged, and fits what the index says."""
    from audiocodec.codec import load

    for name, entry in pretrained.models().items():
        codec = load(name, device="cpu")
        assert codec.name == name
        assert (codec.model_id, codec.codebook_id) == (entry.model_id, entry.codebook_id)
        assert codec.sample_rate == entry.sample_rate
        assert codec.bitrates == entry.bitrates
        assert entry.latency_ms == pytest.approx(1000 * codec.model.latency / codec.sample_rate)
        parameters = sum(tensor.numel() for tensor in codec.model.state_dict().values())
        assert entry.parameters == parameters


def test_golden_codes_and_sound_of_what_is_published_here():
    """Codes are exact where they were made; elsewhere rounding may tip a choice between near entries."""
    from safetensors.numpy import load_file

    from audiocodec.codec import EncodedAudio, load

    for name in pretrained.models():
        codec = load(name, device="cpu")
        golden = load_file(pretrained.find(name) / "golden.safetensors")
        encoded = codec.encode(golden["wav"], codec.sample_rate)
        assert np.mean(encoded.codes != golden["codes"]) < 0.01
        decoded, _ = codec.decode(EncodedAudio(golden["codes"], encoded.header))
        np.testing.assert_allclose(decoded, golden["decoded"], atol=1e-3)


def test_a_file_of_an_earlier_edition_decodes():
    """Written before its model was given random phase: found by its identity, and the same codes today."""
    from audiocodec import audio
    from audiocodec.codec import EncodedAudio, load

    data = (SPEECH / "third_edition.nac").read_bytes()
    reader = ContainerReader(io.BytesIO(data))
    assert pretrained.name_for(reader.header) == "speech-16k-ed3"
    codec = load("speech-16k-ed3", device="cpu")
    wav, rate = audio.read(SPEECH / "ls_1688_000.flac", 16000, 24000)
    codes = np.concatenate([codes for _, codes in reader.packets("raise")], axis=2)
    again = codec.encode(wav, rate, 3000)
    assert np.mean(again.codes != codes) < 0.01
    decoded, _ = codec.decompress(data)
    np.testing.assert_allclose(decoded, codec.decode(EncodedAudio(codes, reader.header))[0], atol=1e-6)
    low = [np.fft.rfft(sound[0])[:1500] for sound in (wav, decoded)]  # below 1 kHz
    assert np.abs(np.vdot(*low)) > 0.85 * np.linalg.norm(low[0]) * np.linalg.norm(low[1])
