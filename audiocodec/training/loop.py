"""The training loop: from a recipe to a run folder with checkpoints, log and the averaged model."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from audiocodec.checkpoint import save_model
from audiocodec.config import dump_yaml, to_mapping
from audiocodec.errors import AudioCodecError, CheckpointError, ConfigError
from audiocodec.outside import MALFORMED
from audiocodec.storage import make_output_folder
from audiocodec.training.augment import open_augmenter
from audiocodec.training.batch_augment import follow_sampler
from audiocodec.training.checkpoints import (
    best_checkpoint,
    damaged,
    newest_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from audiocodec.training.data.prefetch import Prefetcher
from audiocodec.training.exporting import model_metadata
from audiocodec.training.folder import BEST_NAME, MODEL_NAME, write_config
from audiocodec.training.inputs import Feed
from audiocodec.training.log import Recorder, RunLog
from audiocodec.training.objective import Objective, autocast, si_sdr_by_switch
from audiocodec.training.processes import Processes
from audiocodec.training.starting import build_or_load, fit_start, hold_frozen, open_run_data, scores_imitated
from audiocodec.training.state import TrainState
from audiocodec.training.validation import (
    Validation,
    best_score,
    best_weights,
    validate,
    validation_clips,
    warn_of_missing_judges,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from audiocodec.model import ModelOutput
    from audiocodec.training.config import TrainConfig
    from audiocodec.training.data.opening import TrainingData
    from audiocodec.training.inputs import PassInput

GUARDED = ("total", "grad_norm", "discriminator", "discriminator_grad_norm")
"""Scalars that stop a run when they are not finite."""


class Trainer:
    """Runs one recipe; everything random in a step follows from (seed, step, rank): a resumed run repeats.

    Attributes:
        state: what steps change, and a checkpoint holds; `model`, `average`, `optimizer`, `parameters` and
            `objective` are its parts.
        imitates: names of the scores that losses of this run, or of the model that it starts from, imitate.
        prefixes: numbers of quantizers that are validated.
        best_weights: weights of the scores that say which checkpoints are best.
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
        make_output_folder(folder)
        self.processes = processes = processes or Processes()
        self.config, self.folder, self.clock = config, folder, clock
        self.device, rate = processes.device, config.model.sample_rate
        self.data = data or open_run_data(config, folder, processes)
        self.bfloat16 = config.autocast == "bfloat16"
        torch.manual_seed(config.seed)
        self.model = build_or_load(config.model, config.start).to(self.device)
        hold_frozen(self.model, config.frozen)
        self.imitates = scores_imitated(config.start, config.loss.weights)
        offered = self.model.quantizer.prefixes
        _check_prefixes(config.prefix_choices, offered)
        self.prefixes = sorted({*config.prefix_choices, offered[-1]})
        self.objective = Objective(
            config.loss, config.adversarial, config.balancer, rate, self.bfloat16, processes
        )
        self.state = TrainState(self.model, self.objective, config.optim)
        self.parameters, self.average = self.state.parameters, self.state.average
        self.optimizer = self.state.optimizer
        adversary = self.objective.adversary
        optimizers = [self.optimizer, *([adversary.optimizer] if adversary is not None else [])]
        self.guard = Guard(folder, processes.rank, optimizers, deferred=self.device.type != "cpu")
        augment, manifest = config.augment, config.data.manifest
        augmenter = open_augmenter(augment, manifest, rate, self.model.can_denoise)
        augmenter = follow_sampler(augmenter, self.data.sampler)
        self.feed = Feed(
            self.data.sampler,
            offered,
            config.prefix_choices,
            seed=config.seed,
            accumulate=config.accumulate,
            rank=processes.rank,
            augmenter=augmenter,
        )
        self.clips = validation_clips(self.data.clips, augmenter, augment, manifest)
        environments = ["", *(clip.environment for clip in self.clips if clip.environment)]
        self.best_weights = best_weights(config.best_score, config.judge_clips, self.prefixes, environments)
        self._started, self._exported = False, -1
        if config.compile:
            self.model.encoder.compile()
            self.model.decoder.compile()

    @property
    def step_number(self) -> int:
        """Steps taken so far."""
        return self.state.step_number

    @step_number.setter
    def step_number(self, step: int) -> None:
        self.state.step_number = step

    def start(self) -> None:
        """Fit a new model to the data; `step` does this by itself unless `resume` found a checkpoint."""
        config, data = self.config, self.config.data
        seconds = data.batch_size * data.segment_seconds
        fit_start(self.model, config.start, self.data.sampler, config.seed, seconds, self.processes)
        hold_frozen(self.model, config.frozen)
        self.average.restart()
        self._started = True

    def resume(self) -> bool:
        """Continue from the newest checkpoint of the folder; False when there is none.

        Raises:
            CheckpointError: it is damaged, of another recipe, or not the same for all processes.
        """
        path = newest_checkpoint(self.folder)
        if path is not None:
            self.load(path)
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
        config, data = self.config, self.config.data
        with ExitStack() as stack:
            recorder = self._open_recorder(report, stack)
            feed = stack.enter_context(Prefetcher(self.feed, self.step_number, data.prefetch, data.workers))
            saved_at = self.clock()
            while self.step_number < config.steps and not self.processes.any(stop()):
                began = self.clock()
                inputs = next(feed)
                recorder.add(self.step(inputs), self.clock() - began, inputs)
                if self._due(config.log_every):
                    self.guard.check()
                    recorder.log_training(self.step_number, feed.waited_seconds)
                if self._due(config.validate_every):
                    self._validate_and_keep(recorder)
                if self.clock() - saved_at > 60 * config.checkpoint_minutes:
                    self.guard.check()
                    self.save()
                    saved_at = self.clock()
            self.guard.check()
            self.save()
            self._export_once()
            self.processes.wait()  # what the first one writes is there when any of them returns

    def step(self, inputs: Sequence[PassInput] | None = None) -> dict[str, Tensor]:
        """Take one optimization step, with the inputs made for it, and return its scalars."""
        if not self._started:
            self.start()
        inputs = inputs or self.feed(self.step_number)
        adversary = self.objective.adversary
        self.optimizer.zero_grad(set_to_none=True)
        if adversary is not None:
            adversary.optimizer.zero_grad(set_to_none=True)
        passes = [self._pass(part, 1 / len(inputs)) for part in inputs]
        scalars = _means([scalars for _, scalars in passes])
        scalars["total"] = self.processes.mean(scalars["total"])
        self.processes.average_gradients(self.parameters)
        scalars["grad_norm"] = clip_grad_norm_(self.parameters, self.config.optim.max_grad_norm)
        if adversary is not None:
            scalars |= adversary.clip_gradients()
        self.guard.watch(self.step_number, scalars, inputs)
        rate = self.config.optim.rate_at(self.step_number, self.config.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        if adversary is not None:
            adversary.optimizer.step()
        self._train_quantizer_further(passes[-1][0], inputs[-1].num_quantizers)
        self.step_number += 1
        self.average.follow(self.step_number)
        return scalars | {"learning_rate": torch.full((), rate, device=self.device)}

    def validate(self) -> Validation | None:
        """Score the averaged model on the validation clips; None when there are none."""
        if not self.clips:
            return None
        with self.average.applied():
            return validate(self.model, self.clips, self.prefixes, self.processes, self.config.judge_clips)

    def export(self, name: str = MODEL_NAME) -> None:
        """Write the averaged model to `<folder>/NAME`, the form that `audiocodec.load` reads."""
        metadata = model_metadata(self.config.name, self.step_number, self.imitates)
        with self.average.applied():
            save_model(self.folder / name, self.model, self.config.model, metadata)

    def save(self, score: float | None = None) -> Path | None:
        """Write a checkpoint with everything that the next step depends on; only the first process does.

        `score` is the validation score of this step, by which the best checkpoints are kept.

        Raises:
            CheckpointError: it cannot be written; earlier checkpoints stay.
        """
        if not self.processes.first:
            return None
        metadata = {
            "frozen": _listed(self.config.frozen),
            "processes": str(self.processes.world_size),
            "imitates": ",".join(self.imitates),
            "recipe": json.dumps(to_mapping(self.config)),
        }
        keep, tensors = self.config.keep_best, self.state.tensors()
        return write_checkpoint(self.folder, self.step_number, tensors, metadata, score, keep)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint; discriminators or a balancer that it does not have start new.

        Raises:
            CheckpointError: the file is damaged, then an older one is named, or belongs to another recipe.
        """
        step, tensors, metadata = read_checkpoint(path)
        frozen = _listed(self.config.frozen)
        try:
            if metadata.get("frozen", frozen) != frozen:
                raise CheckpointError("other parts learned then; resume with the same `frozen` in the recipe")
            self.state.load(tensors, step)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
        except MALFORMED as error:
            raise damaged(path, error) from error

    def _open_recorder(
        self, report: Callable[[int, Mapping[str, float]], None], stack: ExitStack
    ) -> Recorder:
        """Write the recipe to the run folder and open the log there; only the first process does."""
        config, log = self.config, None
        if self.processes.first:
            write_config(self.folder, config, self.step_number)
            log = stack.enter_context(RunLog(self.folder, self.step_number))
            log.describe(self.step_number, dump_yaml(config), self.device)
            if self.clips and config.judge_clips:
                warn_of_missing_judges()
        examples = config.accumulate * config.data.batch_size * self.processes.world_size
        return Recorder(
            log,
            report,
            self.processes,
            shared=self.objective.names,
            audio_seconds=examples * config.data.segment_seconds,
            clock=self.clock,
        )

    def _validate_and_keep(self, recorder: Recorder) -> None:
        """Export the averaged model, score it, and keep a checkpoint if it is among the best."""
        self._export_once()
        validation = self.validate()
        if validation is not None:
            score = best_score(validation.scores, self.best_weights)
            recorder.log_validation(self.step_number, validation, score, self.model.sample_rate)
            if self.config.keep_best:
                path = self.save(score)
                if path is not None and path == best_checkpoint(self.folder):
                    self.export(BEST_NAME)

    def _export_once(self) -> None:
        """Write the averaged model, unless it was written after this step."""
        if self.processes.first and self._exported != self.step_number:
            self.export()
            self._exported = self.step_number

    def _pass(self, part: PassInput, share: float) -> tuple[ModelOutput, dict[str, Tensor]]:
        """Forward and backward through one batch: the output of the model, and the scalars."""
        torch.manual_seed(part.seed)
        wav, target, _, denoise = part.scenes.to(self.device)
        on, renderings = False if denoise is None else denoise, self.config.loss.renderings
        with autocast(self.bfloat16, self.device):
            output = self.model(wav, part.num_quantizers, denoise=on, renderings=renderings)
        losses = self.objective.backward(
            output, target, self.step_number, share, seed=part.seed, chance=part.chance
        )
        scalars = losses | output.metrics
        if denoise is not None:
            scalars |= si_sdr_by_switch(output.wav[: len(target)], target, denoise)
        return output, {name: value.detach() for name, value in scalars.items()}

    def _train_quantizer_further(self, output: ModelOutput, num_quantizers: Tensor) -> None:
        """Take steps of the quantizer only, from the latents of the step."""
        latents, weight = output.latents.detach().float(), self.config.loss.weights.get("commitment", 0.0)
        for _ in range(self.config.quantizer_inner_steps):
            self.optimizer.zero_grad(set_to_none=True)
            loss = weight * self.model.quantizer(latents, num_quantizers).loss
            if loss.requires_grad:
                loss.backward()
                self.processes.average_gradients(self.parameters)
                clip_grad_norm_(self.parameters, self.config.optim.max_grad_norm)
                self.optimizer.step()

    def _due(self, every: int) -> bool:
        """Whether this step is one of every so many, or the last."""
        return self.step_number % every == 0 or self.step_number == self.config.steps


class Watched(NamedTuple):
    """One step under watch: names of its guarded scalars, whether each is finite, and its inputs."""

    step: int
    names: list[str]
    finite: Tensor
    inputs: Sequence[PassInput]


class Guard:
    """Stops a run at a loss or gradient that is not finite, before it reaches the weights.

    Each step is checked at once, or, if that means waiting for a device, when `check` is called. Until then
    the device itself skips steps that are not finite: the fused optimizers take a flag.
    """

    def __init__(
        self, folder: Path, rank: int, optimizers: Sequence[torch.optim.Optimizer], deferred: bool
    ) -> None:
        """Save the batch of a bad step in `folder`."""
        self.folder, self.rank, self.optimizers, self.deferred = folder, rank, optimizers, deferred
        self.waiting: list[Watched] = []

    def watch(self, step: int, scalars: Mapping[str, Tensor], inputs: Sequence[PassInput]) -> None:
        """Check the scalars of a step, before the optimizers take it.

        Raises:
            AudioCodecError: one is not finite.
        """
        names = [name for name in GUARDED if name in scalars]
        finite = torch.stack([scalars[name] for name in names]).isfinite()
        self.waiting.append(Watched(step, names, finite, inputs))
        if not self.deferred:
            self.check()
            return
        for optimizer in self.optimizers:
            optimizer.found_inf = (~finite.all()).float()  # pyright: ignore[reportAttributeAccessIssue]

    def check(self) -> None:
        """Check all steps since the last time.

        Raises:
            AudioCodecError: a scalar was not finite; the batch of the first such step is saved.
        """
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return
        finite: list[bool] = torch.cat([one.finite for one in waiting]).tolist()
        for one in waiting:
            good, finite = finite[: len(one.names)], finite[len(one.names) :]
            if not all(good):
                self._stop(one, good)

    def _stop(self, one: Watched, good: Sequence[bool]) -> None:
        bad = ", ".join(name for name, fine in zip(one.names, good, strict=True) if not fine)
        rank = f"-rank{self.rank}" if self.rank else ""
        path = self.folder / f"bad-batch-{one.step}{rank}.npy"
        np.save(path, torch.cat([part.scenes.wav for part in one.inputs]).cpu().numpy())
        raise AudioCodecError(
            f"{bad}: not finite at step {one.step}; the batch is in {path},"
            " a lower optim.learning_rate may help"
        )


def _means(passes: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of each scalar over the passes that have it."""
    if len(passes) == 1:
        return dict(passes[0])
    names = dict.fromkeys(name for scalars in passes for name in scalars)
    return {name: torch.stack([s[name].float() for s in passes if name in s]).mean() for name in names}


def _listed(frozen: Sequence[str]) -> str:
    """As the metadata of a checkpoint name them."""
    return ",".join(sorted(frozen))


def _check_prefixes(choices: Sequence[int], offered: Sequence[int]) -> None:
    wrong = sorted(set(choices) - set(offered))
    if wrong:
        raise ConfigError(f"prefix_choices has {wrong}; this quantizer offers {list(offered)}")
