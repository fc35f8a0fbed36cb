"""evalkit's own rules, as plain numbers; ``evalkit.metrics.summary`` gives the same with intervals.

gIoU: mean of the rows' IoU, a correct refusal counting 1; cIoU: sum of intersections over sum of
unions. N-acc and T-acc as in gRefCOCO, undefined without no-target rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.metrics.protocols.base import Protocol, Statistics, mask_rows, mean, ratio, share

if TYPE_CHECKING:
    import pandas as pd


def statistics(rows: pd.DataFrame) -> Statistics:
    """Return giou, ciou, n_acc and t_acc of answered rows."""
    masks = mask_rows(rows)
    if masks is None:
        return {}
    outcome = rows["outcome"].to_numpy(dtype=object)
    targeted = ~masks.no_target & masks.no_target.any()
    return {
        "giou": mean(rows["iou"].to_numpy(dtype=np.float64)),
        "ciou": ratio(masks.intersection, masks.union),
        "n_acc": share(np.asarray(outcome == "no_target"), masks.no_target),
        "t_acc": share(np.asarray(outcome == "decoded"), targeted),
    }


PROTOCOL = Protocol("default", "evalkit", statistics, keys=("giou", "ciou", "n_acc", "t_acc"))
