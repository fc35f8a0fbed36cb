"""Which samples are drawn when the run is too large to draw them all. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evalkit.decoding.codes import ANSWERED
from evalkit.report.data import ReportData
from evalkit.report.differences import disagreement

if TYPE_CHECKING:
    import pandas as pd

DRAWN = 240
"""Samples that are drawn at most: about 15 MB of pictures with five models."""

SampleKey = tuple[str, str]
"""(dataset, sample_id)."""


@dataclass(frozen=True, slots=True)
class ChosenSamples:
    """The samples that get pictures and a page, in the run's order, and how they were chosen."""

    keys: tuple[SampleKey, ...]
    reasons: dict[SampleKey, tuple[str, ...]]
    total: int
    rule: str

    @property
    def all_drawn(self) -> bool:
        """True where nothing was left out."""
        return len(self.keys) == self.total


def choose_samples(data: ReportData, first: Sequence[SampleKey] = (), limit: int = DRAWN) -> ChosenSamples:
    """Return the samples to draw: all of them up to ``limit``, else a part that says why.

    The part holds, in turn until it is full: suspects of the labels (``first``), samples of each
    failure kind of each model, where models disagree most, the worst, the best and random ones.
    The same run gives the same choice.
    """
    first_trial = data.scores[data.scores["trial"] == 0]
    keys = list(dict.fromkeys(zip(first_trial["dataset"], first_trial["sample_id"], strict=True)))
    if len(keys) <= limit:
        return ChosenSamples(
            tuple(keys), {}, len(keys), f"All {len(keys):,} samples are drawn.{_trials(data)}"
        )
    reasons: dict[SampleKey, list[str]] = defaultdict(list)
    queues = {"label to look at": list(first), **_queues(first_trial, keys, data.seed)}
    position = dict.fromkeys(queues, 0)
    while len(reasons) < limit:
        for reason, queue in queues.items():
            if position[reason] < len(queue) and len(reasons) < limit:
                reasons[queue[position[reason]]].append(reason)
                position[reason] += 1
    drawn = tuple(key for key in keys if key in reasons)
    rule = (
        f"{len(drawn):,} of {len(keys):,} samples are drawn: each kind of failure, where the models disagree "
        "most, the worst, the best, and random ones. The others stand in the list without pictures."
        f"{_trials(data)}"
    )
    return ChosenSamples(drawn, {key: tuple(reasons[key]) for key in drawn}, len(keys), rule)


def _trials(data: ReportData) -> str:
    """Say that only the first trial is shown, where questions were repeated."""
    number = int(data.scores["trial"].max()) + 1
    return "" if number == 1 else f" Of {number} trials the first is shown."


def _queues(rows: pd.DataFrame, keys: list[SampleKey], seed: int) -> dict[str, list[SampleKey]]:
    """Return one ordered list of samples per reason, the most telling first."""
    answered = rows[rows["outcome"].isin(ANSWERED)]
    known = answered[answered["quality"].notna()]
    groups = known.groupby(["dataset", "sample_id"], sort=False)["quality"]
    spread = groups.agg(lambda values: disagreement(list(values)))
    mean = groups.mean()
    shuffled = np.random.default_rng(seed).permutation(len(keys))
    queues: dict[str, list[SampleKey]] = {}
    for (model, failure), part in rows.dropna(subset=["failure"]).groupby(["model", "failure"], sort=True):
        queues[f"{model}: {failure}"] = list(zip(part["dataset"], part["sample_id"], strict=True))[:8]
    blocked = rows[rows["outcome"] == "blocked"]
    queues["blocked"] = list(zip(blocked["dataset"], blocked["sample_id"], strict=True))[:8]
    queues["models disagree"] = list(spread.sort_values(ascending=False, kind="stable").index)
    queues["worst"] = list(mean.sort_values(kind="stable").index)
    queues["best"] = list(mean.sort_values(ascending=False, kind="stable").index)
    queues["random"] = [keys[index] for index in shuffled]
    return queues
