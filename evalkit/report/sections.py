"""What stands on the page below the comparison of each dataset: one table under one heading for each entry."""

from __future__ import annotations

from collections.abc import Callable

from evalkit.report.data import ReportData
from evalkit.report.evaluators import evaluator
from evalkit.report.own_metrics import own_metrics
from evalkit.report.tables import TableSection

SECTIONS: dict[str, Callable[[ReportData, str], TableSection | None]] = {
    "evaluator": evaluator,
    "own-metrics": own_metrics,
}
"""Section -> function from the page's data and a dataset's name to the section, None where there is nothing to show.

In the page's order. A table is also written as CSV, Markdown and LaTeX.
"""


def sections(data: ReportData, dataset: str) -> tuple[TableSection, ...]:
    """Return the sections of one dataset that have something to show."""
    found = (make(data, dataset) for make in SECTIONS.values())
    return tuple(section for section in found if section is not None)
