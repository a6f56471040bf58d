"""Opus by libopus, as it comes inside PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

import numpy as np

from audiocodec.errors import PeerError, PeerUnavailable
from audiocodec.evaluation.peers.base import (
    Coded,
    Peer,
    PeerOptions,
    Samples,
    payload_bits,
    to_int16,
    to_rate,
)
from audiocodec.roundtrip import run_timed

_RATE = 16000
_DECODED_RATE = 48000
_FRAME = 320  # 20 ms, the usual


class OpusPeer(Peer):
    """Opus for speech: voice mode, constrained variable bitrate, frames of 20 ms, highest complexity.

    It is given 16 kHz and chooses the band itself: narrow (4 kHz) at 6 kbit/s, wide from about 9 on.
    """

    name = "opus"
    lowest, highest = 500.0, 256_000.0
    usual = (6000.0, 9000.0, 12000.0)
    max_delay = 1600

    def __init__(self, options: PeerOptions) -> None:
        super().__init__(options)
        if find_spec("av") is None:
            raise PeerUnavailable("opus needs PyAV: pip install 'audiocodec[peers]'")

    def _padding(self, length: int) -> int:
        return (
            -length % _FRAME + _FRAME
        )  # to whole frames, and one more that brings out what the encoder looked ahead

    def _run(self, wav: Samples, length: int, bitrate: float) -> Coded:
        import av.error

        try:
            (packets, _), decoded, *seconds = run_timed(
                lambda: _encode(wav, round(bitrate)), lambda stream: _decode(*stream)
            )
        except (av.error.FFmpegError, ValueError) as error:
            raise PeerError(f"opus failed: {error}") from error
        bits = payload_bits([8 * len(packet) for packet in packets], length, _FRAME)
        return Coded(to_rate(decoded, _DECODED_RATE, _RATE), bits, *seconds)


def _encode(wav: Samples, bitrate: int) -> tuple[list[bytes], bytes]:
    """Packets of [L] at 16 kHz, and the header that says how many samples to skip."""
    import av

    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = _RATE, "mono", "s16"
    encoder.bit_rate, encoder.time_base = bitrate, Fraction(1, _RATE)
    encoder.options = {
        "application": "voip",
        "vbr": "constrained",
        "frame_duration": "20",
        "compression_level": "10",
    }
    encoder.open()
    packets = [bytes(packet) for frame in _frames(wav) for packet in encoder.encode(frame)]
    return packets, bytes(encoder.extradata or b"")


def _frames(wav: Samples) -> Iterator[Any]:
    """Frames of 16-bit samples, and None to flush."""
    import av

    whole = to_int16(wav)
    for start in range(0, len(whole), _FRAME):
        frame = av.AudioFrame.from_ndarray(whole[None, start : start + _FRAME], format="s16", layout="mono")
        frame.sample_rate, frame.pts = _RATE, start
        yield frame
    yield None


def _decode(packets: list[bytes], header: bytes) -> Samples:
    """[L'] at 48 kHz, the only rate at which FFmpeg decodes Opus."""
    import av

    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout, decoder.extradata = _DECODED_RATE, "mono", header
    decoder.open()
    parts = [
        frame.to_ndarray()[0]
        for packet in [*packets, None]
        for frame in decoder.decode(None if packet is None else av.Packet(packet))
    ]
    return np.concatenate(parts).astype(np.float32) / np.float32(32768)
