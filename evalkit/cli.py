"""The command line: argument parsing only; each command calls one function of one module."""

from __future__ import annotations

import sys
from typing import Any

import click

from evalkit import __version__
from evalkit.errors import EvalkitError


class Group(click.Group):
    """Turns every ``EvalkitError`` into one paragraph and its exit code; suggests near names."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; with ``--debug`` the traceback is shown as well."""
        try:
            return super().invoke(ctx)
        except EvalkitError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="evalkit")
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
def main(debug: bool) -> None:
    r"""Which model segments your images? From a YAML file to a comparison you can decide from.

    \b
    First steps:
      evalkit run configs/demo.yaml       the main job, offline, on real photographs
      evalkit datasets list               the datasets that can be named
      evalkit decode answer.txt --size 640x480
    """
    del debug


if __name__ == "__main__":
    sys.exit(main())
