"""Choices that any method with a codebook takes: estimator, sampling, dead codes, regularizers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from audiocodec.errors import ConfigError
from audiocodec.quantizers.dead_codes import DeadCodePolicy
from audiocodec.quantizers.estimators import rotation, straight_through, synchronized
from audiocodec.quantizers.regularizers import cosine_penalty, orthogonality, uniform_use

if TYPE_CHECKING:
    from torch import Tensor

Estimator = Literal["straight_through", "rotation", "modified"]


@dataclass(frozen=True)
class Parts:
    """Parts of a quantizer that are independent of its method.

    Attributes:
        estimator: how the gradient passes; "modified" also gives the chosen entry a share of it.
        code_share: that share; 0 takes 2 * codebook_weight / numel, as "Beyond Stationarity" derives.
        sample_top_k: in training draw among this many nearest entries; 1 always takes the nearest.
        sample_temperature: in units of the mean squared distance to the nearest entry.
        sample_interval: training steps after which one more stage of a stack samples, the last stage at once,
            the first after all others; 0 for all at once.
        dead_codes: where unused entries go.
        dead_code_threshold: an entry used less than this share of the mean use is dead.
        orthogonality_weight: of `regularizers.orthogonality`.
        cosine_weight: of `regularizers.cosine_penalty`.
        entropy_weight: of `regularizers.uniform_use`.
        entropy_temperature: squared distance at which a choice counts as uncertain there.
    """

    estimator: Estimator = "straight_through"
    code_share: float = 0.0
    sample_top_k: int = 1
    sample_temperature: float = 1.0
    sample_interval: int = 0
    dead_codes: DeadCodePolicy = "none"
    dead_code_threshold: float = 0.1
    orthogonality_weight: float = 0.0
    cosine_weight: float = 0.0
    entropy_weight: float = 0.0
    entropy_temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name, allowed in (("estimator", Estimator), ("dead_codes", DeadCodePolicy)):
            if getattr(self, name) not in get_args(allowed):
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}; choose one of {', '.join(get_args(allowed))}"
                )
        if self.sample_top_k < 1:
            raise ConfigError(f"sample_top_k is {self.sample_top_k}; allowed are whole numbers from 1")
        if self.sample_interval < 0:
            raise ConfigError(f"sample_interval is {self.sample_interval}; allowed are whole numbers from 0")
        for name in ("sample_temperature", "entropy_temperature"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed are numbers above 0")

    def pass_gradient(self, vectors: Tensor, chosen: Tensor, codebook_weight: float) -> Tensor:
        """`chosen` [N, D] forward, with the gradient of the chosen estimator backward."""
        if self.estimator == "rotation":
            return rotation(vectors, chosen)
        if self.estimator == "modified":
            # The factor in the gradient of the mean squared codebook loss: entries step as far as the latents
            # do.
            share = self.code_share or 2 * codebook_weight / max(vectors.numel(), 1)
            return synchronized(vectors, chosen, share)
        return straight_through(vectors, chosen)

    def penalties(self, vectors: Tensor, chosen: Tensor, codebook: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Weights and values of the regularizers in use, by name."""
        terms: dict[str, tuple[float, Tensor]] = {}
        if self.orthogonality_weight:
            terms["orthogonality"] = (self.orthogonality_weight, orthogonality(codebook))
        if self.cosine_weight:
            terms["cosine_penalty"] = (self.cosine_weight, cosine_penalty(vectors, chosen))
        if self.entropy_weight:
            value = uniform_use(vectors, codebook, self.entropy_temperature)
            terms["entropy_penalty"] = (self.entropy_weight, value)
        return terms
