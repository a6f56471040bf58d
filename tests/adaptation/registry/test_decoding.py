"""Old files decode for ever with the codebooks they name, in memory, from files and as streams."""

import numpy as np
import pytest
import torch

from audiocodec.adaptation.registry import export_revision, import_bundle, round_changes
from audiocodec.codec import load
from audiocodec.errors import RegistryError
from audiocodec.revisions import adapter_parameters


@pytest.fixture
def history(tiny_folder, codec, new_store, changed):
    """A store with the tiny model's codebooks and two revisions of them, the last one active."""
    store = new_store()
    parent = store.baseline(codec.model_id, codec.model.quantizer.codebooks(), model=codec.name)
    revisions = [parent]
    for seed in (1, 2):
        new = round_changes(store.get(parent.codebook_id), changed(store.get(parent.codebook_id), seed))
        parent = store.publish(codec.model_id, new, parent.codebook_id, reason=f"fit {seed}")
        revisions.append(parent)
    store.activate(parent.codebook_id)
    return store, revisions, load(tiny_folder, "cpu", store)


def test_the_store_and_the_model_agree_on_identities(history, codec):
    store, revisions, joined = history
    assert revisions[0].codebook_id == codec.codebook_id
    for revision in revisions:
        adapted = joined.with_codebook(revision.codebook_id[:32])
        assert adapted.codebook_id == revision.codebook_id
        assert adapted.model_id == codec.model_id
        for name, codebook in store.get(revision.codebook_id).items():
            assert torch.equal(adapted.model.quantizer.codebooks()[name], codebook)


def test_files_of_all_revisions_decode_whatever_is_active(history, voice):
    store, revisions, joined = history
    wav = voice(1.1)
    codecs = [joined.with_codebook(revision.codebook_id) for revision in revisions]
    files = [codec.compress(wav, 16000) for codec in codecs]
    assert len(set(files)) == 3
    expected = [codec.decompress(data)[0] for codec, data in zip(codecs, files, strict=True)]
    assert not np.array_equal(expected[0], expected[1])
    store.rollback(joined.model_id)
    for codec in (joined, *codecs):
        for data, samples in zip(files, expected, strict=True):
            np.testing.assert_array_equal(codec.decompress(data)[0], samples)


def test_streams_name_their_revision(history, voice):
    _, revisions, joined = history
    wav = voice(1.4)
    encoder = joined.with_codebook(revisions[1].codebook_id).stream_encoder(16000)
    packets = [*encoder.push(wav[:, :10_000]), *encoder.push(wav[:, 10_000:]), *encoder.flush()]
    assert revisions[1].codebook_id.startswith(encoder.header.codebook_id)
    decoder = joined.stream_decoder()
    parts = [decoder.push(packet) for packet in packets]
    out = np.concatenate([*parts, decoder.flush()], axis=1)
    np.testing.assert_array_equal(out, joined.decompress(b"".join(packets))[0])


def test_a_receiver_without_the_revision_is_told_which_to_import(
    history, codec, tiny_folder, new_store, voice
):
    _, revisions, joined = history
    data = joined.with_codebook(revisions[2].codebook_id).compress(voice(0.5), 16000)
    wanted = revisions[2].codebook_id[:32]
    with pytest.raises(RegistryError, match=rf"codebook {wanted} is not available.*codebooks import FILE"):
        codec.decompress(data)
    with pytest.raises(RegistryError, match=rf"codebook {wanted} is not in the store.*export {wanted}"):
        load(tiny_folder, "cpu", new_store()).decompress(data)


def test_a_store_without_the_models_own_codebooks_is_enough(history, tiny_folder, new_store, voice, tmp_path):
    store, revisions, joined = history
    export_revision(store, revisions[2].codebook_id, tmp_path / "full.nacbook", full=True)
    receiver = new_store()
    import_bundle(receiver, tmp_path / "full.nacbook")
    adapted = load(tiny_folder, "cpu", receiver).with_codebook(revisions[2].codebook_id)
    data = joined.compress(voice(0.5), 16000)  # with the model's own
    np.testing.assert_array_equal(adapted.decompress(data)[0], joined.decompress(data)[0])


def test_codebooks_of_another_model_do_not_fit(history, tiny_folder, new_store, codebooks, model_id):
    other = new_store()
    foreign = other.baseline(model_id, codebooks)
    with pytest.raises(RegistryError, match="does not fit this model: codebooks are named"):
        load(tiny_folder, "cpu", other).with_codebook(foreign.codebook_id)


