"""Lyra v2: SoundStream with its released weights, three graphs run one after the other.

They are `soundstream_encoder.tflite`, `quantizer.tflite` and `lyragan.tflite` of github.com/google/lyra.
Zeghidour et al. 2021, https://arxiv.org/abs/2107.03312.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import PeerError, PeerUnavailable
from audiocodec.evaluation.peers.base import Coded, Peer, PeerOptions, Samples, payload_bits, to_int16
from audiocodec.roundtrip import run_timed

GRAPHS = ("soundstream_encoder", "quantizer", "lyragan")
_FRAME = 320
_STAGES, _STAGE_BITS = 46, 4
_NUM_QUANTIZERS = {3200.0: 16, 6000.0: 30, 9200.0: 46}
_FLUSH_FRAMES = 2


class LyraPeer(Peer):
    """Lyra v2 at 3.2, 6 and 9.2 kbit/s, in packets of 20 ms."""

    name = "lyra"
    ladder = tuple(_NUM_QUANTIZERS)
    max_delay = 640
    clips = True

    def __init__(self, options: PeerOptions) -> None:
        super().__init__(options)
        folder = options.folders.get("lyra")
        if folder is None:
            raise PeerUnavailable("lyra needs the folder of its .tflite files: --lyra-models DIR")
        missing = [name for name in GRAPHS if not (folder / f"{name}.tflite").is_file()]
        if missing:
            raise PeerUnavailable(f"{folder}: has no {', '.join(f'{name}.tflite' for name in missing)}")
        if find_spec("ai_edge_litert") is None:
            raise PeerUnavailable("lyra needs ai-edge-litert: pip install 'audiocodec[peers]'")
        self.folder = folder

    def _padding(self, length: int) -> int:
        return -length % _FRAME + _FLUSH_FRAMES * _FRAME  # to whole frames, and two more

    def _run(self, wav: Samples, length: int, bitrate: float) -> Coded:
        num_quantizers = _NUM_QUANTIZERS[bitrate]
        whole = to_int16(wav).astype(np.float32) / np.float32(32768)
        try:
            graphs = _Graphs(self.folder)
            packets, decoded, *seconds = run_timed(
                lambda: graphs.encode(whole, num_quantizers),
                lambda packets: graphs.decode(packets, num_quantizers),
            )
        except (RuntimeError, ValueError, KeyError) as error:
            raise PeerError(f"lyra failed: {error}") from error
        bits = payload_bits([8 * len(packet) for packet in packets], length, _FRAME)
        return Coded(decoded, bits, *seconds)


class _Graphs:
    """The interpreters, fresh for each recording.

    Encoder and decoder remember the past, and resetting their variables does not bring back the first state.
    """

    def __init__(self, folder: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._encoder, self._quantizer, self._decoder = (
            Interpreter(str(folder / f"{name}.tflite"), num_threads=1) for name in GRAPHS
        )
        for graph in (self._encoder, self._quantizer, self._decoder):
            graph.allocate_tensors()
        self._quantize = self._quantizer.get_signature_runner("encode")
        self._dequantize = self._quantizer.get_signature_runner("decode")

    def encode(self, wav: Samples, num_quantizers: int) -> list[bytes]:
        packets: list[bytes] = []
        count = np.array(num_quantizers, np.int32)
        for frame in wav.reshape(-1, 1, _FRAME):
            features = _run(self._encoder, frame)
            indices = self._quantize(input_frames=features, num_quantizers=count)["output_0"]
            packets.append(pack(indices.reshape(-1)[:num_quantizers]))
        return packets

    def decode(self, packets: list[bytes], num_quantizers: int) -> Samples:
        indices = np.full((_STAGES, 1, 1), -1, np.int32)  # -1: a stage that was not sent
        parts: list[Samples] = []
        for packet in packets:
            indices[:num_quantizers, 0, 0] = unpack(packet, num_quantizers)
            features = self._dequantize(encoding_indices=indices)["output_0"]
            parts.append(_run(self._decoder, features.reshape(1, 1, -1)).reshape(-1))
        return np.concatenate(parts).astype(np.float32)


def _run(graph: Any, value: NDArray[np.float32]) -> NDArray[np.float32]:
    graph.set_tensor(graph.get_input_details()[0]["index"], value)
    graph.invoke()
    return graph.get_tensor(graph.get_output_details()[0]["index"])


def pack(indices: NDArray[np.integer[Any]]) -> bytes:
    """Indices of 4 bits each, first one highest, as the bytes of a packet."""
    value = 0
    for index in indices:
        value = value << _STAGE_BITS | int(index)
    return value.to_bytes(-(-_STAGE_BITS * len(indices) // 8), "big")


def unpack(packet: bytes, count: int) -> list[int]:
    """Undo `pack` for `count` indices."""
    value = int.from_bytes(packet, "big")
    return [value >> _STAGE_BITS * (count - 1 - number) & 15 for number in range(count)]
