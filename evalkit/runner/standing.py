"""Whether a run stands finished: every question answered, and nothing that its scores were made from is another now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.datasets.cards import protocols_of
from evalkit.runner.manifest import models_asked
from evalkit.storage.ledger import Key, Ledger
from evalkit.storage.manifest import Manifest, read_manifest
from evalkit.storage.run_folder import LEDGER, SAMPLES, SCORES
from evalkit.storage.scoring_basis import digests_of_files, scoring_basis
from evalkit.storage.scoring_state import ledger_state
from evalkit.storage.summary import SUMMARY

if TYPE_CHECKING:
    from evalkit.runner.prepare import RunPlan


def stands_finished(plan: RunPlan, samples: Path) -> bool:
    """Tell whether the run of ``plan`` would end with the files that its folder holds now.

    ``samples``: the samples of today, written as samples.parquet. What is cheap to compare is compared first; each file
    and each stored answer is read whole before the folder is taken for finished.
    """
    manifest = read_manifest(plan.out)
    return (
        manifest.complete
        and _is_same_run(plan, manifest)
        and _all_answered(plan)
        and _is_same_scoring(plan, manifest, samples)
    )


def _is_same_run(plan: RunPlan, manifest: Manifest) -> bool:
    """Tell whether the manifest already says of the run what it would be made to say."""
    return (
        manifest.config == plan.config.to_store()
        and manifest.variables == plan.config.variables()
        and manifest.limit == plan.limit
        and manifest.models == models_asked(manifest, plan)
    )


def _all_answered(plan: RunPlan) -> bool:
    with Ledger(plan.out / LEDGER, read_only=True) as ledger:
        answered = ledger.answered_keys()
    return all(
        Key(entry.name, sample.dataset, sample.sample_id, trial) in answered
        for sample in plan.samples
        if sample.truth.fault is None
        for entry in plan.model_configs
        for trial in range(plan.config.trials)
    )


def _is_same_scoring(plan: RunPlan, manifest: Manifest, samples: Path) -> bool:
    entry = manifest.scoring or {}
    if entry.get("files") != digests_of_files(_written(plan.out)):
        return False
    ledger = plan.out / LEDGER
    basis = scoring_basis(plan.config, manifest.models, protocols_of(plan.config), samples, ledger)
    if basis is None or digests_of_files([samples]) != digests_of_files([plan.out / SAMPLES]):
        return False
    return (basis | ledger_state(ledger)).items() <= entry.items()


def _written(folder: Path) -> Sequence[Path]:
    return [folder / SCORES, folder / SUMMARY]