def test_a_map_of_latents_travels_with_the_codebooks(history, codec, voice, tmp_path, new_store, tiny_folder):
    store, revisions, joined = history
    dim = codec.model.quantizer.dim
    extras = {"map.scale": torch.full((dim,), 1.25), "map.shift": torch.linspace(-0.1, 0.1, dim)}
    parent = revisions[0].codebook_id
    revision = store.publish(codec.model_id, {**store.get(parent), **extras}, parent, reason="map")
    assert revision.file["bytes"] < 4000  # the codebooks are the parent's
    data = joined.with_codebook(revision.codebook_id).compress(voice(0.6), 16000)
    assert data != joined.compress(voice(0.6), 16000)
    export_revision(store, revision.codebook_id, tmp_path / "map.nacbook")
    receiver = new_store()
    receiver.baseline(codec.model_id, codec.model.quantizer.codebooks())
    import_bundle(receiver, tmp_path / "map.nacbook")
    decoded = load(tiny_folder, "cpu", receiver).decompress(data)[0]
    np.testing.assert_array_equal(decoded, joined.decompress(data)[0])
    # Codebooks fitted from mapped ones may do without the map, and the other way round.
    child = store.publish(
        codec.model_id, store.get(revisions[2].codebook_id), revision.codebook_id, reason=""
    )
    assert joined.with_codebook(child.codebook_id).model.quantizer.codebooks().keys() == (
        codec.model.quantizer.codebooks().keys()
    )


@pytest.fixture
def adapted(history, codec):
    """The identity of the model's own codebooks with an adapter."""
    store, revisions, _ = history
    own = adapter_parameters(codec.model.decoder)
    extras = {name: 1.2 * parameter.detach() + 0.02 for name, parameter in own.items()}
    parent = revisions[0].codebook_id
    revision = store.publish(codec.model_id, {**store.get(parent), **extras}, parent, reason="decoder")
    assert revision.file["bytes"] < 6 * sum(p.numel() for p in own.values()) + 6000
    return revision.codebook_id


def test_an_adapter_of_the_decoder_travels_with_the_codebooks(
    history, adapted, codec, voice, tmp_path, new_store, tiny_folder
):
    store, revisions, joined = history
    wav = voice(0.6)
    data, plain = joined.with_codebook(adapted).compress(wav, 16000), codec.compress(wav, 16000)
    heard = joined.decompress(data)[0]
    assert len(data) == len(plain)  # the same codes
    assert np.abs(heard - codec.decompress(plain)[0]).max() > 1e-3
    export_revision(store, adapted, tmp_path / "decoder.nacbook")
    receiver = new_store()
    receiver.baseline(codec.model_id, codec.model.quantizer.codebooks())
    import_bundle(receiver, tmp_path / "decoder.nacbook")
    np.testing.assert_array_equal(load(tiny_folder, "cpu", receiver).decompress(data)[0], heard)
    # Beside each other: the adapter is used by its own files only, whatever codec reads them.
    other = joined.with_codebook(revisions[1].codebook_id).compress(wav, 16000)
    for reader in (joined, joined.with_codebook(adapted), joined.with_codebook(revisions[1].codebook_id)):
        np.testing.assert_array_equal(reader.decompress(data)[0], heard)
        np.testing.assert_array_equal(reader.decompress(plain)[0], codec.decompress(plain)[0])
        np.testing.assert_array_equal(reader.decompress(other)[0], joined.decompress(other)[0])


def test_a_stream_is_decoded_with_the_adapter_it_names(history, adapted, voice):
    _, _, joined = history
    wav = voice(1.4)
    encoder = joined.with_codebook(adapted).stream_encoder(16000)
    packets = [*encoder.push(wav), *encoder.flush()]
    decoder = joined.stream_decoder()
    out = np.concatenate([*(decoder.push(packet) for packet in packets), decoder.flush()], axis=1)
    np.testing.assert_allclose(out, joined.decompress(b"".join(packets))[0], atol=1e-6)


def test_an_adapter_of_another_decoder_does_not_fit(history, codec):
    store, revisions, joined = history
    parent = revisions[0].codebook_id
    extras = {"decoder.other": torch.ones(3)}
    revision = store.publish(codec.model_id, {**store.get(parent), **extras}, parent, reason="")
    with pytest.raises(RegistryError, match="does not fit this model: the adapter does not fit this decoder"):
        joined.with_codebook(revision.codebook_id)
