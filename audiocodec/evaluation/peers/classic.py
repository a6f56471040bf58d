"""Codecs that are programs: Codec2, AMR-WB, Speex and LC3, each run as its own users run it.

Their bits are counted in the packets of the files that their encoders write.
"""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from functools import lru_cache
from pathlib import Path

import numpy as np

from audiocodec.errors import PeerError, PeerUnavailable
from audiocodec.evaluation.peers.base import Coded, Peer, PeerOptions, Samples, payload_bits, to_int16
from audiocodec.evaluation.peers.program import read_bytes, read_wav, require_programs, run_program, write_wav

_SILENCE_SECONDS = 0.5  # after the input, so that all of it comes out of the decoder
_CODEC2_MODES = {700.0: "700C", **{float(rate): f"{rate}" for rate in (1200, 1300, 1400, 1600, 2400, 3200)}}
# 3GPP TS 26.201, table 2: speech bits of a frame of 20 ms by frame type; 9 is comfort noise. 14, 15: no data.
AMR_WB_BITS = (132, 177, 253, 285, 317, 365, 397, 461, 477, 40)
_AMR_WB_MAGIC = b"#!AMR-WB\n"
_OGG_HEADER = 27


class ProgramPeer(Peer):
    """A codec with an encoder and a decoder program; a subclass says how they are called.

    Attributes:
        programs: their names.
        package: what Debian calls the package that brings them.
        packet_length: samples of a packet, at its rate.
    """

    programs: tuple[str, ...]
    package: str
    packet_length: int = 320
    max_delay = 1600

    def __init__(self, options: PeerOptions) -> None:
        super().__init__(options)
        require_programs(self.name, self.programs, self.package)

    @abstractmethod
    def _commands(self, bitrate: float) -> tuple[list[str], list[str]]:
        """How to encode `in.wav` (or .raw) to the file named last, and decode that to `out.wav` (or .raw)."""

    @abstractmethod
    def _packets(self, data: bytes, bitrate: float) -> list[int]:
        """Bits of every packet of the coded file."""

    def _padding(self, length: int) -> int:
        return round(_SILENCE_SECONDS * self.sample_rate)

    def _run(self, wav: Samples, length: int, bitrate: float) -> Coded:
        encode, decode = self._commands(bitrate)
        timeout_seconds = self.options.timeout_seconds
        with tempfile.TemporaryDirectory(prefix="audiocodec-peer-") as name:
            folder = Path(name)
            self._write(folder, wav)
            encode_seconds = run_program(self.name, encode, folder, timeout_seconds).seconds
            decode_seconds = run_program(self.name, decode, folder, timeout_seconds).seconds
            decoded = self._read(folder, 2 * len(wav))
            packets = self._packets(read_bytes(self.name, folder / encode[-1]), bitrate)
        share = length / len(wav)  # the silence does not count
        bits = payload_bits(packets, length, self.packet_length)
        return Coded(decoded, bits, encode_seconds * share, decode_seconds * share)

    def _write(self, folder: Path, wav: Samples) -> None:
        write_wav(folder / "in.wav", wav, self.sample_rate)

    def _read(self, folder: Path, most: int) -> Samples:
        return read_wav(self.name, folder / "out.wav", self.sample_rate, most)


