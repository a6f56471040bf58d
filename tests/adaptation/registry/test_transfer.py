"""Revisions that travel from one store to another."""

import hashlib
import json
import os
import struct
import subprocess

import pytest
import torch
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from audiocodec.adaptation.registry import bundle, export_revision, import_bundle
from audiocodec.adaptation.registry.bundle import read_bundle
from audiocodec.errors import InputError, MissingPackageError, RegistryError


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.fixture
def receiver(new_store, codebooks, model_id):
    """A store that has the model and nothing else."""
    registry = new_store(actor="receiver")
    registry.baseline(model_id, codebooks, model="made-up")
    return registry


@pytest.fixture
def keys(tmp_path):
    """Two key pairs as PEM files: (private, public) of each."""
    made = []
    for number in range(2):
        key = ed25519.Ed25519PrivateKey.generate()
        private, public = tmp_path / f"key{number}.pem", tmp_path / f"public{number}.pem"
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        public.write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        made.append((private, public))
    return made


def test_a_file_is_logged_when_it_has_its_name(store, published, tmp_path, monkeypatch):
    """The log must not tell of a file that a kill in between left unnamed."""
    revision, file = published(1), tmp_path / "hall.nacbook"
    log, seen = store.log_event, []
    monkeypatch.setattr(store, "log_event", lambda *facts: (seen.append(file.exists()), log(*facts)))
    export_revision(store, revision.codebook_id, file)
    assert seen == [True]


def test_changes_travel_without_what_the_receiver_has(store, receiver, published, tmp_path):
    first = published(1, verdict={"pesq": 0.1}, environment="hall")
    second = published(2)
    file = tmp_path / "hall.nacbook"
    export_revision(store, second.codebook_id, file)
    assert file.stat().st_size < first.file["bytes"] + second.file["bytes"] + 1500
    taken = import_bundle(receiver, file)
    assert [revision.codebook_id for revision in taken] == [first.codebook_id, second.codebook_id]
    assert same(receiver.get(second.codebook_id), store.get(second.codebook_id))
    assert {revision.status for revision in taken} == {"imported"}
    assert taken[0].provenance == first.provenance
    assert receiver.active(first.model_id).status == "baseline"
    assert receiver.log()[1].details["origin"] == {"created": first.created, "actor": "tester"}
    assert import_bundle(receiver, file) == taken  # twice is as once
    assert len(receiver.log()) == 3
    assert receiver.verify() == []
    exported = store.log()[-1]
    assert (exported.kind, exported.details["bytes"]) == ("export", file.stat().st_size)


def test_whole_codebooks_need_nothing(store, new_store, published, tmp_path, codebooks):
    published(1)
    revision = published(2)
    export_revision(store, revision.codebook_id, tmp_path / "full.nacbook", full=True)
    empty = new_store()
    assert [taken.codebook_id for taken in import_bundle(empty, tmp_path / "full.nacbook")] == [
        revision.codebook_id
    ]
    assert same(empty.get(revision.codebook_id), store.get(revision.codebook_id))
    assert empty.verify() == []


def test_only_what_is_new_since(store, receiver, published, tmp_path):
    first, second, third = published(1), published(2), published(3)
    export_revision(store, first.codebook_id, tmp_path / "a.nacbook")
    export_revision(store, third.codebook_id, tmp_path / "b.nacbook", since=first.codebook_id[:10])
    with pytest.raises(
        RegistryError, match=f"b.nacbook: it changes codebook {first.codebook_id[:32]}, which is"
    ):
        import_bundle(receiver, tmp_path / "b.nacbook")
    assert len(receiver.log()) == 1
    import_bundle(receiver, tmp_path / "a.nacbook")
    taken = import_bundle(receiver, tmp_path / "b.nacbook")
    assert [revision.codebook_id for revision in taken] == [second.codebook_id, third.codebook_id]
    with pytest.raises(RegistryError, match="is not stored as changes to"):
        export_revision(store, first.codebook_id, tmp_path / "c.nacbook", since=third.codebook_id)


