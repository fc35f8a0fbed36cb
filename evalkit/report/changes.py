"""What changed between the first run of a report and the others, model by model."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.comparison.compare import Pair, compare_pairs
from evalkit.comparison.sides import SettingDifference
from evalkit.comparison.words import verdict
from evalkit.report.data import ReportData


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

    With two runs they are the pairs of `evalkit compare RUN RUN`, adjusted as one family. Raises ``DataError`` where
    the runs were scored against different ground truths.
    """
    if len(data.runs) == 1:
        return []
    of_run = dict(zip((side.label for side in data.sides), (model.run for model in data.models), strict=True))
    first = {side.model: side for side in data.sides if of_run[side.label] == 0}
    pairs = [
        (first[side.model], side) for side in data.sides if of_run[side.label] > 0 and side.model in first
    ]
    compared = compare_pairs(pairs, data.judged_by, seed=data.seed, all_measures=False)
    names = {side.label: data.runs[of_run[side.label]].name for side in data.sides}
    return [_change(pair, names[pair.b.label], tests=compared.tests) for pair in compared.pairs]


def _change(pair: Pair, run: str, *, tests: int) -> RunChange:
    found = verdict(pair, tests)
    return RunChange(pair.dataset, pair.b.model, run, found["code"], found["sentence"], pair.settings)
