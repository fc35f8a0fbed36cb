"""The run folder at the begin and the end of the asking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.runner.manifest import asking_again, finished_manifest, new_manifest, resumed_manifest
from evalkit.runner.resume import Background, changed_truths, set_aside_changed
from evalkit.runner.standing import stands_finished
from evalkit.storage.files import aside, write_json
from evalkit.storage.ledger import Ledger
from evalkit.storage.manifest import MANIFEST, read_manifest
from evalkit.storage.run_folder import LEDGER, SAMPLES, RunFolder
from evalkit.storage.samples_table import stored_questions, write_samples

if TYPE_CHECKING:
    from evalkit.models.base import Model
    from evalkit.runner.prepare import RunPlan


@dataclass(frozen=True, slots=True)
class Renewal:
    """What came of looking at a folder: what to tell, a sentence each, and whether it stands finished as it is."""

    told: tuple[str, ...] = ()
    unchanged: bool = False


def bring_up_to_date(
    plan: RunPlan, models: Sequence[Model], backgrounds: Mapping[str, Background]
) -> Renewal:
    """Begin or resume the run's folder; one that stands finished is not written to."""
    if not plan.resumes:
        _begin(plan)
        return Renewal()
    if not (plan.out / LEDGER).is_file():
        _renew(plan)
        return Renewal()
    before = stored_questions(plan.out / SAMPLES)
    told = set_aside_changed(plan, models, backgrounds, before, read_manifest(plan.out))
    if not _renew(plan):
        return Renewal(tuple(told), unchanged=True)
    return Renewal((*told, *changed_truths(before, stored_questions(plan.out / SAMPLES))))


def _begin(plan: RunPlan) -> None:
    with aside(plan.out) as stage:
        fingerprints = write_samples(stage / SAMPLES, plan.samples)
        write_json(stage / MANIFEST, new_manifest(plan, fingerprints).to_json())
        if plan.out.exists():
            plan.out.rmdir()
        stage.rename(plan.out)


def _renew(plan: RunPlan) -> bool:
    """Bring samples and manifest up to date, and tell whether that changed anything or an answer is missing."""
    with aside(plan.out) as stage:
        fingerprints = write_samples(stage / SAMPLES, plan.samples)
        if stands_finished(plan, stage / SAMPLES):
            return False
        # Before anything changes the folder says that its scores are not of what follows, wherever this process ends.
        begun = asking_again(read_manifest(plan.out))
        write_json(plan.out / MANIFEST, begun.to_json())
        (stage / SAMPLES).replace(plan.out / SAMPLES)
    write_json(plan.out / MANIFEST, resumed_manifest(begun, plan, fingerprints).to_json())
    return True


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
