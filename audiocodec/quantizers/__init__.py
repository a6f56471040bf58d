"""Latents to codes: one quantisation method a file, all behind the contract of `base`. Knows no audio."""

from audiocodec.quantizers.base import Quantizer, QuantizerOutput
from audiocodec.quantizers.ema import EMAVectorQuantizer
from audiocodec.quantizers.residual import ResidualQuantizer

QUANTIZERS: dict[str, type[Quantizer]] = {"ema": EMAVectorQuantizer}

__all__ = ["QUANTIZERS", "EMAVectorQuantizer", "Quantizer", "QuantizerOutput", "ResidualQuantizer"]
