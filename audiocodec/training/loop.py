"""The training loop: recipe in, run folder with checkpoints, log and the averaged model out."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from audiocodec.audio import new_file
from audiocodec.checkpoint import save_model
from audiocodec.config import dump_yaml
from audiocodec.errors import AudioCodecError, ConfigError
from audiocodec.training.data.opening import TrainingData, open_data
from audiocodec.training.losses import build_loss, weighted_sum
from audiocodec.training.optimizer import build_optimizer, learning_rate
from audiocodec.training.run.folder import CONFIG_NAME, MODEL_NAME, make_folder
from audiocodec.training.run.log import Means, RunLog, to_floats
from audiocodec.training.run.state import load_state, newest_checkpoint, save_state
from audiocodec.training.starting import build, start
from audiocodec.training.validation import validate
from audiocodec.training.weight_average import WeightAverage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from audiocodec.training.config import TrainConfig


class Trainer:
    """Runs one recipe; all that is random in a step follows from (seed, step): a resumed run repeats exactly.

    Attributes:
        step_number: steps taken so far.
        model: in training mode, but for frozen parts.
        average: of its weights, what is validated and exported.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        device: str | torch.device = "cpu",
        data: TrainingData | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Build what `config` describes, and open its data unless `data` is given; results go to `folder`."""
        make_folder(folder)
        self.config, self.folder, self.device, self.clock = config, folder, torch.device(device), clock
        self.data = data or open_data(config, folder)
        torch.manual_seed(config.seed)
        self.model = build(config).to(self.device)
        _check_prefixes(config.prefix_choices, self.model.quantizer.prefixes)
        self.parameters = self._freeze()
        self.reconstruction = build_loss(config).to(self.device)
        self.optimizer = build_optimizer(self.parameters, config.optim)
        self.average = WeightAverage(self.model, config.optim.weight_ema_decay)
        self.step_number = 0
        self._started = False

    def start(self) -> None:
        """Fit a new model to the data; `step` does this by itself unless `resume` found a checkpoint."""
        start(self.model, self.config, self.data.sampler)
        self._train_mode()
        self.average = WeightAverage(self.model, self.config.optim.weight_ema_decay)
        self._started = True

    def resume(self) -> bool:
        """Continue from the newest checkpoint of the folder; False when there is none.

        Raises:
            CheckpointError: it is damaged, or of another recipe.
        """
        path = newest_checkpoint(self.folder)
        if path is None:
            return False
        load_state(self, path)
        self._started = True
        return True

    def fit(
        self,
        report: Callable[[int, Mapping[str, float]], None] = lambda step, scalars: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train up to `config.steps`, or until `stop` is true after a step; write a checkpoint either way.

        `report(step, scalars)` gets every line of the log; the scores of a validation are named `valid/...`.

        Raises:
            AudioCodecError: loss or gradient is no longer finite; the batch is saved in the run folder.
        """
        if not self._started:
            self.start()
        with new_file(self.folder / CONFIG_NAME, overwrite=True) as part:
            part.write_text(dump_yaml(self.config), encoding="utf-8")
        with RunLog(self.folder, self.step_number) as log:
            means, saved_at = Means(), self.clock()
            while self.step_number < self.config.steps and not stop():
                began = self.clock()
                means.add(to_floats(self.step()), self.clock() - began)
                if self._due(self.config.log_every):
                    self._log_training(log, means, report)
                if self._due(self.config.validate_every):
                    self._log_validation(log, report)
                if self.clock() - saved_at > 60 * self.config.checkpoint_minutes:
                    save_state(self)
                    saved_at = self.clock()
            save_state(self)

    def step(self) -> dict[str, Tensor]:
        """Take one optimisation step and return its scalars."""
        if not self._started:
            self.start()
        config = self.config
        rng = np.random.default_rng((config.seed, self.step_number))
        torch.manual_seed(int(rng.integers(2**62)))
        wav = self.data.sampler.batch(rng).to(self.device)
        with self._autocast():
            output = self.model(wav, self._draw_prefixes(rng, wav.shape[0]))
        estimate = output.wav[:, 0].float()
        losses = self.reconstruction(estimate, wav[:, 0, : estimate.shape[1]])
        losses["commitment"] = output.loss
        total = weighted_sum(losses, config.loss.weights)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, config.optim.max_grad_norm)
        if not bool((total.detach() + norm).isfinite()):
            self._stop_at_bad_loss(wav)
        rate = learning_rate(config.optim, self.step_number, config.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.step_number += 1
        self.average.follow(self.step_number)
        last = {"total": total, "grad_norm": norm, "learning_rate": torch.tensor(rate, device=self.device)}
        return {name: value.detach() for name, value in (losses | output.metrics | last).items()}

    def validate(self) -> dict[str, float]:
        """Scores of the averaged model on the validation clips; {} when there are none."""
        prefixes = sorted({*self.config.prefix_choices, self.model.quantizer.prefixes[-1]})
        with self.average.applied():
            return validate(self.model, self.data.clips, [*prefixes, 0]) if self.data.clips else {}

    def export(self) -> None:
        """Write the averaged model to `<folder>/model`, the form that `audiocodec.load` reads."""
        with self.average.applied():
            metadata = {"name": self.config.name, "steps": str(self.step_number)}
            save_model(self.folder / MODEL_NAME, self.model, self.config.model, metadata)

    def _due(self, every: int) -> bool:
        """Whether a step is one of every so many, or the last."""
        return self.step_number % every == 0 or self.step_number == self.config.steps

    def _log_training(
        self, log: RunLog, means: Means, report: Callable[[int, Mapping[str, float]], None]
    ) -> None:
        audio_seconds = means.steps * self.config.data.batch_size * self.config.data.segment_seconds
        speed = audio_seconds / max(means.seconds, 1e-9)
        scalars = means.take() | {"audio_seconds_per_second": speed}
        log.write("train", self.step_number, scalars)
        report(self.step_number, scalars)

    def _log_validation(self, log: RunLog, report: Callable[[int, Mapping[str, float]], None]) -> None:
        self.export()
        scores = self.validate()
        if scores:
            log.write("valid", self.step_number, scores)
            report(self.step_number, {f"valid/{name}": value for name, value in scores.items()})

    def _freeze(self) -> list[torch.nn.Parameter]:
        """Hold what the recipe calls frozen; gives the parameters that learn."""
        for part in self.config.frozen:
            getattr(self.model, part).requires_grad_(False)
        self._train_mode()
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def _train_mode(self) -> None:
        """Training mode, but for frozen parts: their running statistics and codebooks would move in it."""
        self.model.train()
        for part in self.config.frozen:
            getattr(self.model, part).eval()

    def _draw_prefixes(self, rng: np.random.Generator, batch_size: int) -> Tensor:
        """Numbers of quantisers [B], one an example: quantiser dropout as in DAC, section 3.2."""
        prefixes = np.array(self.model.quantizer.prefixes)
        anywhere = rng.choice(prefixes, batch_size)
        favoured = rng.choice(np.array(self.config.prefix_choices or prefixes), batch_size)
        return torch.from_numpy(np.where(rng.random(batch_size) < 0.5, anywhere, favoured)).to(self.device)

    def _autocast(self) -> torch.autocast | nullcontext[None]:
        if self.config.autocast == "none":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _stop_at_bad_loss(self, wav: Tensor) -> None:
        path = self.folder / f"bad-batch-{self.step_number}.npy"
        np.save(path, wav.cpu().numpy())
        raise AudioCodecError(
            f"loss or gradient is not finite at step {self.step_number}; the batch is in {path},"
            " a lower optim.learning_rate may help"
        )


def _check_prefixes(choices: tuple[int, ...], prefixes: tuple[int, ...]) -> None:
    wrong = sorted(set(choices) - set(prefixes))
    if wrong:
        raise ConfigError(f"prefix_choices has {wrong}; this quantiser offers {list(prefixes)}")