def test_another_model_is_refused(store, new_store, published, codebooks, tmp_path):
    export_revision(store, published(1).codebook_id, tmp_path / "a.nacbook")
    other = new_store()
    other.baseline("cd" * 32, codebooks, model="other")
    with pytest.raises(RegistryError, match=r"made for model made-up \(abab.*is for other \(cdcd"):
        import_bundle(other, tmp_path / "a.nacbook")
    assert len(other.log()) == 1


def test_a_refused_candidate_stays_refused(store, receiver, codebooks, changed, model_id, tmp_path):
    parent = store.active(model_id).codebook_id
    refused = store.publish(model_id, changed(codebooks), parent, reason="worse", refused=True)
    export_revision(store, refused.codebook_id, tmp_path / "a.nacbook")
    assert import_bundle(receiver, tmp_path / "a.nacbook")[0].status == "refused"
    with pytest.raises(RegistryError, match="was refused"):
        receiver.activate(refused.codebook_id)


def test_importing_again_mends_a_damaged_revision(store, receiver, published, tmp_path):
    revision = published(1)
    export_revision(store, revision.codebook_id, tmp_path / "a.nacbook", full=True)
    import_bundle(receiver, tmp_path / "a.nacbook")
    path = receiver.files.path(revision.model_id, revision.codebook_id)
    path.write_bytes(path.read_bytes()[:-1])
    assert [finding.level for finding in receiver.verify()] == ["error"]
    import_bundle(receiver, tmp_path / "a.nacbook")
    assert receiver.verify() == []


def test_a_changed_or_cut_file_is_refused_everywhere(store, receiver, published, tmp_path, keys):
    file, damaged = tmp_path / "a.nacbook", tmp_path / "damaged.nacbook"
    export_revision(store, published(1).codebook_id, file, sign=keys[0][0])
    whole = file.read_bytes()
    for place in [*range(0, 700, 3), *range(700, len(whole), 101), len(whole) - 1]:
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(RegistryError, match=r"damaged\.nacbook"):
            import_bundle(receiver, damaged, trust=[keys[0][1]])
        damaged.write_bytes(whole[:place])
        with pytest.raises(RegistryError, match=r"damaged\.nacbook"):
            import_bundle(receiver, damaged)
    damaged.write_bytes(whole + b"x")
    with pytest.raises(RegistryError, match="cut off or changed"):
        import_bundle(receiver, damaged)
    assert len(receiver.log()) == 1
    assert len(receiver.files.listing()) == 1


def test_hostile_files(tmp_path):
    def file(header, rest=b"", size=None):
        data = json.dumps(header).encode() if not isinstance(header, bytes) else header
        path = tmp_path / "hostile.nacbook"
        path.write_bytes(b"NACB\x01" + struct.pack("<I", len(data) if size is None else size) + data + rest)
        return path

    whole = {"model_id": "ab" * 32, "model": "", "signer": None}
    entry = {
        "codebook_id": "00" * 32,
        "bytes": 0,
        "created": "",
        "actor": "",
        "refused": False,
        "provenance": {},
    }
    for arguments, problem in (
        ((b"", b"", 1 << 31), "cut off or changed"),
        ((b"[" * 100_000,), "its header was changed"),
        (([1],), "its header was changed"),
        (({**whole, "revisions": []},), "1 to 17 revisions"),
        (({**whole, "revisions": [entry] * 1000},), "1 to 17 revisions"),
        (({**whole, "revisions": [{**entry, "bytes": 1 << 40}]},), "cut off or changed"),
        (({**whole, "revisions": [{**entry, "bytes": -100}]}, bytes(32)), "cut off or changed"),
        (({**whole, "signer": "ab", "revisions": [entry]}, bytes(96)), "cut off or changed"),
        (({**whole, "revisions": ["x"]}, bytes(32)), "does not describe itself"),
    ):
        with pytest.raises(RegistryError, match=problem):
            read_bundle(file(*arguments))
    path = tmp_path / "hostile.nacbook"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(RegistryError, match="not a file of codebooks"):
        read_bundle(path)
    path.write_bytes(b"NACB\x02" + bytes(100))
    with pytest.raises(RegistryError, match="version 2, this package reads 1"):
        read_bundle(path)
    with pytest.raises(RegistryError, match="cannot be read"):
        read_bundle(tmp_path / "nothing.nacbook")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"pesq":0.1', b'"pesq":Infinity'),
        (b'"pesq":0.1', b'"pesq":NaN'),
        (b'"pesq":0.1', b'"pesq":1e400'),
        (b'"created":"2023', b'"created":"yesterday 2023'),
        (b'"actor":"tester"', b'"actor":"' + b"x" * 600_000 + b'"'),
        (b'"bytes":', b'"bytes":Infinity,"x":'),
        (b'"revisions":[{', b'"revisions":[[],{'),
    ],
)
def test_what_the_log_cannot_hold_is_refused_before_anything_is_written(
    store, receiver, published, tmp_path, old, new
):
    """Checksums are right: whoever made the file made it so."""
    file = tmp_path / "a.nacbook"
    export_revision(store, published(1, verdict={"pesq": 0.1}).codebook_id, file, full=True)
    data = file.read_bytes()
    size = int.from_bytes(data[5:9], "little")
    header = data[9 : 9 + size].replace(old, new)
    assert new in header
    start = data[:5] + struct.pack("<I", len(header)) + header + data[9 + size : -32]
    file.write_bytes(start + hashlib.sha256(start).digest())
    with pytest.raises(RegistryError, match=r"a\.nacbook: .*; get a whole copy"):
        import_bundle(receiver, file)
    assert len(receiver.log()) == len(receiver.files.listing()) == 1
    assert receiver.verify() == []


