"""Tokens: every order is the same codes, files say what decoding needs, and hostile ones are refused."""

import io
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from audiocodec import tokens
from audiocodec.codec import EncodedAudio
from audiocodec.errors import InputError
from audiocodec.tokens import from_tokens, load_tokens, save_tokens, to_tokens

SIZES = (4, 8, 2)
ORDERS = ("rows", "flat", "delay")


@pytest.fixture
def codes():
    rng = np.random.default_rng(0)
    return np.stack([rng.integers(0, size, (2, 5)) for size in SIZES], axis=1)


def edit(path, **changes):
    """Rewrite a file with other arrays; None leaves one out."""
    with np.load(path) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    kept |= changes
    np.savez(path, **{name: value for name, value in kept.items() if value is not None})


def test_frame_by_frame_each_stage_with_entries_of_its_own(codes):
    flat = to_tokens(codes, SIZES, "flat")
    assert flat.shape == (2, 15)
    for frame in range(5):
        a, b, c = flat[1, 3 * frame : 3 * frame + 3]
        assert (a, b - 4, c - 12) == tuple(codes[1, :, frame])


def test_later_stages_come_later(codes):
    delayed = to_tokens(codes, SIZES, "delay")
    assert delayed.shape == (2, 3, 7)
    for row, size in enumerate(SIZES):
        expected = [size] * row + [*codes[0, row]] + [size] * (2 - row)
        assert delayed[0, row].tolist() == expected


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_can_be_undone(codes, order):
    assert np.array_equal(from_tokens(to_tokens(codes, SIZES, order), SIZES, order), codes)


@pytest.mark.parametrize("order", ORDERS)
def test_a_token_that_is_none_names_its_place(codes, order):
    made = to_tokens(codes, SIZES, order).copy()
    place = {"rows": (1, 2, 3), "flat": (1, 3 * 3 + 2), "delay": (1, 2, 3 + 2)}[order]
    made[place] = 14
    with pytest.raises(
        InputError, match="channel 1, stage 2, frame 3: no entry of its codebook, which has 2"
    ):
        from_tokens(made, SIZES, order)


@pytest.mark.parametrize(
    ("order", "shape"), [("rows", (2, 4, 5)), ("flat", (2, 16)), ("flat", (15,)), ("delay", (1, 3, 2))]
)
def test_a_shape_of_another_order(order, shape):
    with pytest.raises(InputError, match=f"tokens in the order {order} have shape"):
        from_tokens(np.zeros(shape, np.int64), SIZES, order)


@pytest.mark.parametrize("order", ORDERS)
def test_a_file_decodes_as_what_was_encoded(codec, voice, tmp_path, order):
    encoded = codec.encode(voice(1.3, 44100, 2), 44100, 900)
    save_tokens(tmp_path / "a.npz", encoded, order)
    found = load_tokens(tmp_path / "a.npz")
    assert np.array_equal(found.codes, encoded.codes)
    assert found.header == encoded.header
    assert np.array_equal(codec.decode(found)[0], codec.decode(encoded)[0])


def test_generated_tokens_of_any_length(codec, tmp_path):
    """A model knows neither length nor header: it keeps the arrays of a file and puts its tokens in."""
    save_tokens(tmp_path / "a.npz", codec.encode(np.zeros(1600, np.float32), 16000, 900), "flat")
    rng = np.random.default_rng(0)
    rows = [rng.integers(start, start + 64, 70) for start in (0, 64, 128)]
    assert codec.model.quantizer.codebook_sizes[:3] == (64, 64, 64)
    edit(tmp_path / "a.npz", tokens=np.stack(rows, 1).reshape(1, -1), length=-1)
    wav, sample_rate = codec.decode(load_tokens(tmp_path / "a.npz"))
    assert wav.shape == (1, 70 * 320 - codec.model.delay)
    assert sample_rate == 16000


def test_nothing_is_overwritten_unless_asked(codec, voice, tmp_path):
    encoded = codec.encode(voice(0.3), 16000)
    save_tokens(tmp_path / "a.npz", encoded)
    with pytest.raises(InputError, match="exists already"):
        save_tokens(tmp_path / "a.npz", encoded)
    save_tokens(tmp_path / "a.npz", encoded, overwrite=True)
    with pytest.raises(InputError, match="one recording"):
        save_tokens(tmp_path / "b.npz", EncodedAudio(encoded.codes[None], encoded.header))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 2}, "version 2, this package reads 1"),
        ({"order": "columns"}, "order 'columns' is none of rows, flat, delay"),
        ({"model_id": None}, "no array 'model_id'"),
        ({"model_id": "xyz"}, "model_id"),
        ({"tokens": np.zeros((1, 8, 3))}, "tokens are float64, not integers"),
        ({"tokens": np.int64(3)}, "channels"),
        ({"tokens": np.full((1, 8, 3), 64)}, "stage 0, frame 0"),
        ({"tokens": np.full((1, 8, 3), -1)}, "stage 0, frame 0"),
        ({"codebook_sizes": np.array([], np.int64)}, "num_quantizers"),
        ({"codebook_sizes": np.array(["a"])}, "not written by"),
        ({"sample_rate": -5}, "sample_rate"),
        ({"length": 1 << 50}, "length"),
        ({"tokens": np.array([{}], dtype=object)}, "tokens holds Python objects"),
    ],
    ids=str,
)
def test_files_that_are_not_ours(codec, voice, tmp_path, changes, words):
    save_tokens(tmp_path / "a.npz", codec.encode(voice(0.1), 16000))
    edit(tmp_path / "a.npz", **changes)
    with pytest.raises(InputError) as caught:
        load_tokens(tmp_path / "a.npz")
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "a.npz"))


