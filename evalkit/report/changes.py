"""What changed between the first run of a report and the others, model by model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from evalkit.comparison.compare import Pair, compare_sides
from evalkit.comparison.sides import SettingDifference, run_sides
from evalkit.comparison.words import verdict
from evalkit.report.data import ReportData
from evalkit.stats.significance import holm


@dataclass(frozen=True, slots=True)
class RunChange:
    """One model in a later run against the first: ``code`` better, worse or no_difference."""

    dataset: str
    name: str
    run: str
    code: str
    sentence: str
    settings: tuple[SettingDifference, ...]


def find_changes(data: ReportData) -> list[RunChange]:
    """Return one change per dataset and model that stands in the first run and in a later one.

    P-values are adjusted by Holm over all of them. Raises ``DataError`` where the runs were scored
    against different ground truths.
    """
    first = {side.model: side for side in run_sides(data.runs[0].folder, data.runs[0].name)}
    pairs: list[tuple[Pair, str]] = []
    for run in data.runs[1:]:
        for side in run_sides(run.folder, run.name):
            if side.model in first:
                pairs += [(pair, run.name) for pair in compare_sides(first[side.model], side, seed=data.seed)]
    adjusted = _adjusted([pair for pair, _ in pairs])
    return [_change(pair, run, tests=len(adjusted)) for pair, (_, run) in zip(adjusted, pairs, strict=True)]


def _adjusted(pairs: list[Pair]) -> list[Pair]:
    """Return the pairs with their primary measure's p-value adjusted over all pairs."""
    primary = [pair.whole.primary for pair in pairs]
    p_values = iter(holm([found.p for found in primary if found is not None]))
    made = []
    for pair, found in zip(pairs, primary, strict=True):
        if found is not None:
            judged = replace(found, p_holm=next(p_values))
            measured = tuple(judged if one is found else one for one in pair.whole.measured)
            pair = replace(pair, whole=replace(pair.whole, measured=measured))  # noqa: PLW2901
        made.append(pair)
    return made


def _change(pair: Pair, run: str, *, tests: int) -> RunChange:
    found = verdict(pair, tests)
    return RunChange(pair.dataset, pair.b.model, run, found["code"], found["sentence"], pair.settings)
