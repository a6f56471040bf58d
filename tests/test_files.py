import io
import tracemalloc
import zlib

import numpy as np
import pytest
import soundfile

from audiocodec.bitstream import ContainerReader, ContainerWriter
from audiocodec.bitstream.header import pack_header
from audiocodec.bitstream.records import pack_packet
from audiocodec.codec import Codec
from audiocodec.errors import BitstreamError, InputError, RegistryError
from audiocodec.files import read_blocks, segment


@pytest.fixture(scope="module", params=["one phase", "random phase"])
def codec(request, codec):
    return codec if request.param == "one phase" else request.getfixturevalue("random_codec")


@pytest.fixture(scope="module")
def recording(codec, voice, tmp_path_factory):
    """A compressed file of 9.7 s at 44.1 kHz in stereo, and all of it decoded."""
    path = tmp_path_factory.mktemp("recording") / "long.nac"
    path.write_bytes(codec.compress(voice(9.7, 44100, 2), 44100))
    return path, codec.decompress(path.read_bytes())[0]


def decode(codec, path, out, **options):
    result = codec.decompress_file(path, out, subtype="FLOAT", overwrite=True, **options)
    wav, rate = soundfile.read(out, dtype="float32", always_2d=True)
    assert result.length == len(wav)
    return wav.T, rate


def test_a_file_decodes_as_in_memory(codec, recording, tmp_path):
    path, whole = recording
    wav, rate = decode(codec, path, tmp_path / "out.wav")
    assert rate == 44100
    np.testing.assert_array_equal(wav, whole)


@pytest.mark.parametrize(
    ("start", "duration"), [(0, 1), (0.5, 0.001), (3.3333, 2.5), (5, None), (7.77, 1.93), (9.69, 5), (0, 100)]
)
def test_a_part_is_what_the_whole_has_there(codec, recording, tmp_path, start, duration):
    path, whole = recording
    wav, _ = decode(codec, path, tmp_path / "out.wav", start=start, duration=duration)
    first = round(start * 44100)
    stop = whole.shape[1] if duration is None else min(whole.shape[1], first + round(duration * 44100))
    assert wav.shape[1] == stop - first
    np.testing.assert_allclose(wav, whole[:, first:stop], atol=2e-5)


def test_a_part_reads_only_what_it_needs(codec, recording):
    path, _ = recording
    data = bytearray(path.read_bytes())
    reader = ContainerReader(io.BytesIO(bytes(data)))
    for packet in (0, 9):
        data[reader.index[packet] + 20] ^= 1
    damaged = ContainerReader(io.BytesIO(bytes(data)))
    parts = read_blocks(codec.model, damaged, round(5.0 * 44100), round(6.0 * 44100))
    assert sum(part.shape[1] for part in parts) == 44100


