"""A whole run, stage by stage: config -> prepare -> plan -> confirm -> lock -> look again -> ask -> score -> report.

`evalkit run` and ``ek.run`` both call ``run``; they differ in how the plan is shown and who confirms its cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.datasets.notes import collected
from evalkit.progress import Progress
from evalkit.report.page import standing_report, write_report
from evalkit.runner.event_loop import run_to_end
from evalkit.runner.folder import finish
from evalkit.runner.loop import StoppedModel, ask_all
from evalkit.runner.plan import Plan, plan_run
from evalkit.runner.prepare import RunPlan, look_again, prepare
from evalkit.runner.told_errors import told_errors
from evalkit.scoring.score import score_locked
from evalkit.storage.locks import run_lock
from evalkit.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from evalkit.config.schema import RunConfig
    from evalkit.scoring.engine import Engine


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run: its folder, the models that stopped early, and the page that was written."""

    folder: RunFolder
    stopped: tuple[StoppedModel, ...]
    report: Path

    def shortfall(self) -> str | None:
        """Return what is missing from an incomplete run, None where it is complete."""
        manifest = self.folder.manifest
        if manifest.complete:
            return None
        stops = [f"{stop.model}: {stop.reason}" for stop in self.stopped]
        return ". ".join(stops or manifest.incomplete or ())


def run(
    config: RunConfig,
    *,
    show: Callable[[str], None],
    confirm: Callable[[str], None],
    out: Path | None = None,
    limit: int | None = None,
    models: list[str] | None = None,
    yes: bool = False,
    engine: Engine = "local",
    quiet: bool = False,
) -> RunResult:
    """Ask what has no answer yet, score and report; the same folder again resumes.

    ``show`` gets the plan as text. ``confirm`` gets what the run costs where that is above
    ``limits.confirm_above_usd`` and raises to refuse it; ``yes`` accepts it unasked. Raises ``ConfigError`` and
    ``DataError`` before anything is sent, and ``RunIncomplete`` when interrupted; every answer is stored then.
    """
    prepared, plan = rehearse(config, out=out, limit=limit, models=models)
    show(plan.text())
    if not yes and (cost := high_cost(plan, config)) is not None:
        confirm(cost)
    with run_lock(prepared.out) as took_over, Progress(quiet=quiet) as progress, told_errors(prepared.out):
        if took_over:
            progress.note(took_over)
        current = look_again(prepared)
        asked = run_to_end(ask_all(current, progress))
        if asked.unchanged:
            return _left_as_it_is(RunFolder(prepared.out), progress)
        folder = finish(current, [stop.reason for stop in asked.stopped])
        score_locked(folder, engine=engine, progress=progress)
        return RunResult(folder, asked.stopped, write_report([folder], None))


def _left_as_it_is(folder: RunFolder, progress: Progress) -> RunResult:
    """Return a finished run without scoring it again, and say so; its page is made where it is not whole."""
    progress.note(
        f"nothing has changed since {folder.manifest.scored_at}: every question is answered, and the scores stand. "
        f"`evalkit score {folder.path}` makes them anew all the same"
    )
    report = standing_report(folder)
    if report is None:
        progress.note("the page is missing, changed or shows less than there is now: it is made anew")
        report = write_report([folder], None)
    return RunResult(folder, (), report)


def rehearse(
    config: RunConfig,
    *,
    out: Path | None = None,
    limit: int | None = None,
    models: list[str] | None = None,
    dry: bool = False,
) -> tuple[RunPlan, Plan]:
    """Return the run with all its samples, and what it would send, take and cost; sends and writes nothing.

    Raises ``ConfigError`` or ``DataError`` for all that would stop the run at its start; ``dry``: but for a key.
    """
    with collected() as notes:
        prepared = prepare(config, out=out, limit=limit, models=models, dry=dry)
    return prepared, plan_run(config, prepared.samples, model_configs=prepared.model_configs, notes=notes)


def high_cost(plan: Plan, config: RunConfig) -> str | None:
    """Return a sentence on what the run costs where that needs a yes, else None."""
    usd, limit_usd = plan.billed_usd, config.limits.confirm_above_usd
    if usd is None or usd <= limit_usd:
        return None
    return f"This run costs about {usd:.2f} USD (limits.confirm_above_usd: {limit_usd})."
