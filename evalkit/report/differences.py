"""Which differences between the models of a page are real: those of ``evalkit.comparison``, and nothing else. Pure.

`evalkit compare RUN` compares the same pairs, on the same rows, by the same measure and within the same family of
p-values, so the page and the command give one verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from evalkit.comparison.compare import Pair, RunComparison, compare_pairs
from evalkit.comparison.evidence import is_real, p_text
from evalkit.comparison.leads import leads, ranked, winner
from evalkit.report.data import ReportData
from evalkit.report.numbers import TableCell, cell, triple
from evalkit.report.tables import ReportTable, TableColumn, TableRow, stem_of


def page_comparison(data: ReportData) -> RunComparison:
    """Return what the page compares, as one family: the pairs that `evalkit compare` takes of the same runs.

    One run: all pairs of its models. Several: every model of the first run with its namesakes in the later ones,
    or all pairs where there are none. Only the measures are taken that a verdict rests on. Raises ``DataError``
    where runs were scored against different ground truths.
    """
    run_of = {model.label: model.run for model in data.models}
    first = {side.model: side for side in data.sides if run_of[side.label] == 0}
    namesakes = [
        (first[side.model], side) for side in data.sides if run_of[side.label] > 0 and side.model in first
    ]
    pairs = namesakes or list(combinations(data.sides, 2))
    return compare_pairs(pairs, data.judged_by, seed=data.seed, all_measures=False)


def tag_table(data: ReportData, dataset: str, compared: RunComparison) -> ReportTable | None:
    """Return the ranking measure per tag value and model, the best marked only where its lead is real; None without tags."""
    slices = data.slices(dataset)
    if not slices:
        return None
    measure = data.measure(dataset)
    columns = tuple(TableColumn(model.label, model.label, measure.label, "up") for model in data.models)
    rows = []
    for name in slices:
        results = {model.label: data.result(dataset, model.label, name) for model in data.models}
        known = {label: result for label, result in results.items() if result is not None}
        order = ranked({label: triple(measure.of(result))[0] for label, result in known.items()})
        best = winner(leads(compared, dataset, order, name)) if len(order) > 1 else None
        cells = {
            label: cell(None if result is None else measure.of(result), "ratio")
            for label, result in results.items()
        }
        tag, _, value = name.partition("=")
        n = max((int(result["n"]) for result in known.values()), default=0)
        marked = frozenset() if best is None else frozenset({best})
        rows.append(TableRow(value, cells, marked, tag, f"{n:,}"))
    stem = stem_of(data, dataset, "tags")
    return ReportTable(stem, f"{measure.label} by tag on {dataset}", "Tag", columns, tuple(rows))


PAIR_COLUMNS = (
    TableColumn("first", "First", "the first model's value on the common answers"),
    TableColumn("second", "Second", "the second model's value on the common answers"),
    TableColumn("difference", "Second minus first", "paired difference with its 95 % interval"),
    TableColumn("p", "p", "two-sided p-value of this pair alone"),
    TableColumn("p_holm", "p (Holm)", "the same, adjusted for all verdicts that are compared together"),
    TableColumn("n", "Answers", "common answers, and the images they are on"),
)


def pair_table(data: ReportData, dataset: str, compared: RunComparison) -> ReportTable | None:
    """Return every pair on a dataset as `evalkit compare` has it; None where there is no pair."""
    pairs = [pair for pair in compared.pairs if pair.dataset == dataset]
    rows = tuple(row for pair in pairs if (row := _pair_row(pair)) is not None)
    if not rows:
        return None
    label = data.measure(dataset).label
    caption = f"{label} of every pair on {dataset}; p adjusted by Holm over {compared.tests} verdicts"
    return ReportTable(stem_of(data, dataset, "pairs"), caption, "Second against first", PAIR_COLUMNS, rows)


def _pair_row(pair: Pair) -> TableRow | None:
    found = pair.whole.primary
    if found is None:
        return None
    cells = {
        "first": cell(found.a.to_json(), "ratio"),
        "second": cell(found.b.to_json(), "ratio"),
        "difference": cell(found.difference.to_json(), "difference"),
        "p": _p_cell(found.p),
        "p_holm": _p_cell(found.p_holm),
        "n": TableCell(f"{found.n:,}", f"on {found.n_images:,} images", found.n),
    }
    best = frozenset({"difference"}) if is_real(found) else frozenset()
    return TableRow(f"{pair.b.label} against {pair.a.label}", cells, best)


def _p_cell(value: float) -> TableCell:
    return TableCell(p_text(value), value=value)


def disagreement(values: Sequence[float]) -> float:
    """Return how far the models' IoUs on one sample lie apart: the highest minus the lowest."""
    return max(values) - min(values) if values else 0.0
