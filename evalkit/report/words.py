"""The verdict on a page: which model, or with several runs what changed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.comparison.compare import RunComparison
from evalkit.comparison.decision import Decision, decide
from evalkit.comparison.objections import listed
from evalkit.report.changes import RunChange
from evalkit.report.data import ReportData


def verdict(
    data: ReportData, dataset: str, compared: RunComparison, changes: Sequence[RunChange] = ()
) -> Decision:
    """Return what the page says first of one dataset.

    ``compared``: ``page_comparison``.
    ``changes``: with several runs, what changed against the first; the headline then speaks of that.
    """
    found = decide(data.sides, compared, dataset)
    own = [change for change in changes if change.dataset == dataset]
    if not own:
        return found
    sentences = tuple(change.sentence for change in own)
    return Decision(dataset, _change_headline(own, data.runs[0].name), sentences, found.against)


def _change_headline(changes: Sequence[RunChange], first: str) -> str:
    worse = [change.name for change in changes if change.code == "worse"]
    better = [change.name for change in changes if change.code == "better"]
    if not worse and not better:
        return f"No model changed by more than chance since {first}."
    parts = [f"{listed(names)} got {word}" for names, word in ((worse, "worse"), (better, "better")) if names]
    return f"{', '.join(parts)} since {first}."