def test_a_file_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "MAX_BUNDLE_BYTES", 1000)
    (tmp_path / "large.nacbook").write_bytes(bytes(2000))
    with pytest.raises(RegistryError, match="at most 1096 are read"):
        read_bundle(tmp_path / "large.nacbook")


def test_content_that_is_not_what_it_claims_is_refused(store, receiver, published, tmp_path, model_id):
    """A whole, checksummed file, made by somebody who wants his codebooks to pass as others."""
    revision = published(1)
    path = store.files.path(model_id, revision.codebook_id)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # the last number of an entry
    forged = bundle.pack_bundle("made-up", [(revision, bytes(data))], None)
    (tmp_path / "forged.nacbook").write_bytes(forged)
    with pytest.raises(RegistryError, match=f"its content is not codebook {revision.codebook_id[:32]}"):
        import_bundle(receiver, tmp_path / "forged.nacbook")
    assert len(receiver.files.listing()) == 1


def test_only_trusted_signatures_pass(store, new_store, codebooks, model_id, published, tmp_path, keys):
    (private, public), (_, stranger) = keys
    revision = published(1)
    export_revision(store, revision.codebook_id, tmp_path / "signed.nacbook", sign=private)
    export_revision(store, revision.codebook_id, tmp_path / "plain.nacbook")

    def fresh():
        registry = new_store()
        registry.baseline(model_id, codebooks)
        return registry

    signer = read_bundle(tmp_path / "signed.nacbook").signer.hex()
    assert import_bundle(fresh(), tmp_path / "signed.nacbook", trust=[stranger, public])[0].signer == signer
    assert import_bundle(fresh(), tmp_path / "signed.nacbook")[0].signer is None  # nobody asked
    receiver = fresh()
    with pytest.raises(
        RegistryError, match=rf"signed with the key {signer}, but only .* give it with --trust"
    ):
        import_bundle(receiver, tmp_path / "signed.nacbook", trust=[stranger])
    with pytest.raises(RegistryError, match=r"not signed, but only .* export it with --sign"):
        import_bundle(receiver, tmp_path / "plain.nacbook", trust=[public])
    # Keys in the store count without being named.
    (receiver.path / "trust").mkdir()
    (receiver.path / "trust" / "office.pem").write_bytes(public.read_bytes())
    with pytest.raises(RegistryError, match=r"not signed, but only .* export it with --sign"):
        import_bundle(receiver, tmp_path / "plain.nacbook")
    assert len(receiver.log()) == 1
    assert import_bundle(receiver, tmp_path / "signed.nacbook")[0].signer == signer


