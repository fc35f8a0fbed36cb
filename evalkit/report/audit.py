"""Labels to look at again: where models agree with each other and not with the annotation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from evalkit.masks import full_mask
from evalkit.report.answers import DrawnSample, ModelAnswer, drawn_samples
from evalkit.report.choose import SampleKey
from evalkit.report.data import ReportData

if TYPE_CHECKING:
    from evalkit.types import CropMask

FAR_FROM_TRUTH = 0.4
"""An answer with a lower IoU is taken as another object than the annotated one."""

AGREE = 0.7
"""Two masks with at least this IoU are taken as the same object."""

CANDIDATES = 400
"""Samples whose masks are compared at most, those farthest from the truth first."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A sample whose annotation ``labels`` contradict together; ``agreement`` is their lowest mutual IoU."""

    key: SampleKey
    labels: tuple[str, ...]
    agreement: float
    best_iou: float
    words: str


def find_suspects(data: ReportData) -> list[Suspect]:
    """Return suspects, the strongest agreement first; none where fewer than two different models answered."""
    by_label = {model.label: model.requested for model in data.models}
    if len(set(by_label.values())) < 2:
        return []
    found = []
    for drawn in drawn_samples(data, _candidates(data)):
        suspect = judge(drawn, by_label)
        if suspect is not None:
            found.append(suspect)
    return sorted(found, key=lambda suspect: (-len(suspect.labels), -suspect.agreement, suspect.key))


def _candidates(data: ReportData) -> list[SampleKey]:
    """Return samples that every model that read them answered far from the truth."""
    rows = data.scores[(data.scores["trial"] == 0) & data.scores["outcome"].isin(("decoded", "no_target"))]
    groups = rows.groupby(["dataset", "sample_id"], sort=False)["quality"].agg(["max", "count"])
    far = groups[(groups["max"] < FAR_FROM_TRUTH) & (groups["count"] >= 2)]
    return list(far.sort_values("max", kind="stable").index[:CANDIDATES])


def judge(drawn: DrawnSample, requested: dict[str, str]) -> Suspect | None:
    """Return the suspicion on one sample, None where the models do not agree.

    ``requested``: label -> model id; two runs of one model are one witness.
    """
    sample = drawn.sample
    witnesses: dict[str, ModelAnswer] = {}
    for answer in drawn.answers:
        if answer.decoded is not None and answer.decoded.outcome in ("decoded", "no_target"):
            witnesses.setdefault(requested[answer.label], answer)
    answers = list(witnesses.values())
    if len(answers) < 2:
        return None
    key = (sample.dataset, sample.sample_id)
    best = max(float(answer.row["quality"] or 0.0) for answer in answers)
    labels = tuple(answer.label for answer in answers)
    refusing = [answer.decoded is not None and answer.decoded.outcome == "no_target" for answer in answers]
    if all(refusing):
        return (
            None if sample.truth.no_target else Suspect(key, labels, 1.0, best, "all say that nothing fits")
        )
    if any(refusing):
        return None
    masks = [answer.decoded.mask for answer in answers if answer.decoded and answer.decoded.mask is not None]
    if len(masks) < len(answers):
        return None
    agreement = min(mask_iou(first, second) for first, second in combinations(masks, 2))
    if agreement < AGREE:
        return None
    words = "agree on an object where none is marked" if sample.truth.no_target else "agree on other pixels"
    return Suspect(key, labels, agreement, best, words)


def mask_iou(first: CropMask, second: CropMask) -> float:
    """Return the IoU of two masks of one image; 0 where both are empty."""
    one, two = full_mask(first), full_mask(second)
    union = int(np.count_nonzero(one | two))
    return int(np.count_nonzero(one & two)) / union if union else 0.0
