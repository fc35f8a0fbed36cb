"""What `evalkit ceiling` does between its arguments and its output."""

from __future__ import annotations

import json

import click

from evalkit.scoring.ceiling import ceiling_table, dataset_ceilings


def ceiling_command(name: str, *, split: str | None, limit: int | None, as_json: bool) -> None:
    """Measure and print; progress goes to stderr."""

    def show(done: int) -> None:
        if done % 50 == 0:
            click.echo(f"{done} samples", err=True)

    rows = dataset_ceilings(name, split=split, limit=limit, progress=show)
    click.echo(json.dumps({"dataset": name, "formats": rows}) if as_json else ceiling_table(rows))
