"""What a run says of itself: a log of JSON lines for programs, curves, sounds and pictures in TensorBoard."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from audiocodec.errors import InputError, MissingPackageError
from audiocodec.outside import MALFORMED, parse_json
from audiocodec.storage import new_file
from audiocodec.training.folder import LOG_NAME, TENSORBOARD_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from audiocodec.training.inputs import PassInput
    from audiocodec.training.processes import Processes
    from audiocodec.training.validation import Validation

WINDOW = 512
"""Samples of a spectrogram's window."""
RANGE_DB = 80.0


def require_tensorboard() -> None:
    """Raise early, before hours of decoding, if TensorBoard is missing.

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

    def describe(self, step: int, recipe: str, device: torch.device) -> None:
        """Write the recipe, and what the run computes with, to TensorBoard."""
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
        threads = f"{torch.get_num_threads()} threads of {os.cpu_count()} cores"
        self.writer.add_text("machine", f"{name}, {threads}, torch {torch.__version__}", step)
        self.writer.add_text("recipe", "".join(f"    {line}\n" for line in recipe.splitlines()), step)

    def show(self, step: int, validation: Validation, sample_rate: int) -> None:
        """Write sounds, spectrograms, and histograms of how often entries were chosen, to TensorBoard."""
        for name, wav in validation.sounds.items():
            self.writer.add_audio(name, torch.from_numpy(wav).clamp(-1, 1)[None], step, sample_rate)
            self.writer.add_image(f"spectrogram/{name}", spectrogram(wav), step, dataformats="HW")
        for stage, counts in enumerate(validation.counts):
            if counts.any():
                self.writer.add_histogram(f"chosen/{stage}", counts, step)

    def close(self) -> None:
        """Write what is pending."""
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


class Recorder:
    """Takes in the scalars of each step, averages them, and writes the lines of the log.

    Every process of a training has one, and calls it in step with the others; only the first has a log.
    """

    def __init__(
        self,
        log: RunLog | None,
        report: Callable[[int, Mapping[str, float]], None],
        processes: Processes,
        *,
        shared: Sequence[str],
        audio_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        """`report(step, scalars)` gets every line of the log too.

        `shared` names the scalars that are averaged over processes; `audio_seconds` is the audio in a step.
        """
        self.log, self.report, self.processes = log, report, processes
        self.shared, self.audio_seconds, self.clock = shared, audio_seconds, clock
        self.means, self.waited = Means(), 0.0
        self.pending: list[tuple[Mapping[str, Tensor], float]] = []
        self.environments: Counter[str] = Counter()
        self.denoise_shares: list[float] = []

    def add(self, scalars: Mapping[str, Tensor], seconds: float, inputs: Sequence[PassInput]) -> None:
        """Take in one step, how long it took, and its inputs; does not wait for a device."""
        self.pending.append((scalars, seconds))
        for part in inputs:
            self.environments.update(part.scenes.environments)
            if part.scenes.denoise is not None:
                self.denoise_shares.append(float(part.scenes.denoise.float().mean()))

    def log_training(self, step: int, waited_seconds: float) -> None:
        """Log the means since the last time; all steps so far waited `waited_seconds` for their data."""
        self._fetch()
        audio_seconds, seconds = self.means.steps * self.audio_seconds, max(self.means.seconds, 1e-9)
        means = self.means.take()
        scalars = self.processes.mean_scalars(means, [name for name in self.shared if name in means]) | {
            "audio_seconds_per_second": audio_seconds / seconds,
            "waiting_share": (waited_seconds - self.waited) / seconds,
        }
        total = self.environments.total()
        scalars |= {f"environment/{name}": count / total for name, count in sorted(self.environments.items())}
        if self.denoise_shares:
            scalars["denoise"] = sum(self.denoise_shares) / len(self.denoise_shares)
        self.waited, self.environments, self.denoise_shares = waited_seconds, Counter(), []
        self._write("train", step, scalars, "")

    def log_validation(
        self, step: int, validation: Validation, best_score: float | None, sample_rate: int
    ) -> None:
        """Log the scores of a validation, with sounds and pictures of some clips."""
        scores = validation.scores | ({} if best_score is None else {"best_score": best_score})
        self._write("valid", step, scores, "valid/")
        if self.log is not None:
            self.log.show(step, validation, sample_rate)

    def _fetch(self) -> None:
        """Fetch the scalars of the steps so far; on a GPU, waiting for them is part of the steps' time."""
        began = self.clock() if self.processes.device.type != "cpu" else None
        for scalars, seconds in self.pending:
            self.means.add(to_floats(scalars), seconds)
        self.pending.clear()
        if began is not None:
            self.means.seconds += self.clock() - began

    def _write(self, group: str, step: int, scalars: Mapping[str, float], prefix: str) -> None:
        if self.log is not None:
            self.log.write(group, step, scalars)
            self.report(step, {f"{prefix}{name}": value for name, value in scalars.items()})


def rounded(scalars: Mapping[str, float]) -> dict[str, float | None]:
    """Six digits of each scalar, None for what is not finite, which JSON does not know."""
    return {name: float(f"{v:.6g}") if math.isfinite(v) else None for name, v in scalars.items()}


def to_floats(scalars: Mapping[str, Tensor]) -> dict[str, float]:
    """Fetch scalars from their device all at once: one wait for a GPU instead of one for each."""
    values: list[float] = torch.stack([value.detach().float() for value in scalars.values()]).tolist()
    return dict(zip(scalars, values, strict=True))


def spectrogram(wav: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Picture [frequency, time] of wav [L]; low tones are below, black is RANGE_DB below the maximum."""
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
