"""The training loop: recipe in, run folder with checkpoints, log and the averaged model out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from audiocodec.errors import CheckpointError, ConfigError
from audiocodec.training import switch
from audiocodec.training.augment import open_augmenter
from audiocodec.training.batch_augment import follow_sampler
from audiocodec.training.best import best_weights
from audiocodec.training.data.opening import TrainingData, open_data
from audiocodec.training.data.prefetch import Prefetcher
from audiocodec.training.engine.feed import Feed
from audiocodec.training.engine.guard import Guard
from audiocodec.training.engine.objective import Objective, autocast
from audiocodec.training.engine.optimizer import build_optimizer, learning_rate
from audiocodec.training.engine.processes import Processes
from audiocodec.training.engine.weight_average import WeightAverage
from audiocodec.training.run.exporting import Exported, write_model
from audiocodec.training.run.folder import MODEL_NAME, make_folder
from audiocodec.training.run.recorder import Recorder
from audiocodec.training.run.state import load_state, newest_checkpoint, save_state
from audiocodec.training.starting import build, scores_imitated, start
from audiocodec.training.validation import Validation, validate, validation_clips

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from audiocodec.model import ModelOutput
    from audiocodec.training.config import TrainConfig
    from audiocodec.training.engine.feed import Drawn


class Trainer:
    """Runs one recipe; all that is random in a step follows from (seed, step, rank): a resumed run repeats.

    Attributes:
        step_number: steps taken so far.
        model: in training mode, but for frozen parts.
        average: of its weights, what is validated and exported.
        objective: losses, discriminators and balancer.
        imitates: names of the scores that losses of this run, or of what it starts from, imitate.
        prefixes: numbers of quantizers that are validated.
        best_score: weights of the scores that say which checkpoints are best.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        data: TrainingData | None = None,
        processes: Processes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Build what `config` describes, and open its data unless `data` is given; results go to `folder`.

        Without `processes` this one trains alone, on the CPU.
        """
        make_folder(folder)
        self.processes = processes or Processes()
        self.config, self.folder, self.clock = config, folder, clock
        self.device = self.processes.device
        processes = self.processes
        self.data = data or open_data(
            config, folder, None, processes.rank, processes.world_size, processes.device
        )
        torch.manual_seed(config.seed)
        self.model = build(config).to(self.device)
        self.imitates = scores_imitated(config)
        _check_prefixes(config.prefix_choices, self.model.quantizer.prefixes)
        self.prefixes = sorted({*config.prefix_choices, self.model.quantizer.prefixes[-1]})
        self.parameters = self._freeze()
        self.objective = Objective(config, self.processes)
        self.optimizer = build_optimizer(self.parameters, config.optim)
        self.average = WeightAverage(self.model, config.optim.weight_ema_decay)
        opponent = self.objective.opponent
        optimizers = [self.optimizer, *([opponent.optimizer] if opponent is not None else [])]
        self.guard = Guard(folder, processes.rank, optimizers, deferred=self.device.type != "cpu")
        augmenter = open_augmenter(
            config.augment, config.data.manifest, config.model.sample_rate, self.model.can_denoise
        )
        augmenter = follow_sampler(augmenter, self.data.sampler)
        self.feed = Feed(
            config, self.data.sampler, self.model.quantizer.prefixes, self.processes.rank, augmenter
        )
        self.clips = validation_clips(config, self.data.clips, augmenter)
        environments = ["", *(clip.environment for clip in self.clips if clip.environment)]
        self.best_score = best_weights(config, self.prefixes, environments)
        self.step_number = 0
        self._started = False
        if config.compile:
            self.model.encoder.compile()
            self.model.decoder.compile()

    def start(self) -> None:
        """Fit a new model to the data; `step` does this by itself unless `resume` found a checkpoint."""
        start(self.model, self.config, self.data.sampler, self.processes)
        self._train_mode()
        self.average = WeightAverage(self.model, self.config.optim.weight_ema_decay)
        self._started = True

    def resume(self) -> bool:
        """Continue from the newest checkpoint of the folder; False when there is none.

        Raises:
            CheckpointError: it is damaged, of another recipe, or not the same for all processes.
        """
        path = newest_checkpoint(self.folder)
        if path is not None:
            load_state(self, path)
        if self.processes.differ(self.step_number):
            raise CheckpointError(
                f"{self.folder}: not all machines see the same checkpoints; put the run folder on a file"
                " system that they share"
            )
        self._started = path is not None
        return self._started

    def fit(
        self,
        report: Callable[[int, Mapping[str, float]], None] = lambda step, scalars: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train up to `config.steps`, or until `stop` is true after a step; leave a checkpoint and a model.

        `report(step, scalars)` gets every line of the log; the scores of a validation are named `valid/...`.

        Raises:
            AudioCodecError: loss or gradient is no longer finite; the batch is saved in the run folder.
        """
        if not self._started:
            self.start()
        data = self.config.data
        with (
            Recorder(self, report) as recorder,
            Prefetcher(self.feed, self.step_number, data.prefetch, data.workers) as feed,
        ):
            saved_at = self.clock()
            while self.step_number < self.config.steps and not self.processes.any(stop()):
                began = self.clock()
                drawn = next(feed)
                recorder.add(self.step(drawn), self.clock() - began, drawn)
                if self._due(self.config.log_every):
                    self.guard.check()
                    recorder.log_training(feed.waited_seconds)
                if self._due(self.config.validate_every):
                    recorder.log_validation()
                if self.clock() - saved_at > 60 * self.config.checkpoint_minutes:
                    self.guard.check()
                    save_state(self)
                    saved_at = self.clock()
            self.guard.check()
            save_state(self)
            recorder.export()
            self.processes.wait()  # what the first one writes is there when any of them returns

    def step(self, drawn: Sequence[Drawn] | None = None) -> dict[str, Tensor]:
        """Take one optimization step, with what is drawn for it, and return its scalars."""
        if not self._started:
            self.start()
        drawn = drawn or self.feed(self.step_number)
        self.objective.zero_grad()
        self.optimizer.zero_grad(set_to_none=True)
        passes = [self._pass(part, 1 / len(drawn)) for part in drawn]
        scalars = _means([told for _, told in passes])
        scalars["total"] = self.processes.mean(scalars["total"])
        self.processes.average_gradients(self.parameters)
        scalars["grad_norm"] = clip_grad_norm_(self.parameters, self.config.optim.max_grad_norm)
        scalars |= self.objective.clip()
        self.guard.watch(self.step_number, scalars, drawn)
        rate = learning_rate(self.config.optim, self.step_number, self.config.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.objective.learn()
        self._settle_quantizer(passes[-1][0], drawn[-1])
        self.step_number += 1
        self.average.follow(self.step_number)
        return scalars | {"learning_rate": torch.full((), rate, device=self.device)}

    def validate(self) -> Validation | None:
        """Judge the averaged model on the validation clips; None when there are none."""
        with self.average.applied():
            judged = self.config.judge_clips
            clips, prefixes = self.clips, self.prefixes
            return validate(self.model, clips, prefixes, self.processes, judged) if clips else None

    def export(self, name: str = MODEL_NAME) -> None:
        """Write the averaged model to `<folder>/NAME`, the form that `audiocodec.load` reads."""
        with self.average.applied():
            run = Exported(self.config, self.step_number)
            write_model(self.folder / name, self.model, run, self.imitates)

    def _pass(self, drawn: Drawn, share: float) -> tuple[ModelOutput, dict[str, Tensor]]:
        """Forward and backward through one batch; what it gives, and its scalars."""
        torch.manual_seed(drawn.seed)
        wav, target, _, denoise = drawn.scenes.to(self.device)
        on = False if denoise is None else denoise
        with autocast(self.config, self.device):
            output = self.model(wav, drawn.num_quantizers, denoise=on, renderings=self.config.loss.renderings)
        losses = self.objective.backward(output, target, drawn, self.step_number, share)
        told = (
            switch.si_sdr_by_switch(output.wav[: len(target)], target, on) if isinstance(on, Tensor) else {}
        )
        return output, {name: value.detach() for name, value in (losses | output.metrics | told).items()}

    def _settle_quantizer(self, output: ModelOutput, drawn: Drawn) -> None:
        """Let the quantizer alone learn on, from the latents of the step."""
        latents, weight = output.latents.detach().float(), self.config.loss.weights.get("commitment", 0.0)
        for _ in range(self.config.quantizer_inner_steps):
            self.optimizer.zero_grad(set_to_none=True)
            loss = weight * self.model.quantizer(latents, drawn.num_quantizers).loss
            if loss.requires_grad:
                loss.backward()
                self.processes.average_gradients(self.parameters)
                clip_grad_norm_(self.parameters, self.config.optim.max_grad_norm)
                self.optimizer.step()

    def _due(self, every: int) -> bool:
        """Whether a step is one of every so many, or the last."""
        return self.step_number % every == 0 or self.step_number == self.config.steps

    def _freeze(self) -> list[torch.nn.Parameter]:
        """Hold what the recipe calls frozen; gives the parameters that learn."""
        switch.freeze(self.model, self.config.frozen)
        self._train_mode()
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def _train_mode(self) -> None:
        """Training mode, but for frozen parts: their running statistics and codebooks would move in it."""
        self.model.train()
        for part in {*self.config.frozen} - {switch.PART}:  # which behaves the same in both modes
            getattr(self.model, part).eval()


def _means(passes: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of each scalar over the passes that have it."""
    if len(passes) == 1:
        return dict(passes[0])
    names = dict.fromkeys(name for scalars in passes for name in scalars)
    return {name: torch.stack([s[name].float() for s in passes if name in s]).mean() for name in names}


def _check_prefixes(choices: tuple[int, ...], prefixes: tuple[int, ...]) -> None:
    wrong = sorted(set(choices) - set(prefixes))
    if wrong:
        raise ConfigError(f"prefix_choices has {wrong}; this quantizer offers {list(prefixes)}")