def test_files_that_are_none(tmp_path, codec, voice, monkeypatch):
    (tmp_path / "text.npz").write_text("tokens")
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
        archive.writestr("a.txt", "tokens")
    save_tokens(tmp_path / "cut.npz", codec.encode(voice(0.1), 16000))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:-30])
    for name in ("text", "zip", "cut", "missing"):
        with pytest.raises(InputError, match=f"{name}.npz"):
            load_tokens(tmp_path / f"{name}.npz")
    save_tokens(tmp_path / "big.npz", codec.encode(voice(0.1), 16000))
    monkeypatch.setattr(tokens, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="at most 1000 are read"):
        load_tokens(tmp_path / "big.npz")


def packed(path, kind=zipfile.ZIP_DEFLATED, **contents):
    """The same arrays packed in another way, and the bytes of some replaced."""
    with zipfile.ZipFile(path) as old:
        arrays = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", kind) as new:
        for name, content in {**arrays, **{f"{name}.npy": data for name, data in contents.items()}}.items():
            new.writestr(name, content)


def zeros(count):
    """A member of `count` numbers of one byte."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (1, 8, count // 8)}
    )
    return header.getvalue() + bytes(count)


def test_a_small_file_that_would_take_all_memory_is_refused(codec, voice, tmp_path):
    path = tmp_path / "a.npz"
    save_tokens(path, codec.encode(voice(0.1), 16000))
    packed(path, tokens=zeros(1 << 25))
    assert path.stat().st_size < 200_000
    tracemalloc.start()
    with pytest.raises(InputError, match="at most 16777216 numbers are read"):
        load_tokens(path)
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()
    packed(path, tokens=zeros(1 << 16))
    assert load_tokens(path).codes.shape == (1, 8, 1 << 13)


def test_members_that_numpy_does_not_make(codec, voice, tmp_path):
    path = tmp_path / "a.npz"
    text = np.array(["a"]).tobytes()
    for kind, contents, words in (
        (zipfile.ZIP_LZMA, {}, "packed in a way that numpy does not"),
        (zipfile.ZIP_BZIP2, {}, "packed in a way that numpy does not"),
        (zipfile.ZIP_STORED, {"order": b"\x93NUMPY\x01\x00\x0a\x00{((((((((("}, "not a .npz file"),
        (zipfile.ZIP_STORED, {"order": member(b"\xff" * 4)}, "order holds what is no text"),
        (zipfile.ZIP_STORED, {"order": member(b"\xff" * 2)}, "not a .npz file"),
        (zipfile.ZIP_STORED, {f"x{n}": text for n in range(99)}, "at most 64 are read"),
    ):
        save_tokens(path, codec.encode(voice(0.1), 16000), overwrite=True)
        packed(path, kind, **contents)
        with pytest.raises(InputError, match=words):
            load_tokens(path)
    save_tokens(path, codec.encode(voice(0.1), 16000), overwrite=True)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # encrypted
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"not a \.npz file"):
        load_tokens(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("order.npy", member(b"a\0\0\0"))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("order.npy", member(b"a\0\0\0"))
    with pytest.raises(InputError, match="two arrays order"):
        load_tokens(path)


def member(text):
    """One letter as an array of text."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<U1", "fortran_order": False, "shape": ()})
    return header.getvalue() + text


def test_what_could_not_be_read_again_is_not_written(codec, voice, tmp_path, monkeypatch):
    monkeypatch.setattr(tokens, "MAX_TOKENS", 10)
    with pytest.raises(InputError, match="at most 10; cut the recording"):
        save_tokens(tmp_path / "a.npz", codec.encode(voice(0.1), 16000))
    assert not list(tmp_path.iterdir())


def test_codes_of_fewer_stages_are_written_with_their_codebooks(codec, voice, tmp_path):
    encoded = codec.encode(voice(0.3), 16000)
    save_tokens(tmp_path / "a.npz", EncodedAudio(encoded.codes[:, :2], encoded.header), "delay")
    found = load_tokens(tmp_path / "a.npz")
    assert found.header == replace(encoded.header, codebook_sizes=encoded.header.codebook_sizes[:2])
