"""What `evalkit run` and `evalkit score` do between their arguments and their exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from evalkit.errors import ConfigError, RunIncomplete
from evalkit.extensions import nothing_imported

if TYPE_CHECKING:
    from evalkit.scoring.engine import Engine


def run_command(
    config_path: str,
    *,
    out: Path | None,
    limit: int | None,
    models: list[str] | None,
    dry_run: bool,
    yes: bool,
    engine: Engine,
) -> None:
    """Plan, call, store, score and report one config; print the headline table."""
    from evalkit import pipeline
    from evalkit.models.config_file import load_run_config
    from evalkit.report.headline import decided, headline_table

    if dry_run:
        with nothing_imported():
            _, plan = pipeline.rehearse(
                load_run_config(config_path), out=out, limit=limit, models=models, dry=True
            )
        click.echo(plan.text())
        click.echo("dry run: nothing was called, nothing was written")
        return
    config = load_run_config(config_path)
    with _terminated_as_interrupted():
        result = pipeline.run(
            config,
            show=_show_plan,
            confirm=_confirm,
            out=out,
            limit=limit,
            models=models,
            yes=yes,
            engine=engine,
        )
    click.echo(headline_table(result.folder.summary()))
    click.echo(f"\n{decided(result.report)}")
    click.echo(f"\nreport: {result.report}")
    if (shortfall := result.shortfall()) is not None:
        raise RunIncomplete(
            f"the run is incomplete. {shortfall}. Every answer so far is in {result.folder.path}; "
            "the same command asks only what is missing"
        )


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """End on SIGTERM, which schedulers send, as on Ctrl-C: workers ended, the way on told, exit code 3."""

    def interrupt(_number: int, frame: FrameType | None) -> None:
        current = signal.getsignal(signal.SIGINT)
        (current if callable(current) else signal.default_int_handler)(signal.SIGINT, frame)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show_plan(plan: str) -> None:
    click.echo(plan, err=True)


def _confirm(cost: str) -> None:
    """Ask whoever sits at the terminal. Raises ``ConfigError`` where nobody does, ``Abort`` on a no."""
    if not sys.stdin.isatty():
        raise ConfigError(f"{cost} Nobody is here to ask: give --yes to accept it")
    click.confirm(f"{cost} Go on?", abort=True, err=True)


def plan_command(config_path: str, *, as_json: bool) -> None:
    """Print what a run would send, take and cost; call and write nothing."""
    import json

    from evalkit.datasets.notes import collected
    from evalkit.models.config_file import load_run_config
    from evalkit.runner.plan import plan_run
    from evalkit.runner.prepare import load_run_samples

    config = load_run_config(config_path)
    with collected() as notes:
        samples = load_run_samples(config)
    plan = plan_run(config, samples, notes=notes)
    click.echo(json.dumps(plan.to_json(), indent=1) if as_json else plan.text())
