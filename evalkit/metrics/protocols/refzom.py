"""Ref-ZOM as RIS-DMMI scores it (and the LAVT line): mIoU, oIoU, P@0.5 .. 0.9, Acc.

toggle1995/RIS-DMMI: test.py and transforms.py, commit 753cd600b14d. IoU numbers are over targeted
rows; Acc is the share of no-target rows whose mask is entirely empty. ``refzom`` counts at the
image's own resolution. ``refzom-480`` stretches truth and prediction to the 480 x 480 pixels of
that code first (nearest neighbour, its rule for the truth), which shifts the numbers slightly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.masks import full_mask
from evalkit.metrics.protocols.base import (
    MaskRows,
    Protocol,
    Statistics,
    mask_rows,
    protocol_counts,
    ratio,
    share,
)

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.metrics.truth import Truth
    from evalkit.types import BoolMask, Decoded, Sample

SOURCE = "toggle1995/RIS-DMMI: test.py, commit 753cd600b14d"
GRID_PX = 480
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


def statistics(rows: pd.DataFrame) -> Statistics:
    """Return miou, oiou, acc and p_0.5 .. p_0.9 at native resolution, all in 0..1."""
    return _statistics(mask_rows(rows))


def statistics_grid(rows: pd.DataFrame) -> Statistics:
    """Return the same on the 480 x 480 grid."""
    return _statistics(mask_rows(rows, protocol_counts(rows)))


def count_grid(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, float] | None:
    """Return intersection, union and predicted area in pixels of the 480 x 480 grid.

    None for an answer of boxes alone. A mask whose few pixels fall between the grid's is empty there.
    """
    del sample
    if decoded.outcome == "decoded" and decoded.mask is None:
        return None
    target = _on_grid(truth.mask_hw)
    if decoded.mask is None or decoded.outcome != "decoded":
        return {"intersection": 0, "union": int(target.sum()), "pred_area": 0}
    marked = _on_grid(full_mask(decoded.mask))
    return {
        "intersection": int((marked & target).sum()),
        "union": int((marked | target).sum()),
        "pred_area": int(marked.sum()),
    }


def _on_grid(mask_hw: BoolMask) -> BoolMask:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(mask_hw, dtype=np.uint8))
    return np.asarray(image.resize((GRID_PX, GRID_PX), Image.Resampling.NEAREST)) > 0


def _statistics(masks: MaskRows | None) -> Statistics:
    if masks is None:
        return {}
    targeted = ~masks.no_target
    return {
        "miou": ratio(masks.iou * targeted, targeted),
        "oiou": ratio(masks.intersection * targeted, masks.union * targeted),
        "acc": share(masks.empty, masks.no_target),
        **{f"p_{t}": share(masks.iou >= t, targeted) for t in THRESHOLDS},
    }


KEYS = ("miou", "oiou", "acc", *(f"p_{threshold}" for threshold in THRESHOLDS))
REFZOM = Protocol("refzom", SOURCE, statistics, keys=KEYS)
REFZOM_480 = Protocol("refzom-480", SOURCE, statistics_grid, count_grid, KEYS)
