"""How much a model's answers vary when the same question is asked again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.report.data import SCORED, ReportData
from evalkit.report.numbers import NOTHING, spell


@dataclass(frozen=True, slots=True)
class Repeat:
    """One model's repeats as text: gIoU of each trial, spread within a sample, changed outcomes."""

    label: str
    n: int
    giou: str
    spread: str
    changed: str


def repeats(data: ReportData, dataset: str) -> list[Repeat]:
    """Return one line per model that was asked more than once; an empty list for a single trial.

    The spread is the standard deviation of IoU over the trials of a sample (n - 1 below), averaged
    over the samples that were answered at least twice.
    """
    lines = []
    for model in data.models:
        rows = data.rows(dataset, model.label)
        if rows.empty or rows["trial"].max() == 0:
            continue
        answered = rows[rows["outcome"].isin(SCORED)]
        per_trial = answered.groupby("trial")["quality"].mean()
        by_sample = answered.groupby("sample_id")
        deviations = by_sample["quality"].std().dropna()
        changed = by_sample["outcome"].nunique().gt(1).mean() if len(answered) else None
        lines.append(
            Repeat(
                model.label,
                int(rows["trial"].max()) + 1,
                " ".join(f"{value:.3f}" for value in per_trial),
                NOTHING if deviations.empty else f"{deviations.mean():.3f}",
                NOTHING if changed is None else spell(float(changed), "percent"),
            )
        )
    return lines
