"""All of a sound file is read, whatever its header says of its length; what is missing is said."""

import io
import itertools
import os
import re

import numpy as np
import pytest
import soundfile

from audiocodec.audio import blocks, blocks_of_bytes, info, read
from audiocodec.audio.contents import look_at
from audiocodec.errors import InputError

RATE = 16000
SECONDS = 6
FORMS = {"ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III")}


def encoded(kind, seconds=SECONDS, rate=RATE, seed=0):
    """White noise that becomes quiet after a third, so that a rate of bits says nothing of the length."""
    wav = 0.1 * np.random.default_rng(seed).standard_normal(seconds * rate)
    wav[: len(wav) // 3] *= 0.01
    form, subtype = FORMS.get(kind, (kind.upper(), None))
    options = {"bitrate_mode": "VARIABLE"} if kind == "mp3" else {}
    file = io.BytesIO()
    soundfile.write(file, wav, rate, format=form, subtype=subtype, **options)
    return file.getvalue()


def without_xing(mp3):
    """An MP3 without its first frame, which says how many follow."""
    assert b"Xing" in mp3[:64]
    return mp3[mp3.index(b"\xff", 4) :]


@pytest.fixture
def save(tmp_path):
    def save(name, data):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return save


def seconds(path):
    assert sum(block.shape[1] for block in blocks(path, 10_000)) == info(path).length
    return info(path).seconds


def test_an_mp3_that_does_not_say_its_length(save):
    whole, bare = save("a.mp3", encoded("mp3")), save("b.mp3", without_xing(encoded("mp3")))
    assert soundfile.info(bare).duration < SECONDS / 2
    assert info(whole).seconds == SECONDS
    assert seconds(bare) == pytest.approx(SECONDS, abs=0.1)
    late = read(bare)[0][0, -RATE:-2000]
    assert float(np.std(late)) > 0.05
    assert not info(bare).problem


@pytest.mark.parametrize("between", [b"", b"ID3\x03\0\0\0\0\x02\x0a" + b"\xff\xfb\x90\x64" * 67 + b"\0" * 68])
def test_joined_mp3_files(save, between):
    """With tags between them, whose pictures may look like frames."""
    path = save("a.mp3", encoded("mp3") + between + encoded("mp3", seed=1))
    assert soundfile.info(path).duration <= SECONDS
    assert seconds(path) == pytest.approx(2 * SECONDS, abs=0.2)
    whole = read(path)[0]
    part = np.concatenate(list(blocks(path, 999, 100_000, 5000)), axis=1)
    np.testing.assert_array_equal(part, read(path, 100_000, 5000)[0])
    np.testing.assert_allclose(read(path, 100_000, 5000)[0], whole[:, 100_000:105_000], atol=1e-3)


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_ogg_streams_one_after_the_other(save, kind):
    one, two = encoded(kind), encoded(kind, seed=1)
    path = save(f"a.{kind}", one + two)
    assert seconds(path) == 2 * SECONDS
    apart = [read(save(f"{number}.{kind}", data))[0] for number, data in enumerate((one, two))]
    np.testing.assert_array_equal(read(path)[0], np.concatenate(apart, axis=1))
    length = SECONDS * RATE
    np.testing.assert_array_equal(read(path, length - 10, 20)[0][:, 10:], apart[1][:, :10])
    np.testing.assert_array_equal(read(path, length + 500, 100)[0], apart[1][:, 500:600])


def test_streams_of_other_rates_are_not_mixed(save):
    with pytest.raises(InputError, match="other sample rates or channels follow"):
        info(save("a.ogg", encoded("ogg") + encoded("ogg", rate=24000)))
    with pytest.raises(InputError, match=r"changes from 16000 to 24000 Hz after 6\.\d+ s; split"):
        info(save("a.mp3", encoded("mp3") + encoded("mp3", rate=24000)))
    with pytest.raises(InputError, match="a second FLAC file begins at byte"):
        info(save("a.flac", encoded("flac") * 2))


def unknown_length(flac):
    """As from a pipe: no number of samples, no checksum."""
    return flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4 + 16) + flac[42:]


@pytest.mark.parametrize("samples", [1, 100, 4096, 4097, RATE * SECONDS])
def test_a_flac_file_that_came_through_a_pipe(save, samples):
    file = io.BytesIO()
    soundfile.write(file, np.linspace(-0.5, 0.5, samples), RATE, format="FLAC")
    path = save("a.flac", unknown_length(file.getvalue()))
    assert info(path).length == samples
    np.testing.assert_array_equal(read(path)[0], read(save("b.flac", file.getvalue()))[0])


