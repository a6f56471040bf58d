import json
import shutil
import struct
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from audiocodec import checkpoint
from audiocodec.checkpoint import WEIGHTS_NAME, identify_codebooks, load_model, model_id, save_model
from audiocodec.codec import load
from audiocodec.errors import CheckpointError
from audiocodec.model import QuantizerConfig, build_model
from audiocodec.quantizers import QUANTIZERS


@pytest.fixture
def model(tiny_config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return build_model(tiny_config).eval()


@pytest.fixture
def folder(tmp_path, model, tiny_config):
    save_model(tmp_path / "model", model, tiny_config, {"steps": "7"})
    return tmp_path / "model"


def rewrite(folder, change_document=None, change_tensors=None):
    """Save the file again with something wrong in it."""
    file = folder / WEIGHTS_NAME
    with safe_open(file, framework="pt") as stored:
        document = json.loads(stored.metadata()["audiocodec"])
    tensors = load_file(file)
    (change_document or (lambda d: None))(document)
    (change_tensors or (lambda t: None))(tensors)
    (folder / "config.yaml").unlink()
    save_file(tensors, file, {"audiocodec": json.dumps(document)})


def test_a_model_comes_back_exactly(folder, model, tiny_config):
    loaded, config, metadata = load_model(folder)
    assert config == tiny_config
    assert metadata["steps"] == "7"
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert metadata["model_id"] == model_id(model, tiny_config)
    assert metadata["codebook_id"] == identify_codebooks(model.quantizer.codebooks())


def test_loaded_codebooks_are_not_started_anew_by_further_training(folder, model):
    loaded, _, _ = load_model(folder)
    before = {name: tensor.clone() for name, tensor in loaded.quantizer.codebooks().items()}
    loaded.train()
    loaded(torch.zeros(1, 1, 3200))
    moved = [
        (loaded.quantizer.codebooks()[name] - tensor).norm() / tensor.norm()
        for name, tensor in before.items()
    ]
    assert max(moved) < 0.5


def test_loading_leaves_the_random_generator_alone(folder):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_model(folder)
    assert torch.equal(torch.rand(3), expected)


def test_half_precision_changes_the_model_but_not_the_codebooks(tmp_path, folder, model, tiny_config):
    save_model(tmp_path / "half", model, tiny_config, half=True)
    _, _, full = load_model(folder)
    loaded, _, half = load_model(tmp_path / "half" / WEIGHTS_NAME)
    assert half["codebook_id"] == full["codebook_id"]
    assert half["model_id"] != full["model_id"]
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
    assert (tmp_path / "half" / WEIGHTS_NAME).stat().st_size < 0.7 * (folder / WEIGHTS_NAME).stat().st_size
    # What was rounded once stays as it is.
    save_model(tmp_path / "again", loaded, tiny_config, half, half=True)
    assert load_model(tmp_path / "again")[2] == half


def test_equal_models_are_equal_files(tmp_path, model, tiny_config):
    metadata = {str(i): "x" for i in range(20)}
    for name in ("a", "b"):
        save_model(tmp_path / name, model, tiny_config, metadata)
    assert (tmp_path / "a" / WEIGHTS_NAME).read_bytes() == (tmp_path / "b" / WEIGHTS_NAME).read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["config.yaml", WEIGHTS_NAME]


def test_identities_see_every_weight(model, tiny_config):
    before = model_id(model, tiny_config), identify_codebooks(model.quantizer.codebooks())
    with torch.no_grad():
        next(model.encoder.parameters()).flatten()[3] += 1e-3
    assert model_id(model, tiny_config) != before[0]
    assert identify_codebooks(model.quantizer.codebooks()) == before[1]
    with torch.no_grad():
        model.quantizer.codebooks()["3.codebook"][5, 7] += 1e-3
    assert identify_codebooks(model.quantizer.codebooks()) != before[1]


def test_a_field_added_to_the_configuration_later_keeps_the_identity(folder, tiny_config):
    _, _, before = load_model(folder)
    # As if the field had not existed when the model was saved: it now takes its default.
    rewrite(folder, lambda document: document["config"]["net"].pop("exponent"))
    _, config, metadata = load_model(folder)
    assert config == tiny_config
    assert metadata["model_id"] != before["model_id"]
    assert load_model(folder)[2]["model_id"] == metadata["model_id"]


def test_weights_that_are_not_finite_are_not_saved(tmp_path, model, tiny_config):
    with torch.no_grad():
        next(model.decoder.parameters())[0] = torch.nan
    with pytest.raises(CheckpointError, match=r"weight decoder\.\S+ is not finite"):
        save_model(tmp_path / "model", model, tiny_config)


def test_overflow_in_half_precision_is_refused(tmp_path, model, tiny_config):
    with torch.no_grad():
        model.decoder.project_in.weight[0, 0] = 1e6
    save_model(tmp_path / "full", model, tiny_config)
    with pytest.raises(CheckpointError, match=r"decoder\.project_in\.weight is not finite as torch\.float16"):
        save_model(tmp_path / "half", model, tiny_config, half=True)


def test_missing(tmp_path):
    with pytest.raises(CheckpointError, match="no model here"):
        load_model(tmp_path)
    with pytest.raises(CheckpointError, match="no model here"):
        load_model(tmp_path / "nothing.safetensors")


def test_an_edited_config_is_noticed(folder):
    file = folder / "config.yaml"
    file.write_text(file.read_text().replace("sample_rate: 16000", "sample_rate: 8000"))
    with pytest.raises(CheckpointError, match=r"config\.yaml differs"):
        load_model(folder)


def test_a_config_that_extends_another_file_is_refused(folder):
    """Or it would show the first line of any file on this machine."""
    (folder / "config.yaml").write_text("extends: /etc/passwd\n")
    with pytest.raises(CheckpointError, match="extends: unknown key"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(version=99), "checkpoint version 99"),
        (lambda d: d.pop("config"), "holds no audiocodec model; name one written"),
        (lambda d: d.update(config=[1]), "are not mappings"),
        (lambda d: d["config"].update(sampel_rate=1), "sampel_rate"),
        (
            lambda d: d["config"]["net"].update(encoder_blocks=10**9),
            "encoder_blocks = 1000000000, at most 512",
        ),
        (lambda d: d["config"]["quantizer"].update(codebook_size=10**12), "codebook_size = 1000000000000"),
        (lambda d: d["config"]["quantizer"].update(codebook_size=128), "8 weights do not fit"),
        (lambda d: d["config"]["net"].update(dim=-4), "configuration"),
        (lambda d: d["config"]["net"].update(kernel_size=0), "configuration"),
        (lambda d: d["config"]["net"].update(hop_length=0), "configuration"),
        (lambda d: d["config"]["net"].update(exponent=float("nan")), "exponent = nan"),
        (lambda d: d["config"]["quantizer"].update(options={"ema_decai": 1.0}), "ema_decai"),
    ],
)
def test_a_wrong_configuration(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(CheckpointError, match=message):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("encoder.project_in.bias"), r"encoder\.project_in\.bias: missing in the file"),
        (lambda t: t.update(extra=torch.zeros(3)), r"extra: \[3\] in the file, none wanted"),
        (lambda t: t.update({"encoder.project_in.bias": torch.full((64,), torch.nan)}), "NaN"),
        (
            lambda t: t.update({"encoder.project_in.bias": torch.zeros(64, dtype=torch.bool)}),
            "stored as BOOL",
        ),
    ],
)
def test_wrong_weights(folder, change, message):
    rewrite(folder, change_tensors=change)
    with pytest.raises(CheckpointError, match=message):
        load_model(folder)


