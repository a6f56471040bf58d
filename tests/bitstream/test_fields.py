import numpy as np
import pytest

from audiocodec.bitstream.fields import Cursor, varint
from audiocodec.errors import BitstreamError, InputError, Truncated


@pytest.mark.parametrize(
    ("value", "spelling"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (16384, "808001"),
        (44100, "c4d802"),
        (2**63 - 1, "ff" * 8 + "7f"),
    ],
)
def test_varint_spelling(value: int, spelling: str) -> None:
    assert varint(value).hex() == spelling
    cursor = Cursor(bytes.fromhex(spelling), "it")
    assert cursor.varint() == value
    cursor.finish()


@pytest.mark.parametrize("value", [-1, 2**63])
def test_varint_refuses_what_does_not_fit(value: int) -> None:
    with pytest.raises(InputError, match="allowed are 0 to"):
        varint(value)


@pytest.mark.parametrize("spelling", ["8000", "ff8000", "80" * 9, "ff" * 20])
def test_cursor_refuses_long_spellings(spelling: str) -> None:
    with pytest.raises(BitstreamError, match="it holds a count"):
        Cursor(bytes.fromhex(spelling), "it").varint()


@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_many_counts_at_once_are_the_same_counts(count: int) -> None:
    rng = np.random.default_rng(count)
    values = [int(rng.integers(0, 1 << int(rng.integers(1, 63)), dtype=np.int64)) for _ in range(count)]
    values[:2] = [2**63 - 1, 0][:count]
    cursor = Cursor(b"\x05" + b"".join(map(varint, values)) + b"\x85\x01", "it")
    assert cursor.varint() == 5
    assert cursor.varints(count).tolist() == values
    assert cursor.varint() == 133
    cursor.finish()


@pytest.mark.parametrize("spelling", ["8000", "ff8000", "80" * 9 + "01", "ff" * 20 + "01"])
def test_many_counts_at_once_refuse_the_same(spelling: str) -> None:
    with pytest.raises(BitstreamError, match="it holds a count"):
        Cursor(bytes.fromhex(f"05{spelling}05"), "it").varints(3)
    with pytest.raises(Truncated, match="4611686018427387904 counts wanted, 2 left"):
        Cursor(b"\x05\x05\x80", "it").varints(1 << 62)


def test_cursor_says_when_bytes_are_missing_or_left() -> None:
    with pytest.raises(Truncated, match="3 bytes wanted, 2 left"):
        Cursor(b"ab", "it").take(3)
    with pytest.raises(Truncated):
        Cursor(b"\x80", "it").varint()
    with pytest.raises(BitstreamError, match="2 bytes too many"):
        Cursor(b"ab", "it").finish()
