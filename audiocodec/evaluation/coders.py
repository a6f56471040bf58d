"""What is compared: models of this package and, by the same interface, other codecs (`peers`)."""

from __future__ import annotations

import io
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from audiocodec.bitstream import ContainerReader
from audiocodec.roundtrip import time_roundtrip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audiocodec.codec import Codec

Wav = NDArray[np.float32]
Codes = NDArray[np.int64]

_REMEMBERED = 64


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class Decoded:
    """What a codec made of one recording.

    Attributes:
        wav: [L] at the rate and of the length of the input, the codec's delay removed.
        size: bytes of the compressed file; of its payload, where there is no file.
        payload_bits: coded bits for the length of the input, without headers and trailing silence.
        encode_seconds: processor seconds, the start of a program included; of both ways together where
            `decode_seconds` is NaN.
        decode_seconds: likewise.
        codes: [N, T]; None where a codec does not show any.
        nominal_bits: the size is the requested one, because the codec does not report what it used.
    """

    wav: Wav
    size: int
    payload_bits: int
    encode_seconds: float
    decode_seconds: float
    codes: Codes | None = None
    nominal_bits: bool = False


class Coder(Protocol):
    """A codec that can be compared. It pickles small: each process loads what is heavy at first use."""

    @property
    def name(self) -> str:
        """Its name in tables."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """Columns that say which codec it is: peer, model, model_id, codebook."""
        ...

    def bitrates_near(self, requested: Sequence[float]) -> tuple[float, ...]:
        """Which of its bitrates to use when the bitrates `requested` are wanted."""
        ...

    def code(self, wav: Wav, sample_rate: int, bitrate: float) -> Decoded:
        """Encode and decode wav [L].

        Raises:
            AudioCodecError: the codec failed or does not take this sound.
        """
        ...


@dataclass
class ModelCoder:
    """A model of this package: its files are really written and read, in memory.

    Attributes:
        source: name, folder or weight file of the model; or a loaded codec; or a function that loads one,
            importable by name, such as one that takes codebooks from a store.
        device: where it computes, unless `source` decides.
        label: its name in tables; empty: the model's own, followed by codebook and switch.
        denoise: whether its denoising switch is on.
    """

    source: str | Codec | Callable[[], Codec] | None = None
    device: str = "auto"
    label: str = ""
    denoise: bool = False

    @cached_property
    def codec(self) -> Codec:
        """The codec, loaded at first use."""
        from audiocodec.codec import Codec, load

        if isinstance(self.source, Codec):
            return self.source
        return self.source() if callable(self.source) else load(self.source, self.device)

    @cached_property
    def _remembered(self) -> OrderedDict[tuple[str, int, float], Codes]:
        return OrderedDict()

    @property
    def name(self) -> str:
        """Its name in tables."""
        if self.label:
            return self.label
        codec, origin = self.codec, self.codec.revisions.origin
        revised = origin is not None and origin.codebook_id != codec.codebook_id
        codebook = f"@{codec.codebook_id[:8]}" if revised else ""
        return f"{codec.name or codec.model_id[:8]}{codebook}{' denoised' if self.denoise else ''}"

    @property
    def identity(self) -> dict[str, Any]:
        """Which model and codebooks."""
        header = self.codec.header(self.codec.sample_rate, channels=1)
        return {
            "peer": False,
            "model": self.codec.name,
            "model_id": header.model_id,
            "codebook": header.codebook_id,
        }

    @property
    def imitates(self) -> tuple[str, ...]:
        """Scores that losses of the model imitate."""
        return self.codec.imitates

    def bitrates_near(self, requested: Sequence[float]) -> tuple[float, ...]:
        """Exactly the bitrates requested.

        Raises:
            BitrateError: the model has no such bitrate; lists those it has.
        """
        numbers = sorted({self.codec.model.num_quantizers_for(bitrate) for bitrate in requested})
        prefixes = self.codec.model.quantizer.prefixes
        return tuple(self.codec.bitrates[prefixes.index(number)] for number in numbers)

    def code(self, wav: Wav, sample_rate: int, bitrate: float) -> Decoded:
        """Write and read a `.nac` file in memory."""
        data, decoded, *seconds = time_roundtrip(self.codec, wav, sample_rate, bitrate, self.denoise)
        reader = ContainerReader(io.BytesIO(data))
        codes = np.concatenate([codes[0] for _, codes in reader.packets()], axis=1)
        return Decoded(decoded[0], len(data), reader.payload_bits, *seconds, codes=codes)

    def clean_codes(self, wav: Wav, sample_rate: int, bitrate: float, identity: str) -> Codes:
        """Codes [N, T] that `code` would write for the clean recording `identity`; remembered for a while."""
        key = (identity, len(wav), bitrate)
        if key not in self._remembered:
            while len(self._remembered) >= _REMEMBERED:
                self._remembered.popitem(last=False)
            encoded = self.codec.encode(wav, sample_rate, bitrate, denoise=self.denoise)
            self._remembered[key] = encoded.codes[0]
        return self._remembered[key]

    def latents(self, wav: Wav, sample_rate: int) -> NDArray[np.float32]:
        """Latents [D, T] of wav [L], before quantization."""
        from audiocodec.coding import encode_latents

        return encode_latents(self.codec.model, wav, sample_rate, self.denoise)[0].float().cpu().numpy()

    def quantized(self, codes: Codes) -> NDArray[np.float32]:
        """Latents [D, T] that codes [N, T] stand for."""
        import torch

        with torch.inference_mode():
            tensor = torch.from_numpy(np.ascontiguousarray(codes))[None].to(self.codec.device)
            return self.codec.model.quantizer.decode(tensor)[0].float().cpu().numpy()

    def __getstate__(self) -> dict[str, Any]:
        """Without the codec that was loaded by name: each process loads its own."""
        return {name: getattr(self, name) for name in ("source", "device", "label", "denoise")}
