"""What a recipe says of the data that a model is trained on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from audiocodec.config import check_least
from audiocodec.errors import ConfigError


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
