"""The fields of a training recipe; sections of some parts are beside these parts."""

from __future__ import annotations

from dataclasses import dataclass, field

from audiocodec.config import check_least, check_names
from audiocodec.errors import ConfigError
from audiocodec.losses.reconstruction import LossConfig
from audiocodec.model import ModelConfig
from audiocodec.training.adversarial import AdversarialConfig
from audiocodec.training.augment import AugmentConfig
from audiocodec.training.balancer import BalancerConfig
from audiocodec.training.data.config import DataConfig
from audiocodec.training.state import OptimConfig

PARTS = ("encoder", "quantizer", "decoder", "denoise")
"""Names that `frozen` may hold; denoise is the denoising switch, which does not count as encoder."""


@dataclass(frozen=True)
class TrainConfig:
    """A whole experiment.

    Attributes:
        name: name of the model.
        model: sample rate, nets and quantizer of the model.
        data: recordings and how examples are made of them.
        augment: noise, rooms and other environments that examples are put into; none by default.
        loss: losses between the decoded and the original audio, and their weights.
        optim: optimizer and learning rate.
        adversarial: discriminators and their losses; none by default.
        balancer: gives losses shares of the gradient instead of weights.
        steps: number of steps of the run.
        seed: seed of the run; the random draws of a step depend on it and on the number of the step.
        autocast: number type that the nets compute in: "bfloat16", or "none" for float32.
        start: how the nets begin: "linear" as a principal-component codec (nets of kind spectral only),
            "random" with random weights, or the name or folder of a trained model, which is trained further.
        frozen: parts that do not learn: encoder, quantizer, decoder, denoise (the denoising switch).
        accumulate: number of batches whose gradients make one step.
        quantizer_inner_steps: number of steps that only the quantizer takes after each step, on the same
            latents (alternated optimization, Huh et al. 2023, https://arxiv.org/abs/2305.08842).
        compile: whether encoder and decoder go through torch.compile.
        prefix_choices: numbers of quantizers, one of which is drawn for half of the examples; for the other
            half, any number is drawn. Empty means any number for all examples.
        log_every: number of steps between two lines of the log.
        checkpoint_minutes: minutes between two checkpoints.
        keep_best: number of checkpoints to keep for their validation scores, besides the newest two.
        best_score: weights of validation scores, such as `{distillmos/12: 1.0, frame_lock/12: -0.1}`, or the
            name of one score; the checkpoint with the largest sum is the best. Empty means `distillmos` +
            `dnsmos_p808` + 0.5 `pesq_wb` - 0.1 `frame_lock` with the most quantizers, without those that are
            not installed.
        judge_clips: number of validation clips without noise that are also scored by metrics that no loss
            imitates: `frame_lock`, `distillmos`, `dnsmos_p808`. Each clip takes some seconds.
        validate_every: number of steps between two validations.
        validate_seconds: seconds of audio in a validation; 0 means no validation, and then no split `valid`
            is needed.
    """

    name: str = "model"
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    balancer: BalancerConfig = field(default_factory=BalancerConfig)
    steps: int = 20000
    seed: int = 0
    autocast: str = "bfloat16"
    start: str = "linear"
    frozen: tuple[str, ...] = ()
    accumulate: int = 1
    quantizer_inner_steps: int = 0
    compile: bool = False
    prefix_choices: tuple[int, ...] = (6, 12, 16)
    log_every: int = 50
    checkpoint_minutes: float = 3.0
    keep_best: int = 1
    best_score: dict[str, float] | str = field(default_factory=dict[str, float])
    judge_clips: int = 4
    validate_every: int = 2000
    validate_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Check names and ranges.

        Raises:
            ConfigError: a part or a number type is unknown, a number is out of range, or there is nothing
                that the denoising switch could learn from.
        """
        check_names("frozen", self.frozen, PARTS)
        switched = self.model.denoise != "none"
        if {*PARTS} <= {*self.frozen} | (set() if switched else {"denoise"}):
            raise ConfigError("frozen names every part; leave one to learn")
        if switched and "denoise" not in self.frozen and not self.augment.environments:
            raise ConfigError(
                "model.denoise is a switch that learns from noise: name augment.environments, such as"
                " denoise, or freeze it (frozen: [denoise])"
            )
        if self.adversarial.share and self.balancer.enabled:
            raise ConfigError("adversarial.share and the balancer both set shares; use only one of them")
        if self.autocast not in {"bfloat16", "none"}:
            raise ConfigError(f"autocast is {self.autocast!r}; choose bfloat16 or none")
        if not self.start or not self.name:
            raise ConfigError("name and start must not be empty")
        for name in ("steps", "log_every", "validate_every", "accumulate"):
            check_least(**{name: (getattr(self, name), 1)})
        for name in ("seed", "checkpoint_minutes", "validate_seconds", "quantizer_inner_steps", "keep_best",
                     "judge_clips"):  # fmt: skip
            check_least(**{name: (getattr(self, name), 0)})
