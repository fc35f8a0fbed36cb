"""gRefCOCO as ReLA scores it: gIoU, cIoU, N-acc, T-acc and Pr@0.7, 0.8, 0.9.

henghuiding/ReLA: gres_model/evaluation/refer_evaluation.py, commit 3ca955198da8. ReLA's no-target
head is here the answer itself: it refuses, or marks no pixel. Without no-target rows the
evaluator prints 0 for N-acc and T-acc, and so does this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.metrics.protocols.base import Protocol, Statistics, mask_rows, mean, ratio, share

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("giou", "ciou", "n_acc", "t_acc", "pr_0.7", "pr_0.8", "pr_0.9")


def statistics(rows: pd.DataFrame) -> Statistics:
    """Return its numbers, all in 0..1 (the evaluator prints gIoU, cIoU and Pr times 100)."""
    masks = mask_rows(rows)
    if masks is None:
        return {}
    targeted = ~masks.no_target
    failed = np.isin(rows["outcome"].to_numpy(dtype=str), ("format_failure", "blocked"))
    zero = mean(np.zeros(len(rows)))
    has_both = bool(masks.no_target.any())
    return {
        "giou": mean(np.where(targeted, masks.iou, masks.empty)),
        "ciou": ratio(masks.intersection, masks.union),
        "n_acc": share(masks.empty, masks.no_target) if has_both else zero,
        "t_acc": share(~masks.empty & ~failed, targeted) if has_both else zero,
        **{f"pr_{t}": share(masks.iou >= t, targeted) for t in (0.7, 0.8, 0.9)},
    }


PROTOCOL = Protocol(
    "rela",
    "henghuiding/ReLA: gres_model/evaluation/refer_evaluation.py, commit 3ca955198da8",
    statistics,
    keys=KEYS,
)
