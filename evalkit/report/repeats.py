"""How much a model's answers vary when the same question is asked again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.decoding.codes import ANSWERED
from evalkit.report.data import ReportData
from evalkit.report.numbers import NOTHING, TableCell, cell, spell


@dataclass(frozen=True, slots=True)
class Repeat:
    """One model's repeats: gIoU of each trial, spreads, agreement of the masks, changed outcomes."""

    label: str
    n: int
    giou: str
    giou_spread: TableCell
    spread: TableCell
    agreement: TableCell
    changed: str


def repeats(data: ReportData, dataset: str) -> list[Repeat]:
    """Return one line per model that was asked more than once; an empty list for a single trial.

    The numbers are ``trials`` of the summary (``evalkit.metrics.trials`` defines them); only the share of
    samples whose outcome changed is counted here.
    """
    lines = []
    for model in data.models:
        result = data.result(dataset, model.label)
        trials = None if result is None else result.get("trials")
        if not trials:
            continue
        lines.append(
            Repeat(
                model.label,
                int(trials["k"]),
                " ".join(f"{value:.3f}" for value in trials["giou_by_trial"]) or NOTHING,
                cell(trials["giou_sd"], "ratio"),
                cell(trials["iou_sd_within_sample"], "ratio"),
                cell(trials["agreement"], "ratio"),
                _changed(data, dataset, model.label),
            )
        )
    return lines


def _changed(data: ReportData, dataset: str, label: str) -> str:
    rows = data.rows(dataset, label)
    answered = rows[rows["outcome"].isin(ANSWERED)]
    if answered.empty:
        return NOTHING
    return spell(float(answered.groupby("sample_id")["outcome"].nunique().gt(1).mean()), "percent")
