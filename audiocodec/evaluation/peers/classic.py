"""Codecs that are programs: Codec2, AMR-WB, Speex and LC3, each run as its own users run it."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from functools import lru_cache
from pathlib import Path

import numpy as np

from audiocodec.errors import BitrateError, PeerUnavailable
from audiocodec.evaluation.peers.alignment import find_delay, shift
from audiocodec.evaluation.peers.base import (
    Coded,
    PeerOptions,
    Samples,
    check_bitrate,
    check_input,
    check_output,
    to_rate,
)
from audiocodec.evaluation.peers.packets import amr_wb_packets, lc3_packets, ogg_packets, payload_bits
from audiocodec.evaluation.peers.program import read_bytes, read_wav, require_programs, run_program, write_wav

_SILENCE_SECONDS = 0.5  # after the input, so that all of it comes out of the decoder
_MOST_DELAY_SECONDS = 0.1
_CODEC2_MODES = {700.0: "700C", **{float(rate): f"{rate}" for rate in (1200, 1300, 1400, 1600, 2400, 3200)}}

_AMR_WB_RATES = (6600.0, 8850.0, 12650.0, 14250.0, 15850.0, 18250.0, 19850.0, 23050.0, 23850.0)


class ProgramPeer(ABC):
    """A codec with an encoder and a decoder program; a subclass says how they are called.

    Attributes:
        sample_rate: at which it codes.
        packet_length: samples of a packet, at that rate.
        waveform: whether its output follows the waveform, so that the delay can be checked by correlation.
    """

    name: str
    bitrates: tuple[float, ...] | None = None
    programs: tuple[str, ...]
    package: str
    sample_rate: int = 16000
    packet_length: int = 320
    waveform: bool = True

    def __init__(self, options: PeerOptions) -> None:
        """Check that it can be run.

        Raises:
            PeerUnavailable: a program is missing.
        """
        require_programs(self.name, self.programs, self.package)
        self.timeout_seconds = options.timeout_seconds

    @abstractmethod
    def commands(self, bitrate: float) -> tuple[list[str], list[str]]:
        """Give the commands from `in.wav` (or .raw) to a file named last, and from it to `out.wav` (or .raw).

        Raises:
            BitrateError: it does not code at this rate.
        """

    @abstractmethod
    def packets(self, data: bytes, bitrate: float) -> list[int]:
        """Bits of every packet of the coded file."""

    def roundtrip(self, wav: Samples, sample_rate: int, bitrate: float) -> Coded:
        """Encode and decode; see `Peer`."""
        check_input(wav, sample_rate)
        encode, decode = self.commands(bitrate)
        samples = to_rate(wav, sample_rate, self.sample_rate)
        padded = np.pad(samples, (0, round(_SILENCE_SECONDS * self.sample_rate)))
        with tempfile.TemporaryDirectory(prefix="audiocodec-peer-") as name:
            folder = Path(name)
            self.write(folder, padded)
            encoding = run_program(self.name, encode, folder, self.timeout_seconds).seconds
            decoding = run_program(self.name, decode, folder, self.timeout_seconds).seconds
            decoded = self.read(folder, 2 * len(padded))
            packets = self.packets(read_bytes(self.name, folder / encode[-1]), bitrate)
        most = round(_MOST_DELAY_SECONDS * self.sample_rate)
        delay = self.delay(bitrate)
        if self.waveform:
            delay = find_delay(padded, decoded, delay, most)
        aligned = check_output(self.name, shift(decoded, delay), len(samples))
        share = len(samples) / len(padded)
        return Coded(
            to_rate(aligned, self.sample_rate, sample_rate)[: len(wav)],
            payload_bits(packets, len(samples), self.packet_length),
            encoding * share,
            decoding * share,
        )

    def delay(self, bitrate: float) -> int:
        """Samples at its rate by which the output comes later, as measured."""
        del bitrate
        return 0

    def write(self, folder: Path, wav: Samples) -> None:
        """Put the input where the encoder finds it."""
        write_wav(folder / "in.wav", wav, self.sample_rate)

    def read(self, folder: Path, most: int) -> Samples:
        """Take the output of the decoder."""
        return read_wav(self.name, folder / "out.wav", self.sample_rate, most)


class Codec2Peer(ProgramPeer):
    """Codec2: parametric speech coding at 8 kHz, by David Rowe."""

    name = "codec2"
    bitrates = tuple(_CODEC2_MODES)
    programs = ("c2enc", "c2dec")
    package = "codec2"
    sample_rate = 8000
    packet_length = 160
    waveform = False

    def delay(self, bitrate: float) -> int:
        """That at which STOI is best: 20 ms, and 30 at 700 bit/s."""
        return 240 if bitrate == 700 else 160

    def commands(self, bitrate: float) -> tuple[list[str], list[str]]:
        """See `ProgramPeer`."""
        mode = _CODEC2_MODES[check_bitrate(self.name, tuple(_CODEC2_MODES), bitrate)]
        return ["c2enc", mode, "in.raw", "coded"], ["c2dec", mode, "coded", "out.raw"]

    def packets(self, data: bytes, bitrate: float) -> list[int]:
        """Count 20 ms each: frames of 40 ms are split, and the padding of a frame to whole bytes left out."""
        bits = round(bitrate * self.packet_length / self.sample_rate)
        frame_bytes = -(-bits // 8) if bitrate >= 2000 else -(-2 * bits // 8)
        return [bits] * (len(data) // frame_bytes * (1 if bitrate >= 2000 else 2))

    def write(self, folder: Path, wav: Samples) -> None:
        """16-bit samples without a header."""
        whole = np.clip(np.rint(wav * 32768.0), -32768, 32767).astype("<i2")
        (folder / "in.raw").write_bytes(whole.tobytes())

    def read(self, folder: Path, most: int) -> Samples:
        """16-bit samples without a header."""
        data = read_bytes(self.name, folder / "out.raw")[: 2 * most]
        return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float32) / np.float32(32768)


class AmrWbPeer(ProgramPeer):
    """AMR-WB (G.722.2) of the telephone, encoded by VisualOn's encoder inside ffmpeg."""

    name = "amrwb"
    bitrates = _AMR_WB_RATES
    programs = ("ffmpeg",)
    package = "ffmpeg libavcodec-extra"

    def delay(self, bitrate: float) -> int:
        """What the standard's look-ahead and filters add."""
        del bitrate
        return 95

    def __init__(self, options: PeerOptions) -> None:
        super().__init__(options)
        if not _ffmpeg_encodes("libvo_amrwbenc"):
            raise PeerUnavailable(
                "amrwb needs an ffmpeg with libvo_amrwbenc: apt-get install libavcodec-extra, or the like"
            )

    def commands(self, bitrate: float) -> tuple[list[str], list[str]]:
        """See `ProgramPeer`."""
        rate = check_bitrate(self.name, _AMR_WB_RATES, bitrate)
        run = ["ffmpeg", "-nostdin", "-y", "-v", "error", "-threads", "1"]
        encode = [*run, "-i", "in.wav", "-c:a", "libvo_amrwbenc", "-b:a", f"{rate:.0f}", "coded.amr"]
        return encode, [*run, "-i", "coded.amr", "out.wav"]

    def packets(self, data: bytes, bitrate: float) -> list[int]:
        """See `ProgramPeer`."""
        return amr_wb_packets(data)


