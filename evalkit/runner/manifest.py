"""The manifest of a run at its start, when it goes on and at its end. Pure but for versions."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.extensions import remember_own
from evalkit.models import find_provider
from evalkit.storage.manifest import Manifest
from evalkit.storage.scoring_state import UNSCORED
from evalkit.version import __version__, installed_versions

if TYPE_CHECKING:
    from evalkit.runner.prepare import RunPlan
    from evalkit.storage.run_folder import RunFolder


def new_manifest(plan: RunPlan, datasets: Mapping[str, Any]) -> Manifest:
    """Return the manifest of a run that is about to start."""
    begun = Manifest(
        name=plan.config.name,
        config={},
        evalkit=__version__,
        simulated=is_simulated(plan),
        seed=plan.config.seed,
        started_at=now(),
        scoring=UNSCORED,
    )
    return _with_scope(begun, plan, datasets)


def resumed_manifest(manifest: Manifest, plan: RunPlan, datasets: Mapping[str, Any]) -> Manifest:
    """Return the manifest of a run that goes on: new settings, models added to those asked before."""
    simulated = manifest.simulated or is_simulated(plan)
    return _with_scope(replace(manifest, simulated=simulated), plan, datasets)


def asking_again(manifest: Manifest) -> Manifest:
    """Return the manifest of a run whose answers are about to change: what was said of them holds no more."""
    return replace(manifest, status="partial", scoring=UNSCORED, incomplete=None, stopped=None)


def _with_scope(manifest: Manifest, plan: RunPlan, datasets: Mapping[str, Any]) -> Manifest:
    # Stored answers are read and scored by the same modules of the user's, wherever the run folder is taken.
    beside = str(Path(plan.config.directory).absolute()) if plan.config.own_modules() else None
    if beside is not None:
        remember_own(beside)
    return replace(
        manifest,
        config=plan.config.to_store(),
        variables=plan.config.variables(),
        answers_fingerprint=plan.config.answers_fingerprint(),
        config_directory=beside or manifest.config_directory,
        models=models_asked(manifest, plan),
        limit=plan.limit,
        datasets=dict(datasets),
        versions=installed_versions(),
        sessions=(*manifest.sessions, {"started_at": now(), "evalkit": __version__}),
    )


def models_asked(manifest: Manifest, plan: RunPlan) -> tuple[str, ...]:
    """Return the models of a run's config that were asked so far or are now."""
    asked = {entry.name for entry in plan.model_configs} | set(manifest.models)
    return tuple(entry.name for entry in plan.config.models if entry.name in asked)


def finished_manifest(folder: RunFolder, plan: RunPlan, stopped: Sequence[str]) -> Manifest:
    """Return the manifest of a run whose questions were asked: counts, what is short, and why.

    It is ``partial`` until it is scored, and complete then where no model stopped early, has more than ``limits.max_not_run`` of its samples without an
    answer, or more than ``limits.max_data_errors`` that could not be put to it. ``incomplete`` says what is short.
    """
    from evalkit.storage.ledger import Ledger

    manifest = folder.manifest
    total = len(plan.samples) * plan.config.trials
    with Ledger(folder.ledger_path) as ledger:
        answered = ledger.answered_by_model()
        data_errors = ledger.data_errors_by_model()
        counts = {
            "samples": len(plan.samples),
            "attempts": ledger.count(),
            "answered": ledger.count("answered"),
        }
        faulty = {(s.dataset, s.sample_id): s.truth.fault for s in plan.samples if s.truth.fault is not None}
        # Their answers stay, and their rows are data errors until the truth is mended.
        answered_in_vain = Counter(key.model for key in ledger.answered_keys() if key[1:3] in faulty)
        short = [
            sentence
            for name in manifest.models
            for sentence in _short(
                name,
                not_run=total - answered.get(name, 0) - data_errors.get(name, 0),
                data_errors=data_errors.get(name, 0) + answered_in_vain[name],
                plan=plan,
            )
        ]
        incomplete = [
            f"{sentence}; most often: {ledger.commonest_error(name) or next(iter(faulty.values()), 'not asked')}"
            for name, sentence in short
        ]
    return replace(
        manifest,
        status="partial",
        scoring=UNSCORED,
        incomplete=tuple(incomplete),
        stopped=tuple(stopped),
        finished_at=now(),
        counts=counts,
    )


def _short(name: str, *, not_run: int, data_errors: int, plan: RunPlan) -> list[tuple[str, str]]:
    """Return (model, what is short) for each limit of the run that a model exceeds."""
    limits = plan.config.limits
    total = len(plan.samples) * plan.config.trials
    counts = (
        (not_run, limits.max_not_run, "were not run (limits.max_not_run"),
        (data_errors, limits.max_data_errors, "had faulty data (limits.max_data_errors"),
    )
    return [
        (name, f"{name}: {count} of {total} {what}: {limit:g})")
        for count, limit, what in counts
        if count > limit * total
    ]


def is_simulated(plan: RunPlan) -> bool:
    """Tell whether any answer comes from the simulator."""
    return any(find_provider(entry.provider).simulated for entry in plan.model_configs)


def now() -> str:
    """Return the time in UTC, to the second."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
