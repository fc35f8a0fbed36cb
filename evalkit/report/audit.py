"""Labels to look at again: where models agree with each other and not with the annotation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from evalkit.masks import area, crop_intersection
from evalkit.report.answers import AnsweredSample, ModelAnswer
from evalkit.report.data import ReportData, SampleKey

if TYPE_CHECKING:
    from evalkit.types import CropMask

FAR_FROM_TRUTH = 0.4
"""An answer with a lower IoU is taken as another object than the annotated one."""

AGREE = 0.7
"""Two masks with at least this IoU are taken as the same object."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A sample whose annotation ``labels`` contradict together; ``agreement`` is their lowest mutual IoU."""

    key: SampleKey
    labels: tuple[str, ...]
    agreement: float
    best_iou: float
    words: str


def suspicious_keys(data: ReportData) -> frozenset[SampleKey]:
    """Return samples that every model that read them answered far from the truth; none where fewer than two answered."""
    if len({model.requested for model in data.models}) < 2:
        return frozenset()
    rows = data.first_trial()
    rows = rows[rows["outcome"].isin(("decoded", "no_target"))]
    groups = rows.groupby(["dataset", "sample_id"], sort=False)["quality"].agg(["max", "count"])
    return frozenset(groups[(groups["max"] < FAR_FROM_TRUTH) & (groups["count"] >= 2)].index)


def strongest_first(suspects: Iterable[Suspect]) -> list[Suspect]:
    """Return suspects with those first that most models agree on, and most closely."""
    return sorted(suspects, key=lambda suspect: (-len(suspect.labels), -suspect.agreement, suspect.key))


def judge(answered: AnsweredSample, requested: Mapping[str, str]) -> Suspect | None:
    """Return the suspicion on one sample, None where the models do not agree.

    ``requested``: label -> model id; two runs of one model are one witness.
    """
    sample = answered.sample
    witnesses: dict[str, ModelAnswer] = {}
    for answer in answered.answers:
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
    shared = crop_intersection(first, second)
    union = area(first) + area(second) - shared
    return shared / union if union else 0.0