class Codec2Peer(ProgramPeer):
    """Codec2: parametric speech coding at 8 kHz, by David Rowe. Its files are samples without a header."""

    name = "codec2"
    ladder = tuple(_CODEC2_MODES)
    programs = ("c2enc", "c2dec")
    package = "codec2"
    sample_rate = 8000
    packet_length = 160
    max_delay = 0  # its output does not follow the waveform, so nothing correlates

    def _delay(self, bitrate: float) -> int:
        return 240 if bitrate == 700 else 160  # 30 or 20 ms, at which STOI is best

    def _commands(self, bitrate: float) -> tuple[list[str], list[str]]:
        mode = _CODEC2_MODES[bitrate]
        return ["c2enc", mode, "in.raw", "coded"], ["c2dec", mode, "coded", "out.raw"]

    def _packets(self, data: bytes, bitrate: float) -> list[int]:
        # Of 20 ms each: frames of 40 ms are split, and the padding of a frame to whole bytes does not count.
        bits = round(bitrate * self.packet_length / self.sample_rate)
        frame_bytes = -(-bits // 8) if bitrate >= 2000 else -(-2 * bits // 8)
        return [bits] * (len(data) // frame_bytes * (1 if bitrate >= 2000 else 2))

    def _write(self, folder: Path, wav: Samples) -> None:
        (folder / "in.raw").write_bytes(to_int16(wav).astype("<i2").tobytes())

    def _read(self, folder: Path, most: int) -> Samples:
        data = read_bytes(self.name, folder / "out.raw")[: 2 * most]
        return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float32) / np.float32(32768)


class AmrWbPeer(ProgramPeer):
    """AMR-WB (G.722.2) of the telephone, encoded by VisualOn's encoder inside ffmpeg."""

    name = "amrwb"
    ladder = (6600.0, 8850.0, 12650.0, 14250.0, 15850.0, 18250.0, 19850.0, 23050.0, 23850.0)
    programs = ("ffmpeg",)
    package = "ffmpeg libavcodec-extra"

    def __init__(self, options: PeerOptions) -> None:
        super().__init__(options)
        if not _ffmpeg_encodes("libvo_amrwbenc"):
            raise PeerUnavailable(
                "amrwb needs an ffmpeg with libvo_amrwbenc: apt-get install libavcodec-extra, or the like"
            )

    def _delay(self, bitrate: float) -> int:
        return 95  # what the standard's look-ahead and filters add

    def _commands(self, bitrate: float) -> tuple[list[str], list[str]]:
        run = ["ffmpeg", "-nostdin", "-y", "-v", "error", "-threads", "1"]
        encode = [*run, "-i", "in.wav", "-c:a", "libvo_amrwbenc", "-b:a", f"{bitrate:.0f}", "coded.amr"]
        return encode, [*run, "-i", "coded.amr", "out.wav"]

    def _packets(self, data: bytes, bitrate: float) -> list[int]:
        return amr_wb_packets(data)


class SpeexPeer(ProgramPeer):
    """Speex, wide band, at the highest complexity; takes the rate it has at or below the one asked for."""

    name = "speex"
    programs = ("speexenc", "speexdec")
    package = "speex"
    lowest = 3950.0

    def _commands(self, bitrate: float) -> tuple[list[str], list[str]]:
        encode = ["speexenc", "-w", "--bitrate", f"{bitrate:.0f}", "--comp", "10", "in.wav", "coded"]
        return encode, ["speexdec", "--force-wb", "coded", "out.wav"]

    def _packets(self, data: bytes, bitrate: float) -> list[int]:
        return ogg_packets(data)[2:]  # the first two are header and comments


class Lc3Peer(ProgramPeer):
    """LC3 of Bluetooth LE Audio, in frames of 10 ms, by Google's liblc3."""

    name = "lc3"
    programs = ("elc3", "dlc3")
    package = "liblc3-tools"
    packet_length = 160
    lowest, highest = 16000.0, 320000.0

    def _commands(self, bitrate: float) -> tuple[list[str], list[str]]:
        return ["elc3", "-b", f"{bitrate:.0f}", "in.wav", "coded"], ["dlc3", "coded", "out.wav"]

    def _packets(self, data: bytes, bitrate: float) -> list[int]:
        return lc3_packets(data)


@lru_cache(maxsize=8)
def _ffmpeg_encodes(encoder: str) -> bool:
    with tempfile.TemporaryDirectory(prefix="audiocodec-peer-") as folder:
        ran = run_program("ffmpeg", ["ffmpeg", "-v", "error", "-encoders"], Path(folder), 30.0)
    return f" {encoder} " in ran.stdout


def amr_wb_packets(data: bytes) -> list[int]:
    """Speech bits of every frame of an AMR-WB file (RFC 4867, section 5).

    Raises:
        PeerError: it is no such file, or is cut off.
    """
    if not data.startswith(_AMR_WB_MAGIC):
        raise PeerError("amrwb: the encoder wrote no AMR-WB file")
    position, packets = len(_AMR_WB_MAGIC), list[int]()
    while position < len(data):
        kind = data[position] >> 3 & 15
        if 10 <= kind <= 13:
            raise PeerError(f"amrwb: frame {len(packets)} has the reserved type {kind}")
        bits = AMR_WB_BITS[kind] if kind < len(AMR_WB_BITS) else 0
        position += 1 + -(-bits // 8)
        packets.append(bits)
    if position != len(data):
        raise PeerError("amrwb: the last frame is cut off")
    return packets


def ogg_packets(data: bytes) -> list[int]:
    """Bits of every packet in an Ogg file with one stream (RFC 3533, section 6), its headers included.

    Raises:
        PeerError: it is no such file, or is cut off.
    """
    packets, open_bytes, position = list[int](), 0, 0
    while position < len(data):
        if data[position : position + 4] != b"OggS" or position + _OGG_HEADER > len(data):
            raise PeerError("the encoder wrote a damaged Ogg file")
        segments = data[position + _OGG_HEADER : position + _OGG_HEADER + data[position + 26]]
        for size in segments:
            open_bytes += size
            if size < 255:  # the last segment of a packet
                packets.append(8 * open_bytes)
                open_bytes = 0
        position += _OGG_HEADER + len(segments) + sum(segments)
    return packets


def lc3_packets(data: bytes) -> list[int]:
    """Bits of every frame in a file of liblc3's `elc3`: a header that says its size, then length and bytes.

    Raises:
        PeerError: it is no such file, or is cut off.
    """
    if data[:2] != b"\x1c\xcc" or len(data) < 4:
        raise PeerError("lc3: the encoder wrote no LC3 file")
    position, packets = int.from_bytes(data[2:4], "little"), list[int]()
    while position < len(data):
        size = int.from_bytes(data[position : position + 2], "little")
        position += 2 + size
        packets.append(8 * size)
    if position != len(data):
        raise PeerError("lc3: the last frame is cut off")
    return packets
