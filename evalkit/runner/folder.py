"""The run folder at the begin and the end of the asking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.runner.manifest import asking_again, finished_manifest, new_manifest, resumed_manifest
from evalkit.runner.resume import Background, changed_truths, set_aside_changed
from evalkit.storage.files import aside, write_json
from evalkit.storage.ledger import Ledger
from evalkit.storage.manifest import MANIFEST, read_manifest
from evalkit.storage.run_folder import LEDGER, SAMPLES, RunFolder
from evalkit.storage.samples_table import stored_questions, write_samples

if TYPE_CHECKING:
    from evalkit.models.base import Model
    from evalkit.runner.prepare import RunPlan


def bring_up_to_date(
    plan: RunPlan, models: Sequence[Model], backgrounds: Mapping[str, Background]
) -> list[str]:
    """Begin or resume the run's folder; return what has changed since it was last asked, a sentence each."""
    if not plan.resumes or not (plan.out / LEDGER).is_file():
        begin(plan)
        return []
    before = stored_questions(plan.out / SAMPLES)
    told = set_aside_changed(plan, models, backgrounds, before, read_manifest(plan.out))
    begin(plan)
    return told + changed_truths(before, stored_questions(plan.out / SAMPLES))


def begin(plan: RunPlan) -> None:
    """Create the run folder whole, or bring the samples of a resumed one up to date."""
    if plan.resumes:
        _renew(plan)
        return
    with aside(plan.out) as stage:
        fingerprints = write_samples(stage / SAMPLES, plan.samples)
        write_json(stage / MANIFEST, new_manifest(plan, fingerprints).to_json())
        if plan.out.exists():
            plan.out.rmdir()
        stage.rename(plan.out)


def _renew(plan: RunPlan) -> None:
    with aside(plan.out) as stage:
        fingerprints = write_samples(stage / SAMPLES, plan.samples)
        # Before anything changes the folder says that its scores are not of what follows, wherever this process ends.
        begun = asking_again(read_manifest(plan.out))
        write_json(plan.out / MANIFEST, begun.to_json())
        (stage / SAMPLES).replace(plan.out / SAMPLES)
    write_json(plan.out / MANIFEST, resumed_manifest(begun, plan, fingerprints).to_json())


def finish(plan: RunPlan, stopped: Sequence[str]) -> RunFolder:
    """Write how far the asking came, and return the folder; ``stopped`` says why models stopped early.

    The folder stays ``partial`` until its scores are written (``scoring.score``).
    """
    folder = RunFolder(plan.out)
    write_json(plan.out / MANIFEST, finished_manifest(folder, plan, stopped).to_json())
    return folder


def answers_stored(out: Path) -> int | None:
    """Return how many answers a folder holds, None where nothing was asked yet."""
    if not (out / LEDGER).is_file():
        return None
    with Ledger(out / LEDGER) as ledger:
        return ledger.count("answered")
