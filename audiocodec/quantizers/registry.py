"""The names by which recipes ask for a quantization method."""

from audiocodec.quantizers.affine import AffineVectorQuantizer
from audiocodec.quantizers.base import Quantizer
from audiocodec.quantizers.ema import EMAVectorQuantizer
from audiocodec.quantizers.factorized import FactorizedVectorQuantizer
from audiocodec.quantizers.fsq import FiniteScalarQuantizer
from audiocodec.quantizers.gumbel import GumbelQuantizer
from audiocodec.quantizers.lfq import LookupFreeQuantizer
from audiocodec.quantizers.nsvq import NonStationaryVectorQuantizer
from audiocodec.quantizers.online import OnlineVectorQuantizer
from audiocodec.quantizers.residual_fsq import ResidualFiniteScalarQuantizer
from audiocodec.quantizers.simvq import SimVectorQuantizer
from audiocodec.quantizers.transvq import TransVectorQuantizer
from audiocodec.quantizers.vector import VectorQuantizer
from audiocodec.quantizers.wasserstein import WassersteinVectorQuantizer

QUANTIZERS: dict[str, type[Quantizer]] = {
    "affine": AffineVectorQuantizer,
    "ema": EMAVectorQuantizer,
    "factorized": FactorizedVectorQuantizer,
    "fsq": FiniteScalarQuantizer,
    "gumbel": GumbelQuantizer,
    "lfq": LookupFreeQuantizer,
    "nsvq": NonStationaryVectorQuantizer,
    "online": OnlineVectorQuantizer,
    "residual_fsq": ResidualFiniteScalarQuantizer,
    "simvq": SimVectorQuantizer,
    "transvq": TransVectorQuantizer,
    "vector": VectorQuantizer,
    "wasserstein": WassersteinVectorQuantizer,
}
