import io
import sys
import tarfile

import numpy as np
import pytest
import soundfile
from webdataset.tariterators import group_by_keys, tar_file_expander

from audiocodec import audio
from audiocodec.corpus import shards as archive
from audiocodec.corpus.shards import Packed, decode_packed, find_shards, is_shards, read_shard
from audiocodec.errors import InputError, MissingPackageError


def encoded(wav, rate=16000, kind="FLAC"):
    file = io.BytesIO()
    soundfile.write(file, wav, rate, format=kind, subtype="PCM_16")
    return file.getvalue()


def noise(seconds):
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * 16000))


def test_reads_what_webdataset_reads(shards):
    for path in shards:
        ours = list(read_shard(path))
        with path.open("rb") as file:  # WebDataset itself leaves its files open
            theirs = list(group_by_keys(tar_file_expander([{"url": str(path), "stream": file}])))
        assert [one.name for one in ours] == [f"{path}/{sample['__key__']}" for sample in theirs]
        assert [one.sound for one in ours] == [sample["flac"] for sample in theirs]
        assert [one.speaker for one in ours] == [f"s{int(one.name[-3:])}" for one in ours]


def test_members_that_share_a_name_belong_together(tar, about):
    path = tar(
        [
            ("d/a.b/x.json", about(speaker="anna")), ("d/a.b/x.WAV", b"sound"), ("d/a.b/x.txt", b"words"),
            ("d/a.b/y.wav", b"other"), ("d/z.json", about(speaker="none")), ("README", b"text"),
            ("w.left.flac", b"1"), ("w.right.flac", b"2"), ("w.json", b"{broken"), (".hidden", b"3"),
        ]
    )  # fmt: skip
    found = [(one.name.removeprefix(f"{path}/"), one.sound, one.speaker) for one in read_shard(path)]
    assert found == [("d/a.b/x", b"sound", "anna"), ("d/a.b/y", b"other", ""), ("w", b"1", "")]


def test_decodes_as_files_are_decoded(tmp_path, voice):
    wav = voice(1.0, 44100, channels=2)
    (tmp_path / "a.flac").write_bytes(encoded(wav.T, 44100))
    whole, rate = audio.read(tmp_path / "a.flac")
    expected = audio.resample(whole.mean(axis=0, keepdims=True), rate, 16000)[0]
    found = decode_packed(Packed("s.tar/a", (tmp_path / "a.flac").read_bytes()), 16000)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("sound", "words"),
    [
        (b"no sound", "s.tar/a: "),
        (b"", "s.tar/a: "),
        (encoded(np.zeros(0), kind="WAV"), "contains no samples"),
        (encoded(noise(3.0))[:-400], "s.tar/a: "),
        (encoded(noise(1.0), 7000, "WAV"), "7000 Hz is not supported"),
        (encoded(np.zeros(3601 * 8000), 8000, "FLAC"), "longer than 3600 s"),
    ],
    ids=["text", "empty", "no samples", "cut", "rate", "long"],
)
def test_sound_that_cannot_be_used(sound, words):
    with pytest.raises(InputError, match=words):
        decode_packed(Packed("s.tar/a", sound), 16000)


def test_sizes_are_capped(tar, monkeypatch, about):
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 5000)
    monkeypatch.setattr(archive, "MAX_JSON_BYTES", 100)
    path = tar(
        [
            ("a.wav", b"x" * 5001), ("b.wav", b"fine"), ("b.json", about(speaker="b" * 100)),
            ("c.json", about(speaker="c\n" * 20)), ("c.wav", b"fine"),
        ]
    )  # fmt: skip
    big, long_json, short = read_shard(path)
    assert "5001 bytes, 5000 are allowed" in big.problem
    with pytest.raises(InputError, match=r"made\.tar/a: has 5001 bytes"):
        decode_packed(big, 16000)
    assert (long_json.sound, long_json.speaker) == (b"fine", "")
    assert short.speaker == "c?" * 20


