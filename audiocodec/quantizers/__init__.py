"""Latents to codes: one quantisation method a file, all behind the contract of `base`. Knows no audio."""

from audiocodec.quantizers.base import Quantizer, QuantizerOutput
from audiocodec.quantizers.ema import EMAVectorQuantizer
from audiocodec.quantizers.online import OnlineVectorQuantizer
from audiocodec.quantizers.product import ProductQuantizer
from audiocodec.quantizers.residual import ResidualQuantizer
from audiocodec.quantizers.vector import VectorQuantizer

QUANTIZERS: dict[str, type[Quantizer]] = {
    "ema": EMAVectorQuantizer,
    "online": OnlineVectorQuantizer,
    "vector": VectorQuantizer,
}

__all__ = [
    "QUANTIZERS",
    "EMAVectorQuantizer",
    "OnlineVectorQuantizer",
    "ProductQuantizer",
    "Quantizer",
    "QuantizerOutput",
    "ResidualQuantizer",
    "VectorQuantizer",
]
