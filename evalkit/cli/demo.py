"""`evalkit demo`: the main job, offline, in any folder."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.cli.run import run_command
from evalkit.cli.shipped_configs import shipped_config

NEXT_STEPS = """
Its answers are simulated: they show what evalkit does, and say nothing about any real model.
Next:
  open {report} in a browser
  evalkit compare {out}          the verdict in words
  evalkit init                   a config for your own images"""


def demo_command(out: Path | None) -> None:
    """Run the shipped demo into ``out`` (``reports/demo``) and say what to do next."""
    folder = out or Path("reports") / "demo"
    run_command(
        str(shipped_config("demo")),
        out=folder,
        limit=None,
        models=None,
        dry_run=False,
        yes=True,
        engine="local",
    )
    click.echo(NEXT_STEPS.format(out=folder, report=folder / "report" / "index.html"))
