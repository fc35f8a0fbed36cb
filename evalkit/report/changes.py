"""What changed between the first run of a report and the others, model by model."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.comparison.compare import Pair, RunComparison
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


def find_changes(data: ReportData, compared: RunComparison) -> list[RunChange]:
    """Return one change per dataset and model that stands in the first run and in a later one.

    ``compared``: ``page_comparison``; with two runs its pairs are those of `evalkit compare RUN RUN`.
    """
    names = {model.label: data.runs[model.run].name for model in data.models}
    return [
        _change(pair, names[pair.b.label], tests=compared.tests)
        for pair in compared.pairs
        if pair.a.model == pair.b.model
    ]


def _change(pair: Pair, run: str, *, tests: int) -> RunChange:
    found = verdict(pair, tests)
    return RunChange(pair.dataset, pair.b.model, run, found["code"], found["sentence"], pair.settings)
