"""What a run that is cut short says: what is stored, and how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evalkit.errors import RunIncomplete
from evalkit.runner.folder import answers_stored


@contextmanager
def told_errors(out: Path) -> Iterator[None]:
    """Turn an interrupt into what is stored and how to go on, and a group of errors into its first."""
    try:
        yield
    except KeyboardInterrupt:
        raise RunIncomplete(_interrupted(out)) from None
    except ExceptionGroup as group:
        raise _first_error(group) from group


def _interrupted(out: Path) -> str:
    stored = answers_stored(out)
    if stored is None:
        return "interrupted before anything was asked; nothing was written"
    return (
        f"interrupted. {stored} answers are stored in {out} and will not be asked again: the same command "
        f"goes on from here; `evalkit score {out}` scores what is there"
    )


def _first_error(group: ExceptionGroup[Exception]) -> Exception:
    """Return what went wrong first: what one model's task raised ends the tasks of all."""
    error = group.exceptions[0]
    return _first_error(error) if isinstance(error, ExceptionGroup) else error
