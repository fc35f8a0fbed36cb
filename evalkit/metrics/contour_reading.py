"""Do contours lie on the truth with either coordinate first, in the image or inside their box? Pure.

The part of the diagnosis ``reading`` that looks at points. A contour whose order or frame is not the stated one
disagrees with its box, and each such answer alone is ambiguous; many of them tell which of the two is
right. Contours are read in the unit that reads the boxes best, inside the box by the boxes' best convention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

import numpy as np

from evalkit.masks import box_of
from evalkit.metrics.reading import MOST_BOXES, SAME, Compared, around, box_ious, corners_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evalkit.metrics.reading import StatedBoxes
    from evalkit.metrics.truth import Truth
    from evalkit.types import AskedFormat, BoxOrder, CropMask, Decoded, Unit

    Floats = NDArray[np.float64]


class ContourReading(NamedTuple):
    """Which coordinate of a point comes first, and what the points span."""

    point_order: Literal["xy", "yx"]
    frame: Literal["image", "box"]


CONTOUR_READINGS: Final = tuple(
    ContourReading(order, frame) for frame in ("image", "box") for order in ("xy", "yx")
)
_LOCAL: Final = np.array([reading.frame == "box" for reading in CONTOUR_READINGS])
LEAST_FILL: Final = 0.9
"""Contours inside their boxes span these, by this mean IoU: any contour at all lies somewhere in there."""
_NO_BOX: Final = (float("nan"),) * 4


def stated_contours(
    decoded: Decoded, truth: Truth, sent_px: tuple[int, int], asked: AskedFormat
) -> list[float] | None:
    """Return what the diagnosis needs of one answer's contours; None where it has none.

    The truth's box as fractions of the image (x0, y0, x1, y1), width and height of the image as sent (pixels);
    the IoU of the box around the contours' masks, as they were read, with the truth's box, 1 where the prompt
    states y first, 1 where it states the box as frame, 0; then for every contour the smallest and largest first
    and second number of its points (low, low, high, high) and the four numbers of its box, nan without one.
    """
    wanted = truth.box_px_xyxy
    items = [item for item in decoded.items if item.stated_extent is not None]
    if wanted is None or not items or len(items) > MOST_BOXES:
        return None
    size_px = np.array([truth.width_px, truth.height_px] * 2)
    fractions = np.array([wanted]) / size_px
    masks = [box for item in items if item.mask is not None and (box := _mask_box(item.mask)) is not None]
    read = 0.0
    if masks:
        read = float(box_ious(around(np.array(masks) / size_px, np.zeros(1, dtype=np.intp)), fractions)[0])
    return [
        *fractions[0].tolist(),
        *map(float, sent_px),
        *(read, float(asked.point_order == "yx"), float(asked.frame == "box"), 0.0),
        *(n for item in items for n in (*(item.stated_extent or _NO_BOX), *(item.stated_box or _NO_BOX))),
    ]


def _mask_box(mask: CropMask) -> tuple[int, int, int, int] | None:
    """Return the box x0, y0, x1, y1 around a mask in pixels of the image."""
    box = box_of(mask.crop_hw)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    return mask.x0_px + x0, mask.y0_px + y0, mask.x0_px + x1, mask.y0_px + y1


def contour_reading(
    stated: StatedBoxes, image_ids: NDArray[Any], among: NDArray[np.bool_] | None, boxes: dict[str, Any]
) -> dict[str, Any]:
    """Return ``{"n", "box_iou", "stated", "best", "best_box_iou", "suspect"}`` of contours beside that of ``boxes``.

    ``image_ids``: of every row, shape (rows,); ``among``: rows of a slice. ``stated`` and ``best`` are point order
    and frame; the order is the stated one inside the box, where extents tell nothing of it. Suspect is another
    reading than the stated one, by the rule of ``evalkit.metrics.reading``.
    """
    chosen = np.arange(stated.rows.size) if among is None else np.flatnonzero(among[stated.rows])
    if not chosen.size:
        nothing: dict[str, Any] = dict.fromkeys(("box_iou", "stated", "best", "best_box_iou"))
        return {"n": 0, **nothing, "suspect": False}
    head = stated.numbers[stated.starts[chosen]]
    read, own = head[:, 0], _stated_reading(head)
    truth = stated.truth[chosen]
    found, frames = contour_boxes(stated, str(boxes["best"]))
    ious = np.stack([box_ious(one[chosen], truth) for one in found])
    fill = float(box_ious(found[-1], frames)[chosen].mean())
    means = np.where(_LOCAL & (fill < LEAST_FILL), 0.0, ious.mean(axis=1))
    best = own if means[own] >= means.max() - SAME else int(means.argmax())
    if CONTOUR_READINGS[best].frame == "box":
        best = CONTOUR_READINGS.index(CONTOUR_READINGS[own]._replace(frame="box"))
    given = Compared(ious[best], read, image_ids[stated.rows[chosen]], len(CONTOUR_READINGS) - 1)
    return {
        "n": int(chosen.size),
        "box_iou": float(read.mean()),
        "stated": " ".join(CONTOUR_READINGS[own]),
        "best": " ".join(CONTOUR_READINGS[best]),
        "best_box_iou": float(ious[best].mean()),
        "suspect": best != own and given.is_suspect(lambda: found[best][chosen], truth),
    }


def contour_agreement(stated: StatedBoxes, boxes_best: str) -> dict[str, float]:
    """Return point order and frame -> mean IoU of the box around the contours with the truth's."""
    found, _ = contour_boxes(stated, boxes_best)
    means = [float(box_ious(one, stated.truth).mean()) for one in found]
    return {" ".join(reading): value for reading, value in zip(CONTOUR_READINGS, means, strict=True)}


def _stated_reading(head: Floats) -> int:
    """Return the reading that the prompt states: one model has one prompt."""
    order: Literal["xy", "yx"] = "yx" if head[0, 1] else "xy"
    return CONTOUR_READINGS.index(ContourReading(order, "box" if head[0, 2] else "image"))


def contour_boxes(stated: StatedBoxes, boxes_best: str) -> tuple[list[Floats], Floats]:
    """Return, for every reading, the box around each answer's contours, and the box around its boxes.

    All in fractions (n, 4), empty where there is none.
    """
    order, unit = cast("tuple[BoxOrder, Unit]", tuple(boxes_best.split(" ")))
    pairs = np.delete(stated.numbers, stated.starts, axis=0)
    extents, numbers = pairs[0::2], pairs[1::2]
    counts = (stated.counts() - 1) // 2
    starts = np.concatenate(([0], np.cumsum(counts)))[:-1].astype(np.intp)
    sent_px = np.repeat(stated.sent_px, counts, axis=0)
    frames = corners_of(numbers, sent_px, order, unit)
    inside: Unit = "norm1" if unit == "norm1" else "norm1000"
    found = []
    for reading in CONTOUR_READINGS:
        corners_order: BoxOrder = "yxyx" if reading.point_order == "yx" else "xyxy"
        local = reading.frame == "box"
        corners = corners_of(extents, sent_px, corners_order, inside if local else unit)
        if local:
            sides = frames[:, 2:] - frames[:, :2]
            corners = np.tile(frames[:, :2], 2) + corners * np.tile(sides, 2)
        found.append(np.nan_to_num(around(corners, starts)))
    return found, np.nan_to_num(around(frames, starts))
