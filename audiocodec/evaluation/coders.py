"""What is compared: models of this package and other codecs, behind one interface."""

from __future__ import annotations

import io
import math
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from audiocodec.bitstream import ContainerReader
from audiocodec.errors import InputError
from audiocodec.evaluation.peers import Peer, PeerOptions, open_peer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audiocodec.codec import Codec

Wav = NDArray[np.float32]
Codes = NDArray[np.int64]

PEER_BITRATES = {"opus": (6000.0, 9000.0, 12000.0)}
"""Of peers that take any bitrate but are of no use at the lowest ones."""
REACH = 2.0
"""Of a ladder, steps up to this factor beyond the bitrates that were asked for are taken."""
_REMEMBERED = 64


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class Decoded:
    """What became of one recording.

    Attributes:
        wav: [L], aligned with the input.
        size: bytes of the compressed file; where there is none, of the payload.
        payload_bits: coded bits alone, without headers.
        encode_seconds: processor seconds.
        decode_seconds: processor seconds.
        codes: [N, T]; None where a codec does not show any.
        nominal_bits: the size is what was asked for, because the codec does not say what it used.
    """

    wav: Wav
    size: int
    payload_bits: int
    encode_seconds: float
    decode_seconds: float
    codes: Codes | None = None
    nominal_bits: bool = False


class Coder(Protocol):
    """A codec that can be compared. Pickles small; what is heavy is loaded at first use in each process."""

    @property
    def name(self) -> str:
        """As it stands in tables."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """Columns that say which codec it is: peer, model, model_id, codebook."""
        ...

    def bitrates_near(self, asked: Sequence[float]) -> tuple[float, ...]:
        """What of its bitrates to take where `asked` is wanted."""
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
        source: name, folder or weight file of the model; or a codec at hand; or what loads one, such as one
            with codebooks of a store, which must be importable by name.
        device: where it computes, unless `source` decides.
        label: its name in tables; empty: the model's own, and what it is used with.
        denoise: whether its denoising switch is on.
    """

    source: str | Codec | Callable[[], Codec] | None = None
    device: str = "auto"
    label: str = ""
    denoise: bool = False

    @cached_property
    def codec(self) -> Codec:
        """The codec, loaded when first asked for."""
        from audiocodec.codec import Codec, load

        if isinstance(self.source, Codec):
            return self.source
        return self.source() if callable(self.source) else load(self.source, self.device)

    @cached_property
    def _remembered(self) -> OrderedDict[tuple[str, int, float], Codes]:
        return OrderedDict()

    @property
    def name(self) -> str:
        """As it stands in tables."""
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

    def bitrates_near(self, asked: Sequence[float]) -> tuple[float, ...]:
        """Exactly what was asked for.

        Raises:
            BitrateError: the model has no such bitrate; lists those it has.
        """
        numbers = sorted({self.codec.model.num_quantizers_for(bitrate) for bitrate in asked})
        prefixes = self.codec.model.quantizer.prefixes
        return tuple(self.codec.bitrates[prefixes.index(number)] for number in numbers)

    def code(self, wav: Wav, sample_rate: int, bitrate: float) -> Decoded:
        """Write and read a `.nac` file in memory."""
        # Processor time does not depend on what else the machine does; of a GPU it says nothing.
        clock = time.process_time if self.codec.device.type == "cpu" else time.perf_counter
        started = clock()
        data = self.codec.compress(wav, sample_rate, bitrate, denoise=self.denoise)
        encoded = clock()
        decoded, _ = self.codec.decompress(data)
        finished = clock()
        reader = ContainerReader(io.BytesIO(data))
        codes = np.concatenate([codes[0] for _, codes in reader.packets()], axis=1)
        return Decoded(
            decoded[0], len(data), reader.payload_bits, encoded - started, finished - encoded, codes
        )

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


@dataclass
class PeerCoder:
    """Another codec, opened by its name or command.

    Attributes:
        spec: as `open_peer` takes it.
        options: how peers are run.
        bitrates: to use in place of what was asked of all; empty: the nearest it has.
    """

    spec: str
    options: PeerOptions = field(default_factory=PeerOptions)
    bitrates: tuple[float, ...] = ()

    @cached_property
    def peer(self) -> Peer:
        """The peer, opened when first asked for.

        Raises:
            PeerUnavailable: it cannot be run here.
        """
        return open_peer(self.spec, self.options)

    @property
    def name(self) -> str:
        """As it stands in tables."""
        return self.peer.name

    @property
    def identity(self) -> dict[str, Any]:
        """No model of this package."""
        return {"peer": True}

    def bitrates_near(self, asked: Sequence[float]) -> tuple[float, ...]:
        """Those given for this peer; else what was asked for, or the steps of its ladder around that.

        Raises:
            InputError: nothing was asked for and the peer has no ladder.
        """
        ladder = self.peer.bitrates
        own = self.bitrates or PEER_BITRATES.get(self.name, ())
        if own or ladder is None:
            if not (own or asked):
                raise InputError(f"{self.name}: name bitrates to use it at, such as {self.name}:6000:12000")
            return own or tuple(asked)
        near = [rate for rate in ladder if min(asked) / REACH <= rate <= max(asked) * REACH]
        return tuple(near) or (min(ladder, key=lambda rate: abs(math.log(rate / max(asked)))),)

    def code(self, wav: Wav, sample_rate: int, bitrate: float) -> Decoded:
        """Encode and decode by the peer."""
        coded = self.peer.roundtrip(wav, sample_rate, bitrate)
        size = math.ceil(coded.bits / 8)
        seconds = coded.encode_seconds, coded.decode_seconds
        return Decoded(coded.wav, size, coded.bits, *seconds, nominal_bits=coded.nominal)

    def __getstate__(self) -> dict[str, Any]:
        return {"spec": self.spec, "options": self.options, "bitrates": self.bitrates}
