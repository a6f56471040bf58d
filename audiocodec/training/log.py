"""The log of a run: JSON lines for programs, TensorBoard for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from audiocodec.errors import MissingPackageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class RunLog:
    """Appends scalars to `log.jsonl` and to a TensorBoard event file in a run folder."""

    def __init__(self, folder: Path) -> None:
        """Open for appending.

        Raises:
            MissingPackageError: TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as error:
            raise MissingPackageError(
                "training logs need TensorBoard: pip install 'audiocodec[train]'"
            ) from error
        self.file = (folder / "log.jsonl").open("a", encoding="utf-8")
        self.writer: Any = SummaryWriter(str(folder / "tensorboard"))

    def write(self, group: str, step: int, scalars: Mapping[str, float]) -> None:
        """Write one line, and one point of each curve, named `group/name`."""
        rounded = {name: float(f"{value:.6g}") for name, value in scalars.items()}
        self.file.write(json.dumps({"group": group, "step": step, **rounded}) + "\n")
        self.file.flush()
        for name, value in scalars.items():
            self.writer.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        """Write out what is pending."""
        self.file.close()
        self.writer.close()
