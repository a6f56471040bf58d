"""What a training recipe can say; every field of the YAML is here."""

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
"""Names that `frozen` may hold; denoise is the denoising switch, which the encoder does not include."""


@dataclass(frozen=True)
class DataConfig:
    """Where recordings come from and how segments are drawn.

    Attributes:
        manifest: CSV or JSONL with columns path, split, kind, source, speaker, paths relative to its folder;
            or a folder of recordings, Lhotse cuts, or tar shards such as `shards/train-{000..099}.tar`.
        valid_manifest: the same, of held-out recordings; empty means split valid of `manifest`.
        corpus: layout of the folders, a name in recipes/corpora or a YAML file; empty means a plain folder.
        cache: folder for decoded 16-bit samples, made once; empty means `<output>/cache`.
        segment_seconds: length of a training example.
        batch_size: examples per step.
        source_weights: how much more often than its share of the hours a source is drawn; 1 when not named.
        level_db: range (low, high) of the RMS level, in dB of full scale, drawn for levelled examples.
        level_probability: share of examples whose level is changed; the rest keep theirs.
        shuffle_segments: segments of shards that are shuffled together; all of them are held in memory.
        prefetch: batches made ahead while a step runs; 0 for none.
        workers: threads that read and decode.
        on_device: whether all samples are held by the device that trains, and batches made there: "always",
            "never", or "auto", on a GPU with memory enough.
    """

    manifest: str = "../shared/corpus/manifest.csv"
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
        name: of the model.
        model: what is trained.
        data: on what.
        augment: and in which noise, rooms and other conditions; none by default.
        loss: towards what.
        optim: how.
        adversarial: against which discriminators; none by default.
        balancer: whether losses get shares of the gradient instead of weights.
        steps: length of the run.
        seed: everything random follows from it and the step number.
        autocast: "bfloat16" or "none".
        start: "linear" starts the frame-rate nets as a principal-component codec, "random" as they are built;
            else a pretrained model or model folder to fine-tune.
        frozen: parts that do not learn: encoder, quantizer, decoder, denoise (the denoising switch).
        accumulate: batches whose gradients make one step.
        quantizer_inner_steps: further steps of the quantizer alone after each step, on the same latents: the
            alternated optimization of Huh et al. 2023, https://arxiv.org/abs/2305.08842.
        compile: whether encoder and decoder go through torch.compile.
        prefix_choices: numbers of quantizers favored by half of the examples; the others draw from all, and
            all do when this is empty.
        log_every: steps between two lines of the log.
        checkpoint_minutes: minutes between two checkpoints.
        keep_best: checkpoints of the best validations that stay, beside the newest two.
        best_score: weights of the scores of a validation whose sum says which are best, such as
            `{distillmos/12: 1.0, frame_lock/12: -0.1}`, or one score's name; empty for `distillmos`,
            `dnsmos_p808`, half of `pesq_wb` and a tenth less of `frame_lock`, with the most quantizers, as
            far as they are installed.
        judge_clips: clips of a validation, without noise, that are also scored by what no loss imitates:
            `frame_lock`, `distillmos`, `dnsmos_p808`; 0 for none. Each takes some seconds.
        validate_every: steps between two validations.
        validate_seconds: audio used by one validation; 0 for none, then no split named valid is needed.
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
                " denoise, or hold it (frozen: [denoise])"
            )
        if self.adversarial.share and self.balancer.enabled:
            raise ConfigError("adversarial.share and the balancer both set shares; take one of them")
        if self.autocast not in {"bfloat16", "none"}:
            raise ConfigError(f"autocast is {self.autocast!r}; choose bfloat16 or none")
        if not self.start or not self.name:
            raise ConfigError("name and start must not be empty")
        for name in ("steps", "log_every", "validate_every", "accumulate"):
            check_least(**{name: (getattr(self, name), 1)})
        for name in ("seed", "checkpoint_minutes", "validate_seconds", "quantizer_inner_steps", "keep_best",
                     "judge_clips"):  # fmt: skip
            check_least(**{name: (getattr(self, name), 0)})
