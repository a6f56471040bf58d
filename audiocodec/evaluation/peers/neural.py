"""EnCodec, DAC and Mimi by Hugging Face `transformers`, with weights that lie on this disk.

A folder given for the peer is used, else what the library's own cache has; nothing is fetched.
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from audiocodec.errors import PeerError, PeerUnavailable
from audiocodec.evaluation.peers.base import Coded, Peer, PeerOptions, Samples
from audiocodec.roundtrip import run_timed

if TYPE_CHECKING:
    from torch import Tensor


class NeuralPeer(Peer):
    """A codec of `transformers` without delay; the weights are loaded at first use.

    Attributes:
        model_class: its name in the library.
        cached_name: the weights that are looked for in the library's cache.
        num_quantizers_argument: how its `encode` calls the number of quantizers.
    """

    model_class: str
    cached_name: str
    num_quantizers_argument: str

    def __init__(self, options: PeerOptions) -> None:
        super().__init__(options)
        if find_spec("transformers") is None:
            raise PeerUnavailable(f"{self.name} needs transformers: pip install 'audiocodec[transformers]'")
        self.source = str(options.folders.get(self.name, self.cached_name))
        config = _config(self.name, self.model_class, self.source)
        self.sample_rate: int = config.sampling_rate
        self.codebook_size: int = config.codebook_size
        self.hop_length = self._hop_length(config)
        self.ladder: tuple[float, ...] | None = self._bitrates(config)

    def _hop_length(self, config: Any) -> int:
        return round(config.sampling_rate / config.frame_rate)

    def _bitrates(self, config: Any) -> tuple[float, ...]:
        one = self.sample_rate / self.hop_length * math.log2(self.codebook_size)
        most: int = config.n_codebooks if hasattr(config, "n_codebooks") else config.num_quantizers
        return tuple(one * count for count in range(1, most + 1))

    def _encode(self, model: Any, wav: Tensor, bitrate: float) -> Tensor:
        """Codes [N, T] of samples [1, 1, L]."""
        assert self.ladder is not None
        number = {self.num_quantizers_argument: self.ladder.index(bitrate) + 1}
        return model.encode(wav, **number).audio_codes[0]

    def _decode(self, model: Any, codes: Tensor) -> Tensor:
        """Samples of codes [N, T], in any shape of one recording; a few fewer than went in."""
        return model.decode(audio_codes=codes[None]).audio_values

    def _padding(self, length: int) -> int:
        return -length % self.hop_length

    def _run(self, wav: Samples, length: int, bitrate: float) -> Coded:
        import torch

        device = self.options.device
        try:
            model = _model(self.name, self.model_class, self.source, device)
            with torch.inference_mode():
                codes, decoded, *seconds = run_timed(
                    lambda: self._encode(model, torch.from_numpy(wav)[None, None].to(device), bitrate).cpu(),
                    lambda codes: self._decode(model, codes.to(device)).reshape(-1).float().cpu().numpy(),
                    device == "cpu",
                )
        except (RuntimeError, ValueError, IndexError) as error:
            raise PeerError(f"{self.name} failed: {error}") from error
        bits = math.ceil(codes.numel() * math.log2(self.codebook_size))
        return Coded(decoded, bits, *seconds)


class EncodecPeer(NeuralPeer):
    """EnCodec of 24 kHz, without its language model.

    Défossez et al. 2022, https://arxiv.org/abs/2210.13438.
    """

    name = "encodec"
    model_class = "EncodecModel"
    cached_name = "facebook/encodec_24khz"

    def _bitrates(self, config: Any) -> tuple[float, ...]:
        if config.audio_channels != 1 or config.chunk_length is not None:
            raise PeerUnavailable(f"{self.source}: only one-channel EnCodec is run; name the model of 24 kHz")
        return tuple(1000.0 * rate for rate in sorted(config.target_bandwidths))

    def _encode(self, model: Any, wav: Tensor, bitrate: float) -> Tensor:
        return model.encode(wav, bandwidth=bitrate / 1000).audio_codes[0, 0]

    def _decode(self, model: Any, codes: Tensor) -> Tensor:
        return model.decode(codes[None, None], [None]).audio_values


class DacPeer(NeuralPeer):
    """The Descript Audio Codec, by default of 16 kHz.

    Kumar et al. 2023, https://arxiv.org/abs/2306.06546.
    """

    name = "dac"
    model_class = "DacModel"
    cached_name = "descript/dac_16khz"
    num_quantizers_argument = "n_quantizers"

    def _hop_length(self, config: Any) -> int:
        return int(math.prod(config.downsampling_ratios))


class MimiPeer(NeuralPeer):
    """Mimi of Moshi, at 24 kHz and 12.5 frames a second.

    Défossez et al. 2024, https://arxiv.org/abs/2410.00037.
    """

    name = "mimi"
    model_class = "MimiModel"
    cached_name = "kyutai/mimi"
    num_quantizers_argument = "num_quantizers"


def _config(name: str, model_class: str, source: str) -> Any:
    transformers = import_module("transformers")
    config_class = getattr(transformers, model_class).config_class
    try:
        values, _ = config_class.get_config_dict(source, local_files_only=True)
    except (OSError, ValueError):
        values = {}
    if values.get("model_type") != config_class.model_type:  # the library would take another kind, or none
        raise PeerUnavailable(
            f"{name} needs its weights: no {model_class} in {source}; put config.json and"
            f" model.safetensors into a folder and name it: --peer-model {name}=DIR"
        )
    return config_class.from_dict(values)


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