@pytest.mark.parametrize("kind", ["wav", "aiff", "au", "rf64", "w64"])
def test_samples_that_end_before_the_length_in_the_header(save, kind, caplog):
    data = encoded(kind)
    assert not info(save(f"whole.{kind}", data)).problem
    path = save(f"a.{kind}", data[: len(data) // 2])
    found = info(path)
    assert found.seconds == pytest.approx(SECONDS / 2, abs=0.01)
    assert found.problem.startswith("cut off: its header says 6.000 s, 2.99") or "3.00" in found.problem
    assert seconds(path) == found.seconds
    assert f"{path}: cut off" in caplog.text


@pytest.mark.parametrize("kind", ["ogg", "opus", "mp3"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_compressed_files_that_are_cut_off(save, kind, share, caplog):
    data = encoded(kind)
    assert not info(save(f"whole.{kind}", data)).problem
    path = save(f"a.{kind}", data[: int(share * len(data))])
    assert info(path).problem.startswith("cut off: ")
    assert 0 < read(path)[0].shape[1] < SECONDS * RATE
    assert caplog.text.count("cut off") == 1


def test_an_mp3_without_a_length_that_is_cut_off_in_a_frame(save):
    data = without_xing(encoded("mp3"))
    assert not info(save("whole.mp3", data)).problem
    path = save("a.mp3", data[: len(data) // 2])
    assert re.fullmatch(
        r"cut off: its last frame should end at \d\.\d+ s and is not whole", info(path).problem
    )


def test_a_flac_file_behind_a_tag_of_another_program(save):
    """Whatever looks like frames of MP3 in it."""
    data = encoded("flac") + b"\xff\xfb\x90\x64" * 1000
    tag = b"ID3\x03\0\0\0\0\x01\x0a" + bytes(138)
    expected = read(save("b.flac", encoded("flac")))[0]
    for content in (data, unknown_length(encoded("flac"))):
        np.testing.assert_array_equal(read(save("a.flac", tag + content))[0], expected)


def test_letters_of_a_tag_in_the_middle_are_no_tag(save):
    """A length of more than the file has would hide all that follows."""
    mp3 = without_xing(encoded("mp3"))
    path = save("a.mp3", mp3 + b"ID3\x03\0\0\x7f\x7f\x7f\x7f" + mp3)
    assert info(path).seconds == pytest.approx(2 * SECONDS, abs=0.2)


def test_what_is_wrong_with_an_mp3_is_said_by_us_alone(save, capfd):
    """libmpg123 writes on stderr, past Python."""
    data = encoded("mp3")
    path = save("a.mp3", data[:2000] + bytes(5000) + data[2000:])
    with pytest.raises(InputError, match="damaged between"):
        read(path)
    assert capfd.readouterr().err == ""
    os.write(2, b"of others")
    assert capfd.readouterr().err == "of others"


def test_what_is_called_mp3_and_is_none(save, capfd):
    path = save("a.mp3", np.random.default_rng(0).bytes(20_000))
    with pytest.raises(InputError, match=r"not a sound file that can be read \(Format not recognised\)"):
        info(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("change", [bytes, unknown_length])
def test_damage_is_told_where_it_is(save, change):
    """However much is read at once, and where the length is not known."""
    data = bytearray(change(encoded("flac")))
    place = len(data) * 9 // 10  # quiet for a third of the time, in a few of the bytes
    data[place : place + 500] = bytes(500)
    with pytest.raises(InputError, match="damaged") as error:
        read(save("a.flac", data))
    assert 4.5 < float(re.search(r"damaged (?:after|between) (\d\.\d+)", str(error.value))[1]) < 6


@pytest.mark.parametrize("claim", [0xFFFFFFFF, 0x7FFFFFFF])
def test_lengths_of_programs_that_write_to_a_pipe_are_no_claims(save, claim):
    data = bytearray(encoded("wav"))
    data[40:44] = claim.to_bytes(4, "little")
    found = info(save("a.wav", bytes(data)))
    assert (found.seconds, found.problem) == (SECONDS, "")


@pytest.mark.parametrize("kind", ["mp3", "ogg", "flac"])
def test_samples_do_not_depend_on_the_size_of_blocks(save, kind):
    path = save(f"a.{kind}", encoded(kind))
    for length in (999, 5000):
        np.testing.assert_array_equal(np.concatenate(list(blocks(path, length)), axis=1), read(path)[0])


def test_bytes_are_read_as_files_are(save):
    for data in (encoded("ogg") * 2, without_xing(encoded("mp3")), unknown_length(encoded("flac"))):
        found, parts = blocks_of_bytes(data, "shard/a", 5000)
        path = save("a", data)
        assert found == info(path)
        np.testing.assert_array_equal(np.concatenate(list(parts), axis=1), read(path)[0])
    with pytest.raises(InputError, match="shard/b: not a sound file"):
        blocks_of_bytes(b"nothing", "shard/b", 5000)


@pytest.mark.parametrize("kind", ["wav", "w64", "aiff", "au", "ogg", "mp3", "flac"])
def test_any_bytes_can_be_looked_at(tmp_path, kind):
    """Whatever is changed: contents or an error of our own."""
    data, rng = encoded(kind, seconds=1), np.random.default_rng(0)
    for number in range(300):
        changed = bytearray(data[: int(rng.integers(1, len(data)))] if number % 2 else data)
        for place in rng.integers(0, min(len(changed), 64 if number % 3 else len(changed)), 4):
            changed[place] = rng.integers(256)
        try:
            found = look_at(bytes(changed), tmp_path / f"a.{kind}")
        except InputError:
            continue
        stretches = itertools.chain.from_iterable(part for _, part in found.parts)
        assert all(0 <= one.first < one.stop <= len(changed) for one in stretches)
