"""Files that audiocodec 0.1.0 wrote on 2026-11-28 are read as they were then: see `tests/data/written`."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import audiocodec
from audiocodec.adaptation.registry import Registry, import_bundle

WRITTEN = Path(__file__).parent / "data" / "written"
FACTS = json.loads((WRITTEN / "facts.json").read_text())
KINDS = ("own", "kmeans", "affine", "adapter")


@pytest.fixture
def decoded():
    return load_file(WRITTEN / "decoded.safetensors")


@pytest.fixture
def codec():
    return audiocodec.load(WRITTEN / "model", device="cpu", codebooks=Registry(WRITTEN / "store"))


def test_the_model_has_its_identity(codec):
    assert codec.model_id == FACTS["model_id"]
    assert codec.codebook_id == FACTS["own"]


@pytest.mark.parametrize("kind", KINDS)
def test_files_decode(codec, decoded, kind):
    """With codebooks of the model, fitted ones, ones with a map of the latents, and with an adapter."""
    wav, sample_rate = codec.decompress((WRITTEN / f"{kind}.nac").read_bytes())
    assert sample_rate == 16000
    assert wav == pytest.approx(decoded[kind], abs=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_sound_gives_the_same_codes(codec, voice, decoded, kind):
    codes = codec.with_codebook(FACTS[kind]).encode(voice(2.0, seed=9), 16000).codes
    assert np.mean(codes == decoded[f"{kind}_codes"]) > 0.99  # another processor may round otherwise


def test_the_store_is_sound_and_knows_what_is_active():
    registry = Registry(WRITTEN / "store")
    assert registry.verify() == []
    assert registry.active(FACTS["model_id"]).codebook_id == FACTS["active"]


def test_a_bundle_is_taken_in(codec, tmp_path):
    registry = Registry(tmp_path)
    registry.baseline(codec.model_id, codec.model.quantizer.codebooks())
    [revision] = import_bundle(registry, WRITTEN / "hall.nacbook")
    assert revision.codebook_id == FACTS["kmeans"]
    assert revision.provenance.environment == "hall"