class SpeexPeer(ProgramPeer):
    """Speex, wide band, at the highest complexity; takes the rate it has at or below the one asked for."""

    name = "speex"
    programs = ("speexenc", "speexdec")
    package = "speex"
    lowest = 3950.0

    def commands(self, bitrate: float) -> tuple[list[str], list[str]]:
        """See `ProgramPeer`."""
        if bitrate < self.lowest:
            raise BitrateError(
                f"speex has no {bitrate:g} bit/s in wide band; ask for {self.lowest:g} or more"
            )
        encode = ["speexenc", "-w", "--bitrate", f"{bitrate:.0f}", "--comp", "10", "in.wav", "coded"]
        return encode, ["speexdec", "--force-wb", "coded", "out.wav"]

    def packets(self, data: bytes, bitrate: float) -> list[int]:
        """Leave out the two packets of header and comments."""
        return ogg_packets(data)[2:]


class Lc3Peer(ProgramPeer):
    """LC3 of Bluetooth LE Audio, in frames of 10 ms, by Google's liblc3."""

    name = "lc3"
    programs = ("elc3", "dlc3")
    package = "liblc3-tools"
    packet_length = 160
    lowest, highest = 16000.0, 320000.0

    def commands(self, bitrate: float) -> tuple[list[str], list[str]]:
        """See `ProgramPeer`."""
        if not self.lowest <= bitrate <= self.highest:
            raise BitrateError(
                f"lc3 has no {bitrate:g} bit/s at 16 kHz; ask for {self.lowest:g} to {self.highest:g}"
            )
        return ["elc3", "-b", f"{bitrate:.0f}", "in.wav", "coded"], ["dlc3", "coded", "out.wav"]

    def packets(self, data: bytes, bitrate: float) -> list[int]:
        """See `ProgramPeer`."""
        return lc3_packets(data)


@lru_cache(maxsize=8)
def _ffmpeg_encodes(encoder: str) -> bool:
    with tempfile.TemporaryDirectory(prefix="audiocodec-peer-") as folder:
        ran = run_program("ffmpeg", ["ffmpeg", "-v", "error", "-encoders"], Path(folder), 30.0)
    return f" {encoder} " in ran.stdout