def test_damaged_files(folder, tmp_path):
    whole = (folder / WEIGHTS_NAME).read_bytes()
    other = tmp_path / "other.safetensors"
    damaged = {
        "empty": b"",
        "short": whole[:5],
        "cut in the header": whole[:100],
        "cut in the weights": whole[:-10],
        "text": b"hello, this is no model at all",
        "a header of 2^60 bytes": struct.pack("<Q", 1 << 60) + whole[8:],
        "pickle": b"\x80\x04\x95" + bytes(200),
    }
    for data in damaged.values():
        other.write_bytes(data)
        with pytest.raises(CheckpointError, match=r"other\.safetensors"):
            load_model(other)


def test_a_safetensors_file_of_something_else(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="holds no audiocodec model"):
        load_model(tmp_path / "other.safetensors")


def test_a_weight_file_alone_is_enough(folder, tmp_path, tiny_config):
    shutil.copy(folder / WEIGHTS_NAME, tmp_path / "renamed.safetensors")
    assert load_model(tmp_path / "renamed.safetensors")[1] == tiny_config


@pytest.mark.parametrize("method", sorted(QUANTIZERS))
def test_codebooks_do_not_depend_on_the_machine(tmp_path, tiny_config, method, monkeypatch):
    config = replace(tiny_config, quantizer=QuantizerConfig(method, num_quantizers=2, codebook_size=16))
    model = build_model(config)
    identity = identify_codebooks(model.quantizer.codebooks())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_model(tmp_path / "model", model, config)
    for name, tensor in model.state_dict().items():  # a model that is still learning is not touched
        assert torch.equal(tensor, before[name]), name
    multiply = F.linear
    # A machine whose matrix products round otherwise.
    monkeypatch.setattr(F, "linear", lambda *arguments: multiply(*arguments) * (1 + 1e-6))
    loaded, _, metadata = load_model(tmp_path / "model")
    assert metadata["codebook_id"] == identify_codebooks(loaded.quantizer.codebooks()) == identity


