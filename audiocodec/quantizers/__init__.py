"""Latents to codes: one quantization method a file, all behind the contract of `base`. Knows no audio."""

from audiocodec.quantizers.base import Quantizer, QuantizerOutput
from audiocodec.quantizers.build import build_method, build_stack
from audiocodec.quantizers.ema import EMAVectorQuantizer
from audiocodec.quantizers.multiscale import MultiScaleQuantizer
from audiocodec.quantizers.parts import Parts
from audiocodec.quantizers.product import ProductQuantizer
from audiocodec.quantizers.registry import QUANTIZERS
from audiocodec.quantizers.residual import ResidualQuantizer

__all__ = [
    "QUANTIZERS",
    "EMAVectorQuantizer",
    "MultiScaleQuantizer",
    "Parts",
    "ProductQuantizer",
    "Quantizer",
    "QuantizerOutput",
    "ResidualQuantizer",
    "build_method",
    "build_stack",
]
