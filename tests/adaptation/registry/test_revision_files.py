import json
import struct

import numpy as np
import pytest
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors

from audiocodec.adaptation.registry import revision_files
from audiocodec.adaptation.registry.revision_files import (
    MAX_DEPTH,
    StoredCodebooks,
    identify,
    pack,
    read_facts,
    to_arrays,
    unpack,
)
from audiocodec.errors import RegistryError


@pytest.fixture
def arrays(codebooks):
    return to_arrays(codebooks)


def rewritten(data, change):
    """The file with another description of itself."""
    size = struct.unpack("<Q", data[:8])[0]
    document = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["audiocodec"])
    change(document)
    return to_safetensors(from_safetensors(data), {"audiocodec": json.dumps(document)})


def test_whole_files(arrays, model_id):
    data, facts = pack(model_id, arrays, None)
    assert read_facts(data) == facts
    assert (facts.codebook_id, facts.base, facts.depth) == (identify(arrays), None, 0)
    assert {n: a.tobytes() for n, a in unpack(data, None).items()} == {
        n: a.tobytes() for n, a in arrays.items()
    }
    assert pack(model_id, arrays, None)[0] == data
    # Any reader of safetensors sees the codebooks by their names.
    assert from_safetensors(data).keys() == arrays.keys()


def test_what_is_shorter_is_written(arrays, codebooks, changed, model_id):
    base = StoredCodebooks(identify(arrays), arrays, 3)
    few, all_ = to_arrays(changed(codebooks, share=0.1)), to_arrays(changed(codebooks, share=1.0))
    data, facts = pack(model_id, few, base)
    assert (facts.base, facts.depth, facts.changed["1.codebook"]) == (base.codebook_id, 4, 6)
    assert identify(unpack(data, arrays)) == facts.codebook_id
    assert pack(model_id, all_, base)[1].base is None
    assert pack(model_id, few, StoredCodebooks(base.codebook_id, arrays, MAX_DEPTH))[1].base is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d.update(version=2), "version 2, 1 is read; update"),
        (lambda d: d.update(model_id="../../etc/passwd"), "64 hexadecimal"),
        (lambda d: d.update(codebook_id=5), "64 hexadecimal"),
        (lambda d: d.update(base="ab" * 32), "depth 0"),
        (lambda d: d.update(depth=10**9), "depth 1000000000, at most 16"),
        (lambda d: d.update(depth=True), "depth"),
        (lambda d: d.pop("changed"), "does not describe itself"),
        (lambda d: d.update(changed=[1]), "does not describe itself"),
        (lambda d: d.update(codebook_id="ab" * 32), "its content is not codebook abab"),
    ],
)
def test_a_description_that_cannot_be(arrays, model_id, change, problem):
    with pytest.raises(RegistryError, match=problem):
        unpack(rewritten(pack(model_id, arrays, None)[0], change), None)


def test_files_that_are_none(arrays, model_id, monkeypatch):
    data, _ = pack(model_id, arrays, None)
    for wrong in (
        b"",
        data[:7],
        data[:100],
        struct.pack("<Q", 1 << 60) + data[8:],
        b"\x80\x04\x95" + bytes(99),
    ):
        with pytest.raises(RegistryError, match="not a revision file"):
            read_facts(wrong)
    with pytest.raises(RegistryError, match="damaged"):
        unpack(data[:-5], None)
    with pytest.raises(RegistryError, match="does not describe itself"):
        read_facts(to_safetensors({"a": np.zeros(3, np.float32)}))
    monkeypatch.setattr(revision_files, "MAX_FILE_BYTES", 1000)
    with pytest.raises(RegistryError, match="impossible size"):
        read_facts(data)
    with pytest.raises(RegistryError, match="at most 500 are kept"):
        pack(model_id, arrays, None)


def test_changes_without_a_base(arrays, codebooks, changed, model_id):
    data, _ = pack(
        model_id, to_arrays(changed(codebooks, share=0.1)), StoredCodebooks(identify(arrays), arrays, 0)
    )
    with pytest.raises(RegistryError, match="a codebook that is not there"):
        unpack(data, {})
    with pytest.raises(RegistryError, match="changes without a base"):
        unpack(rewritten(data, lambda d: d.update(base=None, depth=0)), None)
    with pytest.raises(RegistryError, match="its content is not"):
        unpack(data, {name: array + 1 for name, array in arrays.items()})
