"""What a dataset's reader has to say that is no error: collected once, shown by the plan and by ``datasets check``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_COLLECTOR: ContextVar[Counter[str] | None] = ContextVar("dataset_notes", default=None)


def note(text: str) -> None:
    """Say something about the files that are being read. Said again, it is counted; outside ``collected``, dropped."""
    collector = _COLLECTOR.get()
    if collector is not None:
        collector[text] += 1


@contextmanager
def collected() -> Iterator[Counter[str]]:
    """Collect what readers say while the block runs: text -> how often, in the order of the first time."""
    notes: Counter[str] = Counter()
    token = _COLLECTOR.set(notes)
    try:
        yield notes
    finally:
        _COLLECTOR.reset(token)
