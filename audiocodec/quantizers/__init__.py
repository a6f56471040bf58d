"""Latents to codes: one quantization method a file, all behind the contract of `base`. Knows no audio."""

from audiocodec.quantizers.base import Quantizer, QuantizerOutput
from audiocodec.quantizers.build import QUANTIZERS, QuantizerConfig, build_method, build_quantizer
from audiocodec.quantizers.ema import EMAVectorQuantizer
from audiocodec.quantizers.multiscale import MultiScaleQuantizer
from audiocodec.quantizers.parts import Parts
from audiocodec.quantizers.product import ProductQuantizer
from audiocodec.quantizers.residual import ResidualQuantizer

__all__ = [
    "QUANTIZERS",
    "EMAVectorQuantizer",
    "MultiScaleQuantizer",
    "Parts",
    "ProductQuantizer",
    "Quantizer",
    "QuantizerConfig",
    "QuantizerOutput",
    "ResidualQuantizer",
    "build_method",
    "build_quantizer",
]
