"""The log of a run: JSON lines for programs, TensorBoard for people."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from audiocodec.errors import InputError, MissingPackageError
from audiocodec.outside import MALFORMED, parse_json
from audiocodec.storage import new_file
from audiocodec.training.run.folder import LOG_NAME, TENSORBOARD_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from audiocodec.training.validation import Validation

WINDOW = 512
RANGE_DB = 80.0


def require_tensorboard() -> None:
    """Say early that TensorBoard is missing, before hours of decoding.

    Raises:
        MissingPackageError: TensorBoard is not installed.
    """
    if find_spec("tensorboard") is None:
        raise MissingPackageError("training logs need TensorBoard: pip install 'audiocodec[train]'")


class RunLog:
    """Appends scalars to `log.jsonl` and to a TensorBoard event file in a run folder; a context manager."""

    def __init__(self, folder: Path, step: int = 0) -> None:
        """Open for appending after `step`; lines of later steps, which will be taken again, are dropped.

        Raises:
            MissingPackageError: TensorBoard is not installed.
        """
        require_tensorboard()
        from torch.utils.tensorboard.writer import SummaryWriter

        _drop_after(folder / LOG_NAME, step)
        self.file = (folder / LOG_NAME).open("a", encoding="utf-8")
        self.writer: Any = SummaryWriter(str(folder / TENSORBOARD_NAME), purge_step=step + 1)

    def write(self, group: str, step: int, scalars: Mapping[str, float]) -> None:
        """Write one line, and one point of each curve, named `group/name`; what is not finite is null."""
        try:
            self.file.write(json.dumps({"group": group, "step": step, **rounded(scalars)}) + "\n")
            self.file.flush()
        except OSError as error:
            raise InputError(
                f"{self.file.name}: cannot be written ({error.strerror}); make room, then go on with --resume"
            ) from error
        for name, value in scalars.items():
            self.writer.add_scalar(f"{group}/{name}", value, step)

    def show(self, step: int, found: Validation, sample_rate: int) -> None:
        """Write sounds, spectrograms, and histograms of how often entries were chosen, to TensorBoard."""
        for name, wav in found.sounds.items():
            self.writer.add_audio(name, torch.from_numpy(wav).clamp(-1, 1)[None], step, sample_rate)
            self.writer.add_image(f"spectrogram/{name}", spectrogram(wav), step, dataformats="HW")
        for stage, counts in enumerate(found.counts):
            if counts.any():
                self.writer.add_histogram(f"chosen/{stage}", counts, step)

    def close(self) -> None:
        """Write out what is pending."""
        self.file.close()
        self.writer.close()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Means:
    """Means of scalars since the last line of the log, and how long the steps took."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.steps, self.seconds = 0, 0.0

    def add(self, scalars: Mapping[str, float], seconds: float) -> None:
        """Take in one step; a scalar that some steps lack (of unused stages) is averaged over the others."""
        for name, value in scalars.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
        self.steps += 1
        self.seconds += seconds

    def take(self) -> dict[str, float]:
        """Give the means and start anew."""
        means = {name: total / self.counts[name] for name, total in self.sums.items()}
        self.__init__()
        return means


def rounded(scalars: Mapping[str, float]) -> dict[str, float | None]:
    """Six digits of each scalar, None for what is not finite, which JSON does not know."""
    return {name: float(f"{v:.6g}") if math.isfinite(v) else None for name, v in scalars.items()}


def to_floats(scalars: Mapping[str, Tensor]) -> dict[str, float]:
    """Fetch scalars of one device all at once: one wait for a GPU instead of one each."""
    values: list[float] = torch.stack([value.detach().float() for value in scalars.values()]).tolist()
    return dict(zip(scalars, values, strict=True))


def spectrogram(wav: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Picture [frequency, time] of wav [L]: levels down to RANGE_DB below the highest, low tones below."""
    window = torch.hann_window(WINDOW)
    padded = functional.pad(torch.from_numpy(wav), (0, max(0, WINDOW - len(wav))))
    stft = torch.stft(padded, WINDOW, WINDOW // 4, window=window, center=False, return_complex=True)
    level_db = 20 * stft.abs().clamp(min=1e-6).log10()
    shares = ((level_db - level_db.max()) / RANGE_DB + 1).clamp(min=0)
    return (255 * shares).round().byte().flip(0).numpy()


def _drop_after(path: Path, step: int) -> None:
    """Keep the whole lines of a log up to `step`; a kill may have cut off the last one."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and _step_of(line) <= step]
    if kept != lines:
        with new_file(path, overwrite=True) as part:
            part.write_text("".join(kept), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return float(parse_json(line)["step"])
    except MALFORMED:
        return math.inf