def test_a_forged_signature_is_refused(store, receiver, published, tmp_path, keys):
    (private, public), _ = keys
    revision = published(1)
    export_revision(store, revision.codebook_id, tmp_path / "a.nacbook", sign=private)
    data = bytearray((tmp_path / "a.nacbook").read_bytes())
    data[-1] ^= 1
    (tmp_path / "a.nacbook").write_bytes(data)
    with pytest.raises(RegistryError, match="its signature is wrong"):
        import_bundle(receiver, tmp_path / "a.nacbook", trust=[public])


def test_keys_that_openssl_makes_work(store, receiver, published, tmp_path):
    key, public = tmp_path / "key.pem", tmp_path / "public.pem"
    try:
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
        subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    export_revision(store, published(1).codebook_id, tmp_path / "a.nacbook", sign=key)
    import_bundle(receiver, tmp_path / "a.nacbook", trust=[public])


def test_wrong_keys(store, published, tmp_path, keys):
    revision = published(1)
    (tmp_path / "no.pem").write_text("-----BEGIN NOTHING-----")
    for wrong in (tmp_path / "no.pem", keys[0][1]):
        with pytest.raises(InputError, match=r"no unencrypted Ed25519 private key.*openssl genpkey"):
            export_revision(store, revision.codebook_id, tmp_path / "a.nacbook", sign=wrong)
    with pytest.raises(InputError, match="no unencrypted Ed25519 public key"):
        bundle.read_public_key(keys[0][0])
    with pytest.raises(InputError, match=r"missing\.pem: cannot be read \(No such file"):
        bundle.read_private_key(tmp_path / "missing.pem")
    assert not (tmp_path / "a.nacbook").exists()


def test_without_the_package_signatures_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(MissingPackageError, match=r"audiocodec\[adapt\]"):
        bundle.read_private_key(tmp_path / "key.pem")


def test_files_are_not_overwritten(store, published, tmp_path):
    revision = published(1)
    (tmp_path / "a.nacbook").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        export_revision(store, revision.codebook_id, tmp_path / "a.nacbook")
    assert (tmp_path / "a.nacbook").read_text() == "mine"
    assert store.log()[-1].kind == "publish"
    export_revision(store, revision.codebook_id, tmp_path / "a.nacbook", overwrite=True)
    assert read_bundle(tmp_path / "a.nacbook").codebook_id == revision.codebook_id


@pytest.mark.parametrize("name", ["boss.pem", "boss.pub", ".boss.pem"])
def test_every_key_in_the_store_counts_whatever_its_name(store, receiver, published, tmp_path, keys, name):
    (private, public), (other, _) = keys
    trust = receiver.path / "trust"
    trust.mkdir()
    (trust / name).write_bytes(public.read_bytes())
    revision = published(1)
    for number, key in enumerate((None, other)):
        file = tmp_path / f"{number}.nacbook"
        export_revision(store, revision.codebook_id, file, sign=key)
        with pytest.raises(RegistryError, match="trusted"):
            import_bundle(receiver, file)
    export_revision(store, revision.codebook_id, tmp_path / "a.nacbook", sign=private)
    assert import_bundle(receiver, tmp_path / "a.nacbook")[-1].codebook_id == revision.codebook_id


def test_what_is_no_key_in_the_store_lets_nothing_in(store, receiver, published, tmp_path, keys):
    (private, public), _ = keys
    file, trust = tmp_path / "a.nacbook", receiver.path / "trust"
    export_revision(store, published(1).codebook_id, file, sign=private)
    trust.mkdir()
    made = trust / "broken.pem"
    for make, unmake in (
        (lambda: made.write_text("no key"), made.unlink),
        (lambda: made.write_bytes(b""), made.unlink),
        (lambda: made.write_bytes(private.read_bytes()), made.unlink),
        (lambda: made.symlink_to("nothing"), made.unlink),
        (made.mkdir, made.rmdir),
        (lambda: os.mkfifo(made), made.unlink),
    ):
        make()
        with pytest.raises(RegistryError, match=r"broken\.pem: .*; mend that file or move it out of"):
            import_bundle(receiver, file, trust=[public])
        unmake()
    trust.rmdir()
    trust.write_bytes(public.read_bytes())
    with pytest.raises(RegistryError, match="make it a folder of keys"):
        import_bundle(receiver, file)
    trust.unlink()
    assert import_bundle(receiver, file)
