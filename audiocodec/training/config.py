"""The fields of a training recipe; sections of some parts are beside these parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from audiocodec.config import check_least, check_names
from audiocodec.errors import ConfigError
from audiocodec.losses.reconstruction import LossConfig
from audiocodec.model import ModelConfig
from audiocodec.training.adversarial import AdversarialConfig
from audiocodec.training.augment import AugmentConfig
from audiocodec.training.balancer import BalancerConfig
from audiocodec.training.state import OptimConfig

PARTS = ("encoder", "quantizer", "decoder", "denoise")
"""Names that `frozen` may hold; denoise is the denoising switch, which does not count as encoder."""


@dataclass(frozen=True)
class DataConfig:
    """Where recordings come from and how segments are drawn.

    Attributes:
        manifest: required: a folder of recordings; or CSV or JSONL with columns path, split, kind, source,
            speaker, paths relative to its folder; Lhotse cuts; tar shards such as
            `shards/train-{000..099}.tar`.
        valid_manifest: the same, of held-out recordings; empty means split valid of `manifest`.
        corpus: layout of the folders, a name in recipes/corpora or a YAML file; empty means a plain folder.
        cache: folder for decoded 16-bit samples, made once; empty means `<output>/cache`.
        segment_seconds: length of a training example.
        batch_size: examples per step.
        source_weights: factor on how often a source is drawn, relative to its share of the hours; default 1.
        level_db: range (low, high) of random RMS levels, in dB relative to full scale.
        level_probability: share of examples whose level is changed; the others keep their own.
        shuffle_segments: number of segments of shards that are shuffled together, in memory.
        prefetch: batches made ahead while a step runs; 0 for none.
        workers: number of threads that read and decode.
        on_device: whether the device that trains holds all samples and makes the batches: "always", "never",
            or "auto", which is on a GPU with enough memory.
    """

    manifest: str = ""
    valid_manifest: str = ""
    corpus: str = ""
    cache: str = ""
    segment_seconds: float = 2.0
    batch_size: int = 8
    source_weights: dict[str, float] = field(default_factory=dict[str, float])
    level_db: tuple[float, float] = (-35.0, -15.0)
    level_probability: float = 0.7
    shuffle_segments: int = 1024
    prefetch: int = 4
    workers: int = 1
    on_device: Literal["auto", "always", "never"] = "auto"

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: a number is out of range.
        """
        if self.level_db[0] > self.level_db[1] or self.level_db[1] > 0:
            raise ConfigError(f"level_db is {list(self.level_db)}; give two numbers up to 0, low then high")
        if not 0 <= self.level_probability <= 1:
            raise ConfigError(f"level_probability is {self.level_probability}; give a share from 0 to 1")
        check_least(segment_seconds=(self.segment_seconds, 0.01), batch_size=(self.batch_size, 1))
        check_least(shuffle_segments=(self.shuffle_segments, 1), workers=(self.workers, 1))
        check_least(prefetch=(self.prefetch, 0))
        check_least(**{f"source_weights.{name}": (w, 0) for name, w in self.source_weights.items()})


@dataclass(frozen=True)
class TrainConfig:
    """A whole experiment.

    Attributes:
        name: name of the model.
        model: sample rate, nets and quantizer of the model.
        data: recordings and how examples are made of them.
        augment: noise, rooms and other environments; none by default.
        loss: reconstruction losses and their weights.
        optim: optimizer and learning rate.
        adversarial: discriminators; none by default.
        balancer: gives losses shares of the gradient instead of weights.
        steps: number of steps of the run.
        seed: seed of all random generators, together with the number of the step.
        autocast: number type that nets compute in: "bfloat16" or "none".
        start: "linear" starts nets of kind spectral as a principal-component codec, "random" as they are
            built; anything else is a pretrained model or model folder to fine-tune.
        frozen: parts that do not learn: encoder, quantizer, decoder, denoise (the denoising switch).
        accumulate: number of batches whose gradients make one step.
        quantizer_inner_steps: further steps of only the quantizer after each step, on the same latents: the
            alternated optimization of Huh et al. 2023, https://arxiv.org/abs/2305.08842.
        compile: whether encoder and decoder go through torch.compile.
        prefix_choices: numbers of quantizers that half of the examples choose from; the other half chooses
            from all numbers, and so do all examples if this is empty.
        log_every: steps between two lines of the log.
        checkpoint_minutes: minutes between two checkpoints.
        keep_best: number of checkpoints with the best validations that are kept, beside the newest two.
        best_score: weights of validation scores, such as `{distillmos/12: 1.0, frame_lock/12: -0.1}`, or the
            name of one score; the checkpoint with the largest sum is the best. Empty means `distillmos` +
            `dnsmos_p808` + 0.5 `pesq_wb` - 0.1 `frame_lock` with the most quantizers, without those that are
            not installed.
        judge_clips: number of validation clips without noise that are also scored by metrics that no loss
            imitates: `frame_lock`, `distillmos`, `dnsmos_p808`. Each clip takes some seconds.
        validate_every: steps between two validations.
        validate_seconds: seconds of audio in a validation; 0 for none, then no split named valid is needed.
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
