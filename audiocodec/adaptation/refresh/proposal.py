"""From sound to a revision in a store: fit, round, judge, publish or refuse, activate where wanted."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audiocodec.adaptation.refresh.acceptance import Acceptance, Verdict, judge, with_codebooks
from audiocodec.adaptation.refresh.candidate import RefreshOptions, check_enough, refresh
from audiocodec.adaptation.refresh.sound import SoundClips, divide
from audiocodec.adaptation.registry import round_changes
from audiocodec.adaptation.registry.registry import REFRESH_LOCK_NAME
from audiocodec.errors import RegistryError
from audiocodec.storage import locked, make_folder

if TYPE_CHECKING:
    from torch import Tensor

    from audiocodec.adaptation.registry import Registry, Revision
    from audiocodec.codec import Codec


@dataclass(frozen=True)
class Plan:
    """What is wanted of a refresh.

    Attributes:
        options: how codebooks are fitted.
        acceptance: what they must reach.
        environment: label of the environment.
        reason: why, for the log.
        activate: encode with them from now on, if they are accepted.
        dry_run: fit and judge, but write nothing.
    """

    options: RefreshOptions = field(default_factory=RefreshOptions)
    acceptance: Acceptance = field(default_factory=Acceptance)
    environment: str | None = None
    reason: str = "refresh"
    activate: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a refresh.

    Attributes:
        verdict: of the acceptance test.
        facts: of the fit.
        fingerprint: identity of the sound it was fitted to and judged on.
        revision: in the store; None after a dry run.
    """

    verdict: Verdict
    facts: dict[str, Any]
    fingerprint: str
    revision: Revision | None


def present_codec(registry: Registry, codec: Codec) -> Codec:
    """`codec`, loaded with `registry`, with the codebooks that are active there.

    Raises:
        RegistryError: the store is of other models only, or not sound.
    """
    known = registry.histories()
    if known and codec.model_id not in known:
        names = ", ".join(sorted(history.name or known_id[:12] for known_id, history in known.items()))
        raise RegistryError(
            f"{registry.path}: a store of {names}, not of this model ({codec.name or codec.model_id[:12]});"
            " name another folder with --store, or that model with --model"
        )
    active = registry.active(codec.model_id)
    if active is None or active.codebook_id == codec.codebook_id:
        return codec
    return codec.with_codebook(active.codebook_id)


def propose(
    registry: Registry,
    codec: Codec,
    environment: SoundClips,
    clean: SoundClips,
    plan: Plan,
    *,
    clean_latents: Tensor | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Outcome:
    """Fit to part of the sound of an environment, judge on the rest, and keep what came out.

    `codec` has the model's own codebooks and was loaded with `registry`; `clean` speech is divided likewise,
    unless `clean_latents` [M, D] stand for it when codebooks are fitted.

    Raises:
        InputError: too little sound, or codebooks that cannot be refreshed.
        RegistryError: the store is of another model, not sound or cannot be written, or another refresh runs.
    """
    with exclusive(registry, plan.dry_run):
        present = present_codec(registry, codec)
        fitted_to, judged_on = divide(environment, plan.options.seed)
        check_enough(fitted_to, present, plan.options)
        clean_fitted_to, clean_judged_on = divide(clean, plan.options.seed, 0.5)
        candidate = refresh(
            present,
            fitted_to,
            clean_fitted_to,
            plan.options,
            clean_latents=clean_latents,
            progress=lambda s: progress(s / 2),
        )
        before = present.model.quantizer.codebooks()
        tensors = round_changes(before, candidate.tensors)
        verdict = judge(
            present,
            with_codebooks(codec, tensors),
            judged_on,
            clean_judged_on,
            plan.acceptance,
            lambda s: progress((1 + s) / 2),
        )
        revision = None
        if not plan.dry_run:
            revision = _keep(
                registry, codec, present.codebook_id, tensors, plan, verdict, candidate.facts, environment
            )
        return Outcome(verdict, candidate.facts, environment.fingerprint, revision)


@contextmanager
def exclusive(registry: Registry, dry_run: bool = False) -> Generator[None]:
    """One refresh at a time in a store; the system frees it when its holder dies.

    Raises:
        RegistryError: another refresh is running.
    """
    with ExitStack() as stack:
        try:
            if not dry_run:
                make_folder(registry.path)
                stack.enter_context(locked(registry.path / REFRESH_LOCK_NAME, 0))
        except OSError as error:  # TimeoutError is one
            raise RegistryError(
                f"{registry.path}: another refresh of this store is running, or it cannot be written"
                f" ({error}); wait for its end"
            ) from error
        yield


def _keep(
    registry: Registry,
    codec: Codec,
    parent: str,
    tensors: Mapping[str, Tensor],
    plan: Plan,
    verdict: Verdict,
    facts: Mapping[str, Any],
    environment: SoundClips,
) -> Revision:
    """Publish or refuse, and activate."""
    own = codec.model.quantizer.codebooks()
    registry.baseline(codec.model_id, own, model=codec.name)
    known = registry.revision(parent, codec.model_id).codebook_id
    revision = registry.publish(
        codec.model_id,
        tensors,
        known,
        reason=plan.reason if verdict.accepted else verdict.reason,
        fingerprint=environment.fingerprint,
        statistics={
            "fit": dict(facts),
            "before": _means(verdict, "before"),
            "after": _means(verdict, "after"),
        },
        verdict=verdict.as_json(),
        environment=plan.environment,
        refused=not verdict.accepted,
    )
    if plan.activate and verdict.accepted:
        revision = registry.activate(revision.codebook_id, reason=plan.reason)
    return revision


def _means(verdict: Verdict, which: str) -> dict[str, Any]:
    sides = {"environment": verdict.environment, "clean": verdict.clean}
    return {
        side: {name: getattr(comparison, which) for name, comparison in table.items()}
        for side, table in sides.items()
    }