def test_scores_that_losses_imitate_are_kept_and_change_no_identity(codec, tiny_config, tmp_path):
    assert codec.imitates == ()
    for written, names in (("pesq_wb,stoi", ("pesq_wb", "stoi")), ("", ())):
        save_model(tmp_path, codec.model, tiny_config, {"imitates": written})
        assert load_model(tmp_path)[2]["imitates"] == written
        found = load(tmp_path, "cpu")
        assert (found.imitates, found.model_id) == (names, codec.model_id)


def test_random_phase_leaves_a_model_what_it_is(tiny_config, tmp_path):
    """Files of a model decode with it when its decoder is given random phase."""
    model = build_model(tiny_config)
    identity = model_id(model, tiny_config)
    gains = replace(tiny_config, net=replace(tiny_config.net, noise_gains=(0.5, 0.7)))
    with_noise = build_model(gains)
    with_noise.load_state_dict(model.state_dict())
    assert model_id(with_noise, gains) == identity
    save_model(tmp_path, with_noise, gains)
    assert load_model(tmp_path)[2]["model_id"] == identity


@pytest.mark.parametrize("method", sorted(QUANTIZERS))
def test_shapes_are_those_of_the_model(tiny_config, method):
    """Of a model that is built without memory, to be compared with a file."""
    config = replace(tiny_config, quantizer=QuantizerConfig(method, num_quantizers=2, codebook_size=16))
    model = build_model(config)
    with torch.device("meta"), checkpoint._ShapesOnly():
        empty = build_model(config)
    described = [
        {name: (tensor.shape, tensor.dtype == torch.bool) for name, tensor in each.state_dict().items()}
        for each in (model, empty)
    ]
    assert described[0] == described[1]
    assert all(tensor.is_meta for tensor in empty.state_dict().values())


def test_loading_a_model_imports_no_compiler(folder):
    """It takes torch a second, and no other way of finding shapes needs it."""
    code = f"""
import sys
from audiocodec.checkpoint import load_model
load_model({str(folder)!r})
print(*{{"sympy", "torch._dynamo", "scipy", "torchaudio"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
