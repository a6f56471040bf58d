import pytest

from audiocodec.errors import RegistryError
from audiocodec.revisions import KEPT, Revisions


class CountingStore:
    """Gives the same codebooks under any identity, and counts how often it is asked."""

    def __init__(self, codebooks):
        self.codebooks, self.asked = codebooks, []

    def get(self, codebook_id):
        self.asked.append(codebook_id)
        return self.codebooks


def test_the_own_codebooks_need_no_store(codec):
    revisions = Revisions(codec.model, codec.model_id, codec.codebook_id)
    assert revisions.get(codec.codebook_id) is codec.model
    assert revisions.get(codec.codebook_id[:32]) is codec.model
    with pytest.raises(RegistryError, match="is not at hand"):
        revisions.get("ab" * 32)


def test_revisions_are_kept_but_not_without_end(codec, monkeypatch):
    store = CountingStore(codec.model.quantizer.codebooks())
    revisions = Revisions(codec.model, codec.model_id, "ff" * 32, store)
    keys = [f"{number:032x}" for number in range(KEPT + 1)]
    monkeypatch.setattr("audiocodec.revisions.identify", lambda quantizer: store.asked[-1] + "0" * 32)
    first = revisions.get(keys[0])
    assert revisions.get(keys[0]) is first
    assert store.asked == [keys[0]]
    assert first.encoder is codec.model.encoder
    assert first.quantizer is not codec.model.quantizer
    for key in keys[1:]:
        revisions.get(key)
    assert revisions.get(keys[-1]) is revisions.get(keys[-1])
    assert revisions.get(keys[0]) is not first
    assert len(store.asked) == KEPT + 2
