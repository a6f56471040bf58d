"""The codec model: encoder, quantizer and decoder in one module, which alone knows both Hz and bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from audiocodec.errors import BitrateError
from audiocodec.nn.film import Switch, SwitchableNet
from audiocodec.nn.phase_noise import NumQuantizers
from audiocodec.nn.seanet import SEANetConfig, SEANetDecoder, SEANetEncoder
from audiocodec.nn.spectral import SpectralConfig, SpectralDecoder, SpectralEncoder
from audiocodec.nn.streaming import StreamState
from audiocodec.quantizers import Quantizer, QuantizerConfig, build_quantizer


@dataclass(frozen=True)
class ModelConfig:
    """Everything needed to build a model.

    Attributes:
        sample_rate: sample rate in Hz that the nets work at.
        net: sizes of encoder and decoder; its `kind` names the family, spectral or seanet.
        quantizer: method of quantization, number of quantizers and size of their codebooks.
        denoise: "film" gives the encoder a denoising switch; "none" does not.
    """

    sample_rate: int = 16000
    net: SpectralConfig | SEANetConfig = field(default_factory=SpectralConfig)
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)
    denoise: Literal["none", "film"] = "none"


class ModelOutput(NamedTuple):
    """What a training step sees.

    Attributes:
        wav: [renderings * B, 1, L], aligned with the input, `delay` samples shorter.
        latents: [B, D, T], before quantization.
        codes: [B, N, T].
        loss: the quantizer's, weighted.
        metrics: the quantizer's scalars.
    """

    wav: Tensor
    latents: Tensor
    codes: Tensor
    loss: Tensor
    metrics: dict[str, Tensor]


class CodecModel(nn.Module):
    """wav [B, 1, L] <-> codes [B, N, T]. Several audio channels are coded as batch items.

    Attributes:
        hop_length: samples per frame of codes.
        frame_rate: frames per second.
        delay: samples by which decoded audio lags the input.
        latency: samples from an input sample to its decoded copy, including one buffered frame.
        bitrates: bit/s, one for each legal number of quantizers.
        adapter: gains and offsets of the decoder that belong to the codebooks, by name; {} if the decoder
            has those it was trained with.
    """

    def __init__(
        self,
        encoder: nn.Module,
        quantizer: Quantizer,
        decoder: nn.Module,
        sample_rate: int,
        hop_length: int,
        delay: int,
        adapter: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Join built parts; `delay` is a property of encoder and decoder together."""
        super().__init__()
        self.adapter = dict(adapter or {})
        self.encoder, self.quantizer, self.decoder = encoder, quantizer, decoder
        self.sample_rate, self.hop_length, self.delay = sample_rate, hop_length, delay
        self.frame_rate = sample_rate / hop_length
        self.latency = hop_length + delay
        self.bitrates = tuple(self.frame_rate * quantizer.bits_per_frame(n) for n in quantizer.prefixes)

    def with_parts(
        self,
        quantizer: Quantizer,
        decoder: nn.Module | None = None,
        adapter: Mapping[str, Tensor] | None = None,
    ) -> CodecModel:
        """This model with another quantizer, and another decoder if given; everything else is shared."""
        decoder = self.decoder if decoder is None else decoder
        rates = (self.sample_rate, self.hop_length, self.delay)
        return CodecModel(self.encoder, quantizer, decoder, *rates, adapter)

    def revision(self) -> dict[str, Tensor]:
        """What adaptation may change, by name: codebooks, and the map and the adapter if there are any."""
        return {**self.quantizer.codebooks(), **self.adapter}

    @property
    def can_denoise(self) -> bool:
        """Whether the encoder has a denoising switch."""
        return isinstance(self.encoder, SwitchableNet) and self.encoder.film is not None

    def num_quantizers_for(self, bitrate: float | None) -> int:
        """Number of quantizers whose bitrate is `bitrate`; None gives the highest.

        Raises:
            BitrateError: the model has no such bitrate; the message lists those it has.
        """
        if bitrate is None:
            return self.quantizer.prefixes[-1]
        ladder = ", ".join(f"{offered:.0f}" for offered in self.bitrates)
        if isinstance(bitrate, str) or not hasattr(bitrate, "__float__"):
            raise BitrateError(f"bitrate {bitrate!r} is not a number; choose one of {ladder}")
        for number, offered in zip(self.quantizer.prefixes, self.bitrates, strict=True):
            if abs(offered - bitrate) <= 0.005 * offered:
                return number
        raise BitrateError(f"bitrate {bitrate:g} bit/s is not offered by this model; choose one of {ladder}")

    def encode(
        self,
        wav: Tensor,
        num_quantizers: int | None = None,
        state: StreamState | None = None,
        denoise: Switch = False,
    ) -> Tensor:
        """Wav [B, 1, T * hop_length] -> codes [B, N, T]; noise is removed while `denoise` is on.

        `denoise` is one value for all, or one for each example [B] or frame [B, T].

        Raises:
            InputError: `denoise` is on, and the model has no denoising switch.
        """
        return self.quantizer.encode(self.encoder(wav, state, denoise), num_quantizers)

    def decode(self, codes: Tensor, state: StreamState | None = None) -> Tensor:
        """Codes [B, N, T] -> wav [B, 1, T * hop_length], lagging the input by `delay` samples."""
        return self.render(self.quantizer.decode(codes), state, codes.shape[1])

    def render(
        self,
        quantized: Tensor,
        state: StreamState | None = None,
        num_quantizers: NumQuantizers = None,
        renderings: int = 1,
    ) -> Tensor:
        """Quantized latents [B, D, T] -> wav [renderings * B, 1, T * hop_length].

        `num_quantizers` says how many quantizers the latents come from; None means all. In training, nets
        with random phase draw it anew for each rendering; other nets give equal renderings.
        """
        return self.decoder(quantized, state, num_quantizers, renderings)

    def skip(self, state: StreamState, batch: int, frames: int) -> None:
        """Advance a stream of `batch` items by `frames` frames that are not decoded."""
        if isinstance(self.decoder, SpectralDecoder):
            self.decoder.skip(state, batch, frames)

    def forward(
        self,
        wav: Tensor,
        num_quantizers: int | Tensor | None = None,
        *,
        quantize: bool = True,
        denoise: Switch = False,
        renderings: int = 1,
    ) -> ModelOutput:
        """Pass wav [B, 1, T * hop_length] through the codec; the output has T * hop_length - delay samples.

        `quantize=False` decodes the latents themselves (the quantizer still learns). `denoise` as in
        `encode`, `renderings` as in `render`.
        """
        latents = self.encoder(wav, None, denoise)
        with torch.autocast(latents.device.type, enabled=False):
            output = self.quantizer(latents.float(), num_quantizers)
        quantized, number = (output.quantized, num_quantizers) if quantize else (latents, None)
        decoded = self.render(quantized, None, number, renderings)
        return ModelOutput(decoded[..., self.delay :], latents, output.codes, output.loss, output.metrics)


def build_model(config: ModelConfig) -> CodecModel:
    """Build an untrained model from its configuration."""
    net = config.net
    quantizer = build_quantizer(config.quantizer, net.dim)
    if isinstance(net, SpectralConfig):
        encoder, decoder = SpectralEncoder(net), SpectralDecoder(net)
    else:
        encoder, decoder = SEANetEncoder(net), SEANetDecoder(net)
    if config.denoise == "film":
        encoder.add_switch()
    return CodecModel(encoder, quantizer, decoder, config.sample_rate, net.hop_length, net.delay)
