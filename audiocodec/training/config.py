"""What a training recipe can say; every field of the YAML is here."""

from __future__ import annotations

from dataclasses import dataclass, field

from audiocodec.errors import ConfigError
from audiocodec.model import ModelConfig


@dataclass(frozen=True)
class DataConfig:
    """Where recordings come from and how segments are drawn.

    Attributes:
        manifest: CSV or JSONL with columns path, split, kind, source; paths are relative to its folder.
        cache: folder for decoded 16-bit samples, made once; empty means `<output>/cache`.
        segment_seconds: length of a training example.
        batch_size: examples per step.
        source_weights: how much more often than its share of the hours a source is drawn; 1 when not named.
        level_db: range (low, high) of the RMS level, in dB relative to full scale, drawn for levelled examples.
        level_probability: share of examples whose level is changed; the rest keep theirs.
    """

    manifest: str = "../shared/corpus/manifest.csv"
    cache: str = ""
    segment_seconds: float = 2.0
    batch_size: int = 8
    source_weights: dict[str, float | int | str | bool] = field(default_factory=dict)
    level_db: tuple[float, ...] = (-35.0, -15.0)
    level_probability: float = 0.7

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: a number is out of range.
        """
        if len(self.level_db) != 2 or self.level_db[0] > self.level_db[1]:
            raise ConfigError(f"data.level_db is {list(self.level_db)}; give two numbers, low then high")
        if self.segment_seconds <= 0 or self.batch_size < 1:
            raise ConfigError("data.segment_seconds and data.batch_size must be positive")


@dataclass(frozen=True)
class LossConfig:
    """Resolutions and weights of the losses.

    Attributes:
        window_lengths: STFT windows in samples.
        mel_bins: mel bands for each window.
        compressed_windows: those of `window_lengths` on which the compressed spectrum is compared too.
        complex_share: share of the compressed-spectrum loss on complex values, the rest on magnitudes.
        weights: by name: mel, spectrum, commitment, and adversarial ones when a recipe has them.
    """

    window_lengths: tuple[int, ...] = (128, 256, 512, 1024, 2048)
    mel_bins: tuple[int, ...] = (20, 40, 64, 96, 128)
    compressed_windows: tuple[int, ...] = (256, 512, 1024)
    complex_share: float = 0.3
    weights: dict[str, float | int | str | bool] = field(
        default_factory=lambda: {"mel": 4.0, "spectrum": 20.0, "commitment": 0.5}
    )

    def __post_init__(self) -> None:
        """Check that every window has its mel bands.

        Raises:
            ConfigError: the lists do not fit together.
        """
        if len(self.window_lengths) != len(self.mel_bins):
            raise ConfigError(
                f"loss has {len(self.window_lengths)} window_lengths but {len(self.mel_bins)} mel_bins"
            )
        if not set(self.compressed_windows) <= set(self.window_lengths):
            raise ConfigError(
                f"loss.compressed_windows {self.compressed_windows} are not all in window_lengths"
            )


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with warm-up, a constant stretch, and a linear decay to zero over the last steps.

    Attributes:
        learning_rate: on the constant stretch.
        betas: of Adam.
        weight_decay: of AdamW.
        warmup_steps: steps of linear warm-up.
        decay_steps: steps of linear decay at the end of `steps`.
        max_grad_norm: gradients are scaled down to this norm.
        weight_ema_decay: moving average of the weights; the average is what is evaluated and published.
    """

    learning_rate: float = 1e-3
    betas: tuple[float, ...] = (0.8, 0.99)
    weight_decay: float = 1e-3
    warmup_steps: int = 200
    decay_steps: int = 4000
    max_grad_norm: float = 1.0
    weight_ema_decay: float = 0.998


@dataclass(frozen=True)
class TrainConfig:
    """A whole experiment.

    Attributes:
        name: of the model.
        model: what is trained.
        data: on what.
        loss: towards what.
        optim: how.
        steps: length of the run.
        seed: everything random follows from it and the step number.
        autocast: "bfloat16" or "none".
        start: "linear" starts the frame-rate nets as a principal-component codec, "random" as they are built, else a
            model folder to fine-tune.
        frozen: parts that do not learn: encoder, quantizer, decoder.
        prefix_choices: numbers of quantisers favoured by half of the examples; the others draw from all.
        log_every: steps between two lines of the log.
        checkpoint_minutes: minutes between two checkpoints.
        validate_every: steps between two validations.
        validate_seconds: audio used by one validation.
    """

    name: str = "model"
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    steps: int = 20000
    seed: int = 0
    autocast: str = "bfloat16"
    start: str = "linear"
    frozen: tuple[str, ...] = ()
    prefix_choices: tuple[int, ...] = (6, 12, 16)
    log_every: int = 50
    checkpoint_minutes: float = 3.0
    validate_every: int = 2000
    validate_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Check names.

        Raises:
            ConfigError: a part or a number type is unknown.
        """
        unknown = set(self.frozen) - {"encoder", "quantizer", "decoder"}
        if unknown:
            raise ConfigError(f"frozen names {sorted(unknown)}; the parts are encoder, quantizer, decoder")
        if self.autocast not in {"bfloat16", "none"}:
            raise ConfigError(f"autocast is {self.autocast!r}; choose bfloat16 or none")
