"""EnCodec, DAC and Mimi by Hugging Face `transformers`, with weights that lie on this disk.

A folder given for the peer is used, else what the library's own cache has; nothing is fetched.
"""

from __future__ import annotations

import math
import time
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from audiocodec.errors import PeerError, PeerUnavailable
from audiocodec.evaluation.peers.base import (
    Coded,
    PeerOptions,
    Samples,
    check_bitrate,
    check_input,
    check_output,
    to_rate,
)

if TYPE_CHECKING:
    from torch import Tensor


class NeuralPeer:
    """A codec with `encode` to codes [N, T] and `decode` back; subclasses say how theirs are called."""

    name: str
    model_class: str
    """Of `transformers`."""
    usual: str
    """The weights looked for in the library's cache."""

    def __init__(self, options: PeerOptions) -> None:
        """Read the configuration; the weights follow at first use.

        Raises:
            PeerUnavailable: the library or the weights are missing, or they are of another kind of model.
        """
        if find_spec("transformers") is None:
            raise PeerUnavailable(f"{self.name} needs transformers: pip install 'audiocodec[transformers]'")
        self.source = str(options.folders.get(self.name, self.usual))
        self.device = options.device
        config = _config(self.name, self.model_class, self.source)
        self.sample_rate: int = config.sampling_rate
        self.hop_length = self.hop(config)
        self.codebook_size: int = config.codebook_size
        self.bitrates: tuple[float, ...] | None = self.ladder(config)

    def hop(self, config: Any) -> int:
        """Samples of a frame."""
        return round(config.sampling_rate / config.frame_rate)

    def ladder(self, config: Any) -> tuple[float, ...]:
        """Bitrates in bit/s: one for each number of quantizers."""
        one = self.sample_rate / self.hop_length * math.log2(self.codebook_size)
        return tuple(one * count for count in range(1, self.num_quantizers(config) + 1))

    def num_quantizers(self, config: Any) -> int:
        """How many there are at the most."""
        return config.num_quantizers

    def encode(self, model: Any, wav: Tensor, bitrate: float) -> Tensor:
        """Codes [N, T] of samples [1, 1, L], L a multiple of the hop."""
        raise NotImplementedError

    def decode(self, model: Any, codes: Tensor) -> Tensor:
        """Samples of codes [N, T], in any shape of one recording."""
        raise NotImplementedError

    def roundtrip(self, wav: Samples, sample_rate: int, bitrate: float) -> Coded:
        """Encode and decode; see `Peer`."""
        import torch

        check_input(wav, sample_rate)
        assert self.bitrates is not None
        bitrate = check_bitrate(self.name, self.bitrates, bitrate)
        samples = to_rate(wav, sample_rate, self.sample_rate)
        padded = np.pad(samples, (0, -len(samples) % self.hop_length))
        clock = time.process_time if self.device == "cpu" else time.perf_counter
        try:
            model = _model(self.name, self.model_class, self.source, self.device)
            with torch.inference_mode():
                started = clock()
                codes = self.encode(
                    model, torch.from_numpy(padded)[None, None].to(self.device), bitrate
                ).cpu()
                encoded = clock()
                decoded = self.decode(model, codes.to(self.device)).reshape(-1).float().cpu().numpy()
                finished = clock()
        except (RuntimeError, ValueError, IndexError) as error:
            raise PeerError(f"{self.name} failed: {error}") from error
        aligned = check_output(self.name, decoded, len(samples))
        bits = math.ceil(codes.numel() * math.log2(self.codebook_size))
        back = to_rate(aligned, self.sample_rate, sample_rate)[: len(wav)]
        return Coded(back, bits, encoded - started, finished - encoded)


class EncodecPeer(NeuralPeer):
    """EnCodec of 24 kHz, without its language model.

    Défossez et al. 2022, https://arxiv.org/abs/2210.13438.
    """

    name = "encodec"
    model_class = "EncodecModel"
    usual = "facebook/encodec_24khz"

    def ladder(self, config: Any) -> tuple[float, ...]:
        """Bitrates in bit/s, as the configuration lists them."""
        if config.audio_channels != 1 or config.chunk_length is not None:
            raise PeerUnavailable(f"{self.source}: only one-channel EnCodec is run; name the model of 24 kHz")
        return tuple(1000.0 * rate for rate in sorted(config.target_bandwidths))

    def encode(self, model: Any, wav: Tensor, bitrate: float) -> Tensor:
        """Codes [N, T]."""
        return model.encode(wav, bandwidth=bitrate / 1000).audio_codes[0, 0]

    def decode(self, model: Any, codes: Tensor) -> Tensor:
        """Samples [1, 1, L]."""
        return model.decode(codes[None, None], [None]).audio_values


class DacPeer(NeuralPeer):
    """The Descript Audio Codec, by default of 16 kHz.

    Kumar et al. 2023, https://arxiv.org/abs/2306.06546.
    """

    name = "dac"
    model_class = "DacModel"
    usual = "descript/dac_16khz"

    def hop(self, config: Any) -> int:
        """Samples of a frame."""
        return int(math.prod(config.downsampling_ratios))

    def num_quantizers(self, config: Any) -> int:
        """How many there are."""
        return config.n_codebooks

    def encode(self, model: Any, wav: Tensor, bitrate: float) -> Tensor:
        """Codes [N, T]."""
        return model.encode(wav, n_quantizers=self._count(bitrate)).audio_codes[0]

    def decode(self, model: Any, codes: Tensor) -> Tensor:
        """Samples [1, L], a few fewer than went in."""
        return model.decode(audio_codes=codes[None]).audio_values

    def _count(self, bitrate: float) -> int:
        assert self.bitrates is not None
        return self.bitrates.index(bitrate) + 1


class MimiPeer(DacPeer):
    """Mimi of Moshi, at 24 kHz and 12.5 frames a second.

    Défossez et al. 2024, https://arxiv.org/abs/2410.00037.
    """

    name = "mimi"
    model_class = "MimiModel"
    usual = "kyutai/mimi"

    def hop(self, config: Any) -> int:
        """Samples of a frame."""
        return round(config.sampling_rate / config.frame_rate)

    def num_quantizers(self, config: Any) -> int:
        """How many there are."""
        return config.num_quantizers

    def encode(self, model: Any, wav: Tensor, bitrate: float) -> Tensor:
        """Codes [N, T]."""
        return model.encode(wav, num_quantizers=self._count(bitrate)).audio_codes[0]


def _config(name: str, model_class: str, source: str) -> Any:
    transformers = import_module("transformers")
    config_class = getattr(transformers, model_class).config_class
    try:
        found, _ = config_class.get_config_dict(source, local_files_only=True)
    except (OSError, ValueError):
        found = {}
    if found.get("model_type") != config_class.model_type:  # the library would take another kind, or none
        raise PeerUnavailable(
            f"{name} needs its weights: no {model_class} in {source}; put config.json and"
            f" model.safetensors into a folder and name it: --peer-model {name}=DIR"
        )
    return config_class.from_dict(found)


@lru_cache(maxsize=3)
def _model(name: str, model_class: str, source: str, device: str) -> Any:
    kind = getattr(import_module("transformers"), model_class)
    logging = import_module("transformers.utils").logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model = kind.from_pretrained(source, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise PeerUnavailable(f"{name}: the weights in {source} cannot be read: {error}") from error
    finally:
        if shown:
            logging.enable_progress_bar()
    return model.to(device).eval()