def header(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_headers_that_claim_gigabytes_are_damage(tmp_path, kind):
    """tarfile reads these into memory at the size that they claim."""
    path = tmp_path / "bomb.tar"
    good = io.BytesIO()
    with tarfile.open(fileobj=good, mode="w") as file:
        info = tarfile.TarInfo("a.wav")
        info.size = 4
        file.addfile(info, io.BytesIO(b"fine"))
    path.write_bytes(good.getvalue()[:1024] + header("x", 1 << 32, kind) + b"\0" * 4096)
    first, rest = read_shard(path)
    assert first.sound == b"fine"
    assert "damaged" in rest.problem


def test_links_folders_and_names_lead_nowhere(tmp_path, tar):
    secret = tmp_path / "secret.wav"
    secret.write_bytes(b"secret")
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as file:
        for name, kind in (
            ("a.wav", tarfile.SYMTYPE),
            ("b.wav", tarfile.LNKTYPE),
            ("c.wav", tarfile.DIRTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, str(secret)
            file.addfile(info)
        info = tarfile.TarInfo("../../etc/d.wav")
        info.size = 4
        file.addfile(info, io.BytesIO(b"fine"))
    (found,) = read_shard(path)
    assert found.sound == b"fine"


@pytest.mark.parametrize("cut", [100, 700, 3000])
def test_a_shard_that_is_cut_off(shards, cut):
    whole = [one.sound for one in read_shard(shards[3])]
    shards[3].write_bytes(shards[3].read_bytes()[:-10240][:-cut])
    found = list(read_shard(shards[3]))
    assert [one.sound for one in found if not one.problem] == whole[: len(found) - 1]
    assert len(found) <= len(whole) + 1


def test_a_shard_that_is_none(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"no tar file at all" * 100)
    (found,) = read_shard(tmp_path / "a.tar")
    assert "damaged" in found.problem
    with pytest.raises(InputError, match=r"gone\.tar: cannot be read"):
        list(read_shard(tmp_path / "gone.tar"))


def test_finding_shards(shards, tmp_path):
    names = [f"{tmp_path}/train-{{000..003}}.tar", f"{tmp_path}/train-*.tar", str(tmp_path)]
    assert [find_shards(name) for name in names] == [shards] * 3
    assert find_shards(f"{tmp_path}/train-{{001,003}}.tar") == [shards[1], shards[3]]
    assert find_shards(str(shards[2])) == [shards[2]]
    assert all(is_shards(name) for name in names)
    assert not is_shards(str(tmp_path / "m.csv"))
    assert not is_shards(str(tmp_path.parent))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("train-{000..005}.tar", r"2 of 6 shards are missing \(.*train-004\.tar, .*train-005\.tar\)"),
        ("valid-*.tar", "no such shard"),
        ("train-{0..3.tar", "close every brace"),
        ("train-{0..99999999}.tar", "more than 1000000"),
    ],
)
def test_shards_that_are_not_there(shards, tmp_path, pattern, words):
    with pytest.raises(InputError, match=words):
        find_shards(f"{tmp_path}/{pattern}")


@pytest.mark.parametrize("pattern", ["https://host/a.tar", "pipe:curl host/a.tar", "s3://bucket/{0..3}.tar"])
def test_no_commands_and_no_urls(pattern):
    with pytest.raises(InputError, match="mount the store"):
        find_shards(pattern)


def test_braces_need_a_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "braceexpand", None)
    with pytest.raises(MissingPackageError, match=r"audiocodec\[data\]"):
        find_shards("a-{0..1}.tar")


def test_stereo_with_an_inverted_channel_is_said():
    stereo = encoded(np.stack([noise(1.0), -noise(1.0)], axis=1))
    with pytest.raises(InputError, match="x/a: its channels cancel each other"):
        decode_packed(Packed("x/a", stereo), 16000)
