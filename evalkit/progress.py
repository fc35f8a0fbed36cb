"""Progress of long work: bars on a terminal, plain lines elsewhere; always on stderr.

Shows done of total, rate, failures by kind so far, cost so far and the time left.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LINE_EVERY_S = 5.0
"""Seconds between plain lines where the output is not a terminal."""


SCORING = "scoring"
"""The name under which rows that are scored are counted."""


@dataclass
class Tally:
    """What became of the questions of one model so far."""

    total: int = 0
    done: int = 0
    before: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    cost_usd: float = 0.0
    cost_unknown: int = 0
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None

    def add(self, count: int = 1) -> None:
        """Count finished work; the clock stops with the last of it, so that its rate stays true."""
        self.done += count
        if self.done >= self.total:
            self.ended = time.monotonic()

    def rate_per_s(self) -> float:
        """Return how much was finished per second in this session."""
        elapsed_s = (time.monotonic() if self.ended is None else self.ended) - self.started
        return (self.done - self.before) / elapsed_s if elapsed_s > 0 else 0.0

    def words(self) -> str:
        """Return failures by kind and cost, for example ``no_json 3, not_run 1 · $0.0123``."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in self.kinds.most_common(4)) or "no failures"
        known = f"${self.cost_usd:.4f}" if self.cost_usd else ""
        unknown = f"{self.cost_unknown} of unknown cost" if self.cost_unknown else ""
        return " · ".join(part for part in (kinds, " + ".join(filter(None, (known, unknown)))) if part)


class Progress:
    """Counts what happens and shows it; ``quiet`` counts only. Use as a context manager."""

    def __init__(self, *, quiet: bool = False, stream: IO[str] | None = None) -> None:
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.tallies: dict[str, Tally] = {}
        self.last_line = 0.0
        self.bars: RichProgress | None = None
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if not self.quiet and self.stream.isatty():
            self.bars = _bars(self.stream)
            self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bars is not None:
            self.bars.stop()
        elif self.tallies:
            self._line(force=True)

    def expect(self, name: str, total: int, before: int = 0) -> None:
        """Announce ``total`` questions for ``name``, ``before`` of which were answered in an earlier session."""
        self.tallies[name] = Tally(total=total, done=before, before=before)
        if self.bars is not None:
            self.tasks[name] = self.bars.add_task(name, total=total, completed=before, words="")
        elif not self.quiet and before:
            self._print(f"{name}: {before} of {total} were answered before and are not asked again")

    def add(self, name: str, kind: str | None, cost_usd: float | None = 0.0) -> None:
        """Count one finished question; ``kind`` names its failure, None where it was decoded.

        ``cost_usd``: None where an answer's cost is unknown.
        """
        tally = self.tallies[name]
        tally.add()
        if cost_usd is None:
            tally.cost_unknown += 1
        else:
            tally.cost_usd += cost_usd
        if kind is not None:
            tally.kinds[kind] += 1
        self._show(name, tally)

    def note(self, message: str) -> None:
        """Show one line of news, such as a model that stopped."""
        if self.bars is not None:
            self.bars.console.print(message, highlight=False, markup=False)
        else:
            self._print(message)

    def scored(self, rows: int) -> None:
        """Count rows that were scored, announced as ``SCORING``."""
        tally = self.tallies[SCORING]
        tally.add(rows)
        self._show(SCORING, tally)

    def _show(self, name: str, tally: Tally) -> None:
        if self.bars is not None:
            self.bars.update(self.tasks[name], completed=tally.done, words=tally.words())
        else:
            self._line()

    def _line(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if self.quiet or (not force and now - self.last_line < LINE_EVERY_S):
            return
        self.last_line = now
        for name, tally in self.tallies.items():
            if tally.total:
                self._print(self._plain(name, tally))

    def _plain(self, name: str, tally: Tally) -> str:
        rate = tally.rate_per_s()
        missing = tally.total - tally.done
        left = _duration(missing / rate) if rate else "?" if missing else _duration(0)
        return f"{name}: {tally.done}/{tally.total} · {rate:.1f}/s · {tally.words()} · {left} left"

    def _print(self, text: str) -> None:
        if not self.quiet:
            print(text, file=self.stream, flush=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _bars(stream: IO[str]) -> RichProgress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress
    from rich.text import Text

    class SpeedColumn(ProgressColumn):
        """Finished questions per second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        SpeedColumn(),
        TextColumn("{task.fields[words]}"),
        TimeRemainingColumn(),
        console=Console(file=stream),
    )
