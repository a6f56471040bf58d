"""The training loop: recipe in, run folder with checkpoints, log and the averaged model out."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from audiocodec.checkpoint import load_model, save_model
from audiocodec.config import dump_yaml
from audiocodec.errors import AudioCodecError, CheckpointError, InputError
from audiocodec.model import CodecModel, build_model
from audiocodec.nn.spectral import SpectralDecoder, SpectralEncoder, start_linear
from audiocodec.training.data import SampleStore, SegmentSampler, read_manifest
from audiocodec.training.log import RunLog
from audiocodec.training.losses import SpectralLoss
from audiocodec.training.state import load_state, newest_checkpoint, save_state
from audiocodec.training.validation import pick_clips, validate
from audiocodec.training.weight_average import WeightAverage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audiocodec.training.config import TrainConfig


class Trainer:
    """Runs one recipe. Everything random in a step follows from (seed, step), so a resumed run repeats exactly."""

    def __init__(self, config: TrainConfig, folder: Path, device: str = "cpu") -> None:
        """Build model, data and optimiser for `config`; results go to `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.config, self.folder, self.device = config, folder, torch.device(device)
        torch.manual_seed(config.seed)
        self.sampler, self.validation = self._data()
        self.model = self._model().to(self.device).train()
        loss = config.loss
        self.spectral_loss = SpectralLoss(
            config.model.sample_rate,
            loss.window_lengths,
            loss.mel_bins,
            loss.compressed_windows,
            loss.complex_share,
        ).to(self.device)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        optim = config.optim
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=optim.learning_rate,
            betas=(optim.betas[0], optim.betas[1]),
            weight_decay=optim.weight_decay,
            fused=True,
        )
        self.average = WeightAverage(self.model, optim.weight_ema_decay)
        self.step_number = 0

    def fit(self, report: Callable[[int, Mapping[str, float]], None] | None = None) -> None:
        """Train to `config.steps`, from the newest checkpoint in the folder when there is one.

        `report(step, scalars)` is called at every line of the log.

        Raises:
            AudioCodecError: the loss is no longer finite; the batch is saved in the run folder.
        """
        (self.folder / "config.yaml").write_text(dump_yaml(self.config), encoding="utf-8")
        log = RunLog(self.folder)
        sums: dict[str, float] = {}
        saved_at = logged_at = time.monotonic()
        while self.step_number < self.config.steps:
            for name, value in self.step().items():
                sums[name] = sums.get(name, 0.0) + float(value)
            if self.step_number % self.config.log_every == 0:
                now = time.monotonic()
                audio_seconds = (
                    self.config.log_every * self.config.data.batch_size * self.config.data.segment_seconds
                )
                scalars = {name: value / self.config.log_every for name, value in sums.items()}
                scalars["audio_seconds_per_second"] = audio_seconds / (now - logged_at)
                log.write("train", self.step_number, scalars)
                if report is not None:
                    report(self.step_number, scalars)
                sums, logged_at = {}, now
            if self.step_number % self.config.validate_every == 0 or self.step_number == self.config.steps:
                log.write("valid", self.step_number, self.validate())
                self.export()
            if time.monotonic() - saved_at > 60 * self.config.checkpoint_minutes:
                save_state(self)
                saved_at = time.monotonic()
        save_state(self)
        self.export()
        log.close()

    def step(self) -> dict[str, Tensor]:
        """Take one optimisation step and return its scalars."""
        rng = np.random.default_rng((self.config.seed, self.step_number))
        torch.manual_seed(int(rng.integers(2**62)))
        wav = self.sampler.batch(rng).to(self.device)
        with self._autocast():
            output = self.model(wav, self._draw_prefixes(rng, wav.shape[0]))
        estimate = output.wav[:, 0].float()
        losses = self.spectral_loss(estimate, wav[:, 0, : estimate.shape[1]])
        losses["commitment"] = output.loss
        weights = self.config.loss.weights
        total = torch.stack([float(weights.get(name, 0.0)) * value for name, value in losses.items()]).sum()
        if not bool(total.isfinite()):
            self._stop_at_bad_loss(wav)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.optim.max_grad_norm)
        learning_rate = self.learning_rate(self.step_number)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.step_number += 1
        self.average.follow(self.step_number)
        scalars = {name: value.detach() for name, value in (losses | output.metrics).items()}
        return scalars | {
            "total": total.detach(),
            "grad_norm": norm,
            "learning_rate": torch.tensor(learning_rate),
        }

    def learning_rate(self, step: int) -> float:
        """Warm-up, constant, linear decay (Hu et al. 2024, https://arxiv.org/abs/2404.06395)."""
        optim = self.config.optim
        warm = min(1.0, (step + 1) / max(1, optim.warmup_steps))
        left = min(1.0, (self.config.steps - step) / max(1, optim.decay_steps))
        return optim.learning_rate * warm * left

    def validate(self) -> dict[str, float]:
        """Scores of the averaged model on the validation clips."""
        prefixes = [*self.config.prefix_choices, 0]
        with self.average.applied() as model:
            assert isinstance(model, CodecModel)
            return validate(model.cpu(), self.validation, prefixes)

    def export(self) -> None:
        """Write the averaged model to `<folder>/model`, the form that `audiocodec.load` reads."""
        with self.average.applied() as model:
            assert isinstance(model, CodecModel)
            metadata = {"name": self.config.name, "steps": str(self.step_number)}
            save_model(self.folder / "model", model, self.config.model, metadata)

    def resume(self) -> bool:
        """Continue from the newest checkpoint of the folder; False when there is none."""
        path = newest_checkpoint(self.folder)
        if path is None:
            return False
        load_state(self, path)
        return True

    def _data(self) -> tuple[SegmentSampler, list[np.ndarray]]:
        config = self.config
        recordings = [r for r in read_manifest(Path(config.data.manifest)) if r.kind == "speech"]
        cache = Path(config.data.cache) if config.data.cache else self.folder / "cache"
        rate = config.model.sample_rate
        train = SampleStore([r for r in recordings if r.split == "train"], rate, cache)
        held_out = SampleStore([r for r in recordings if r.split == "valid"], rate, cache)
        hop_length = config.model.net.hop_length
        length = round(config.data.segment_seconds * rate / hop_length) * hop_length
        return SegmentSampler(train, config.data, length), pick_clips(held_out, config.validate_seconds)

    def _model(self) -> CodecModel:
        config = self.config
        if config.start not in {"linear", "random"}:
            model, found, _ = load_model(Path(config.start))
            if found != config.model:
                raise CheckpointError(
                    f"{config.start} was built from another model configuration than this recipe's"
                )
        else:
            model = build_model(config.model)
            rng = np.random.default_rng((config.seed, 2**31))
            wav = torch.cat([self.sampler.batch(rng) for _ in range(80)])
            if config.start == "linear":
                if not isinstance(model.encoder, SpectralEncoder) or not isinstance(
                    model.decoder, SpectralDecoder
                ):
                    raise InputError("start: linear is for nets of kind spectral; use start: random")
                start_linear(model.encoder, model.decoder, wav)
            with torch.no_grad():
                model.eval().quantizer.initialise(model.encoder(wav))
        for part in config.frozen:
            getattr(model, part).requires_grad_(False)
        return model

    def _draw_prefixes(self, rng: np.random.Generator, batch_size: int) -> Tensor:
        """Numbers of quantisers [B], one an example: quantiser dropout as in DAC, section 3.2."""
        prefixes = np.array(self.model.quantizer.prefixes)
        anywhere = rng.choice(prefixes, batch_size)
        favoured = rng.choice(np.array(self.config.prefix_choices), batch_size)
        return torch.from_numpy(np.where(rng.random(batch_size) < 0.5, anywhere, favoured)).to(self.device)

    def _autocast(self) -> torch.autocast | nullcontext[None]:
        if self.config.autocast == "none":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _stop_at_bad_loss(self, wav: Tensor) -> None:
        path = self.folder / f"bad-batch-{self.step_number}.npy"
        np.save(path, wav.cpu().numpy())
        raise AudioCodecError(f"loss is not finite at step {self.step_number}; the batch is in {path}")