@pytest.mark.parametrize("sample_rate", [8000, 11025, 16000, 44100, 44099, 192000])
def test_a_plan_starts_on_the_common_grid(codec, sample_rate):
    header = codec.header(sample_rate, 1, length=100 * sample_rate)
    for start in (0, 1, 12345, 50 * sample_rate, 99 * sample_rate + 7):
        plan = segment(header, start)
        assert plan.packet >= 0
        assert plan.drop >= 0
        position = plan.packet * 16000 + plan.skip - 320  # of the first sample kept, at the model's rate
        assert position >= 0
        assert position * sample_rate == (start - plan.drop) * 16000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 9.8}, r"cannot start at 9\.8 s: the recording has 9\.700 s"),
        ({"start": -1}, "start must be 0 or more"),
        ({"duration": 0}, "duration above 0"),
        ({"duration": -3}, "duration above 0"),
        ({"start": float("nan")}, "start must be 0 or more"),
        ({"duration": float("inf")}, "duration above 0"),
        ({"start": 1e300}, "start must be 0 or more"),
    ],
)
def test_parts_that_do_not_exist(codec, recording, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        codec.decompress_file(recording[0], tmp_path / "out.wav", **options)
    assert list(tmp_path.iterdir()) == []


def test_damage_leaves_no_file_and_is_named(codec, recording, tmp_path):
    data = bytearray(recording[0].read_bytes())
    data[ContainerReader(io.BytesIO(bytes(data))).index[4] + 20] ^= 1
    bad, out = tmp_path / "bad.nac", tmp_path / "out.wav"
    bad.write_bytes(data)
    with pytest.raises(BitstreamError, match=r"bad\.nac: packet 4 .* 3\.98 to 4\.98 s are lost"):
        codec.decompress_file(bad, out)
    assert not out.exists()
    result = codec.decompress_file(bad, out, conceal=True)
    assert [(damage.start_seconds, damage.end_seconds) for damage in result.damage] == [(3.98, 4.98)]
    assert result.length == recording[1].shape[1] == soundfile.info(out).frames


@pytest.fixture
def long_file(codec, voice, tmp_path):
    """Writes 12.5 s, 13 packets, of which those named are damaged, perhaps cut off in packet `cut`."""

    def write(damaged=(), cut=None):
        data = bytearray(codec.compress(voice(12.5), 16000))
        index = ContainerReader(io.BytesIO(bytes(data))).index
        for packet in damaged:
            data[index[packet] + 20] ^= 1
        path = tmp_path / "damaged.nac"
        path.write_bytes(data if cut is None else data[: index[cut] + 10])
        return path

    return write


def test_as_much_is_filled_as_can_be_read(codec, long_file, tmp_path):
    """12 full packets are a second each, the last is 0.52 s."""
    out = tmp_path / "out.wav"
    for damaged, cut in ((range(6), None), (range(1, 12, 2), None), (range(6, 12), None), ((), 7)):
        result = codec.decompress_file(long_file(damaged, cut), out, conceal=True, overwrite=True)
        assert result.length == 200_000
        assert len(result.damage) == (len(damaged) or 1)
    out.unlink()
    for damaged, cut, lost, read in ((range(7), None, "7.00", "5.52"), ((), 5, "7.52", "5.00")):
        path = long_file(damaged, cut)
        with pytest.raises(
            BitstreamError,
            match=rf"{lost} s are lost and {read} s can be read; {read} s may be filled\. .*"
            r"\(--conceal-limit [78]\), .* The first damage: packet [05] cannot be read",
        ):
            codec.decompress_file(path, out, conceal=True)
        assert not out.exists()
        with pytest.raises(BitstreamError, match=f"{lost} s are lost"):
            codec.decompress(path.read_bytes(), conceal=True)
        assert codec.decompress(path.read_bytes(), conceal=True, conceal_limit=8)[0].shape == (1, 200_000)


def test_a_limit_of_ones_own(codec, long_file, tmp_path):
    out = tmp_path / "out.wav"
    path = long_file([3, 8])
    codec.decompress_file(path, out, conceal=True, conceal_limit=2)
    for limit in (0, 1.5):
        with pytest.raises(BitstreamError, match=rf"10\.52 s can be read; {limit:.2f} s may be filled"):
            codec.decompress_file(path, out, conceal=True, conceal_limit=limit, overwrite=True)
    codec.decompress_file(long_file(), out, conceal=True, conceal_limit=0, overwrite=True)
    for limit in (-1, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"conceal limit is .* give seconds"):
            codec.decompress_file(path, out, conceal=True, conceal_limit=limit, overwrite=True)


def test_a_short_file_may_lose_more_than_is_left(codec, voice):
    """Its first packet, 1 s of 1.4 s; but nothing is made of nothing."""
    data = bytearray(codec.compress(voice(1.4), 16000))
    data[ContainerReader(io.BytesIO(bytes(data))).index[0] + 20] ^= 1
    assert codec.decompress(bytes(data), conceal=True)[0].shape == (1, 22400)
    data[ContainerReader(io.BytesIO(bytes(data))).index[1] + 20] ^= 1
    with pytest.raises(
        BitstreamError, match=r"1\.42 s are lost and 0\.00 s can be read; 0\.00 s may be filled"
    ):
        codec.decompress(bytes(data), conceal=True)
    assert not codec.decompress(bytes(data), conceal=True, conceal_limit=2)[0].any()


def test_of_a_part_only_what_it_needs_is_counted(codec, long_file, tmp_path):
    """Packets 5 and later are lost; from 2 s on the decoder starts with packet 0, from 8 s with packet 5."""
    path, out = long_file(range(5, 13)), tmp_path / "out.wav"
    result = codec.decompress_file(path, out, start=2, duration=2.5, conceal=True)
    assert result.length == 40_000
    with pytest.raises(BitstreamError, match=r"4\.22 s are lost and 0\.00 s can be read"):
        codec.decompress_file(path, out, start=8, duration=1, conceal=True, overwrite=True)


@pytest.mark.parametrize("channels", [1, 64])
def test_a_claim_of_years_is_not_filled(codec, tmp_path, channels):
    """A header of 78 bytes and nothing else; one with packets of which each is 4000 after the other."""
    header = codec.header(16000, channels, 300.0, length=1 << 48, packet_frames=1)
    data = pack_header(header)
    (tmp_path / "a.nac").write_bytes(data)
    with pytest.raises(BitstreamError, match=r"17592186044\.\d+ s are lost and 0\.00 s can be read"):
        codec.decompress_file(tmp_path / "a.nac", tmp_path / "a.wav", conceal=True)
    header = codec.header(16000, channels, 300.0, packet_frames=1)
    data, seed = pack_header(header), zlib.crc32(pack_header(header)[:-4])
    codes = np.zeros((channels, 1, 1), np.int64)
    packets = [pack_packet(header, 4000 * number, codes, seed) for number in range(10)]
    (tmp_path / "b.nac").write_bytes(data + b"".join(packets))
    with pytest.raises(BitstreamError, match=r"719\.82 s are lost and 0\.20 s can be read; 5\.00 s may be"):
        codec.decompress_file(tmp_path / "b.nac", tmp_path / "a.wav", conceal=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nac", "b.nac"]


@pytest.mark.parametrize("conceal", [False, True])
def test_a_packet_of_many_channels_is_never_in_memory_as_a_whole(codec, conceal):
    """A second of 255 channels at 192 kHz is 196 MB; a packet of it 9.6 KB, or nothing where it is lost."""
    header = codec.header(192000, 255, 300.0)
    codes, file = np.random.default_rng(0).integers(0, 64, (255, 1, 50)), io.BytesIO()
    writer = ContainerWriter(file, header)
    for _ in range(2):
        writer.write_packet(codes)
    writer.close(380_000)
    data = bytearray(file.getvalue())
    if conceal:
        data[ContainerReader(io.BytesIO(bytes(data))).index[1] + 20] ^= 1
    tracemalloc.start()
    reader, length = ContainerReader(io.BytesIO(data)), 0
    for block in read_blocks(codec.model, reader, conceal=conceal):
        length += block.shape[1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert length == 380_000
    assert peak < 60e6


@pytest.mark.slow
@pytest.mark.parametrize("packet_frames", [5, 50])
def test_havoc_is_refused_or_filled(codec, voice, packet_frames):
    """Bytes changed, left out, put in and cut off: errors of ours, or the length that the file claims."""
    encoder = codec.stream_encoder(16000, packet_frames=packet_frames, length=48_000)
    data = b"".join([*encoder.push(voice(3.0)), *encoder.flush()])
    rng, filled = np.random.default_rng(0), 0
    for _ in range(400):
        changed = bytearray(data)
        for _ in range(int(rng.integers(1, 5))):
            position, size = int(rng.integers(len(changed) + 1)), int(rng.integers(1, 40))
            match rng.integers(4):
                case 0:
                    del changed[position : position + size]
                case 1:
                    changed[position:position] = rng.bytes(size)
                case 2:
                    changed[position : position + size] = rng.bytes(size)
                case _:
                    del changed[max(100, position) :]
        with pytest.raises(BitstreamError):
            codec.decompress(bytes(changed))
        try:
            wav, _ = codec.decompress(bytes(changed), conceal=True, conceal_limit=2.0)
        except (BitstreamError, RegistryError):
            continue
        assert wav.shape == (1, 48_000)
        filled += 1
    assert filled > 100


def test_files_that_cannot_be_opened(codec, tmp_path):
    (tmp_path / "empty.nac").touch()
    (tmp_path / "text.nac").write_text("RIFF this is no container")
    for name, message in {
        "none.nac": "no such file",
        "empty.nac": "ends after 0 bytes",
        "text.nac": "not a .nac file",
        ".": "is a folder",
    }.items():
        with pytest.raises((InputError, BitstreamError), match=message):
            codec.decompress_file(tmp_path / name, tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


def test_errors_name_the_file(codec, recording, tiny_config, tmp_path):
    other = Codec(codec.model, tiny_config, {"model_id": "12" * 32, "name": "other"})
    with pytest.raises(RegistryError, match=r"long\.nac: made with model 'tiny'"):
        other.decompress_file(recording[0], tmp_path / "out.wav")


def test_nothing_is_left_when_encoding_fails(codec, tmp_path):
    wav = np.zeros(200_000, np.float32)
    wav[150_000] = np.nan
    soundfile.write(tmp_path / "nan.wav", wav, 16000, "FLOAT")
    with pytest.raises(InputError, match=r"nan\.wav: .* at 9\.375 s"):
        codec.compress_file(tmp_path / "nan.wav", tmp_path / "nan.nac")
    assert [path.name for path in tmp_path.iterdir()] == ["nan.wav"]


def test_existing_files_are_kept_unless_asked(codec, recording, tmp_path):
    out = tmp_path / "out.wav"
    out.write_text("precious")
    with pytest.raises(InputError, match="exists already"):
        codec.decompress_file(recording[0], out)
    assert out.read_text() == "precious"
    codec.decompress_file(recording[0], out, overwrite=True)
    assert soundfile.info(out).frames == recording[1].shape[1]


def test_progress_goes_from_nothing_to_all(codec, recording, tmp_path):
    for convert, source in (
        (codec.decompress_file, recording[0]),
        (codec.compress_file, tmp_path / "out.wav"),
    ):
        seen = []
        convert(source, tmp_path / ("out.wav" if source == recording[0] else "out.nac"), progress=seen.append)
        assert seen == sorted(seen)
        assert seen[-1] == 1.0
        assert len(seen) > 5


def test_mp3_whose_header_only_estimates_the_length(codec, voice, tmp_path):
    soundfile.write(tmp_path / "a.mp3", voice(2.0).T, 16000)
    codec.compress_file(tmp_path / "a.mp3", tmp_path / "a.nac")
    result = codec.decompress_file(tmp_path / "a.nac", tmp_path / "a.wav")
    assert result.length == len(soundfile.read(tmp_path / "a.mp3")[0])
