"""Do a run's answers fit the convention they were read by? The run's own diagnosis. Pure.

A model that writes x first, pixels, or a width where a corner was asked gives boxes that can be read, far
from the objects. One answer cannot tell; many can: under the right convention their boxes lie on the ground
truth. So the boxes of all answers are read under every order and unit, and compared with the truth's
box. Contours beside those boxes are read, in the boxes' best unit, with either coordinate first, in the image
or inside the box (``contour_reading``). No score uses it.

A reading is ``suspect`` where all of this holds for the best convention against what was read:

* at least ``LEAST_IMAGES`` images;
* its mean box IoU is higher by ``LEAST_GAIN`` and by a factor of ``LEAST_FACTOR``;
* the gain is beyond chance: one-sided t test over images, p below ``ALARM`` after Bonferroni over the other conventions;
* the boxes follow the objects: its mean is above that of the same boxes on other images' truths, by as much and
  by the same test. Larger boxes hit more by chance, whatever the picture shows; that makes a bad model, no
  convention.

Measured false alarms and detections: ``benchmarks/reading_alarms.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

import numpy as np

from evalkit.masks import box_of
from evalkit.types import BoxOrder, StatedBox, Unit

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.metrics.truth import Truth
    from evalkit.types import Decoded, Item

    Floats = NDArray[np.float64]

CONVENTIONS: Final[tuple[tuple[BoxOrder, Unit], ...]] = tuple(
    (order, unit) for unit in get_args(Unit) for order in get_args(BoxOrder)
)
"""Every order and unit a box can be read by; the first is Gemini's."""

LEAST_IMAGES: Final = 8
LEAST_GAIN: Final = 0.1
LEAST_FACTOR: Final = 1.5
ALARM: Final = 0.001
SAME: Final = 0.02
"""Mean box IoU by which two conventions are told apart: rounding to pixels alone moves it by less."""
MOST_BOXES: Final = 64
"""Answers with more boxes say nothing about a convention and would be stored for nothing."""
_HEAD: Final = 6
_FULL_IMAGE: Final = ("rle", "vertex_png")
_SHUFFLES: Final = 4


def stated_numbers(decoded: Decoded, truth: Truth, sent_px: tuple[int, int]) -> list[float] | None:
    """Return what the diagnosis needs of one answer; None where it says nothing about a convention.

    The truth's box as fractions of the image (x0, y0, x1, y1), width and height of the image as sent
    (pixels), then four numbers for every box as they stand in the answer; where no item has a box, the
    extents of the contours, or of masks that were given in pixels.
    """
    wanted = truth.box_px_xyxy
    boxes = [item.stated_box for item in decoded.items if item.stated_box is not None]
    boxes = boxes or [extent for item in decoded.items if (extent := _extent(item, sent_px)) is not None]
    if wanted is None or not boxes or len(boxes) > MOST_BOXES:
        return None
    width, height = truth.width_px, truth.height_px
    fractions = (wanted[0] / width, wanted[1] / height, wanted[2] / width, wanted[3] / height)
    return [*fractions, *map(float, sent_px), *(number for box in boxes for number in box)]


def _extent(item: Item, sent_px: tuple[int, int]) -> StatedBox | None:
    """Return the extent of an item's points as they stand, or of a mask that spans the whole image, in pixels as sent."""
    if item.stated_extent is not None or item.mask is None or item.wire_format not in _FULL_IMAGE:
        return item.stated_extent
    box = box_of(item.mask.crop_hw)
    if box is None:
        return None
    mask = item.mask
    across, down = sent_px[0] / mask.width_px, sent_px[1] / mask.height_px
    x0, y0, x1, y1 = box
    left, right, top, bottom = mask.x0_px + x0, mask.x0_px + x1, mask.y0_px + y0, mask.y0_px + y1
    return left * across, top * down, right * across, bottom * down


@dataclass(frozen=True, slots=True, eq=False)
class StatedBoxes:
    """The stated boxes of many answers; ``rows``: which rows they belong to, shape (n,), ascending.

    ``truth``: (n, 4) fractions; ``sent_px``: (n, 2); ``numbers``: (boxes, 4); ``starts``: where each
    answer's boxes begin, shape (n,).
    """

    rows: NDArray[np.intp]
    truth: Floats
    sent_px: Floats
    numbers: Floats
    starts: NDArray[np.intp]

    def counts(self) -> NDArray[np.intp]:
        """Return how many rows of ``numbers`` each answer has, shape (n,)."""
        return np.diff(np.append(self.starts, len(self.numbers)))

    def among(self, places: NDArray[np.intp]) -> StatedBoxes:
        """Return those of the rows at ``places`` (ascending), counted from the first of these."""
        kept = np.flatnonzero(np.isin(self.rows, places, assume_unique=True))
        counts = self.counts()
        in_kept = np.zeros(self.rows.size, dtype=bool)
        in_kept[kept] = True
        return StatedBoxes(
            np.searchsorted(places, self.rows[kept]),
            self.truth[kept],
            self.sent_px[kept],
            self.numbers[np.repeat(in_kept, counts)],
            np.concatenate(([0], np.cumsum(counts[kept])))[:-1].astype(np.intp),
        )


def stack_numbers(values: Floats, lengths: NDArray[np.intp], rows: NDArray[np.intp]) -> StatedBoxes:
    """Return lists of ``stated_numbers`` or ``stated_contours`` laid end to end as arrays; ``lengths``: numbers of each."""
    begins = np.concatenate(([0], np.cumsum(lengths)))[:-1].astype(np.intp)
    head = values[begins[:, None] + np.arange(_HEAD)] if rows.size else np.zeros((0, _HEAD))
    in_head = np.zeros(values.size, dtype=bool)
    in_head[(begins[:, None] + np.arange(_HEAD)).ravel()] = True
    counts = (lengths - _HEAD) // 4
    starts = np.concatenate(([0], np.cumsum(counts)))[:-1].astype(np.intp)
    return StatedBoxes(rows, head[:, :4], head[:, 4:], values[~in_head].reshape(-1, 4), starts)


@dataclass(frozen=True, slots=True, eq=False)
class Stated:
    """What the diagnosis needs of a run: its stated boxes, and its contours where they were kept."""

    boxes: StatedBoxes
    contours: StatedBoxes | None = None


def read_boxes(stated: StatedBoxes, order: BoxOrder, unit: Unit) -> Floats:
    """Return the box around each answer's boxes under one convention, as fractions of the image.

    Shape (n, 4): x0, y0, x1, y1, cut to 0..1. Corners are sorted, as decoding does.
    """
    corners = corners_of(stated.numbers, np.repeat(stated.sent_px, stated.counts(), axis=0), order, unit)
    return around(corners, stated.starts)


def corners_of(numbers: Floats, sent_px: Floats, order: BoxOrder, unit: Unit) -> Floats:
    """Return boxes (n, 4) as x0, y0, x1, y1 in fractions of the image; ``sent_px``: (n, 2)."""
    a, b, c, d = numbers.T
    if order in ("xyxy", "yxyx"):
        low = np.minimum(a, c), np.minimum(b, d)
        high = np.maximum(a, c), np.maximum(b, d)
    elif order == "xywh":
        low, high = (a, b), (a + c, b + d)
    else:
        low, high = (a - c / 2, b - d / 2), (a + c / 2, b + d / 2)
    if order == "yxyx":
        low, high = low[::-1], high[::-1]
    span = np.tile(sent_px, 2) if unit == "pixel" else 1000.0 if unit == "norm1000" else 1.0
    corners: Floats = np.stack([*low, *high], axis=1) / span
    return corners


def around(corners: Floats, starts: NDArray[np.intp]) -> Floats:
    """Return the box around each answer's boxes, cut to 0..1; ``starts``: where the boxes of each begin."""
    low, high = np.minimum.reduceat(corners[:, :2], starts), np.maximum.reduceat(corners[:, 2:], starts)
    inside: Floats = np.clip(np.concatenate([low, high], axis=1), 0.0, 1.0)
    return inside


def box_ious(first: Floats, second: Floats) -> Floats:
    """Return the IoU of boxes (n, 4) with boxes (n, 4), 0 where both are empty."""
    low = np.maximum(first[:, :2], second[:, :2])
    sides = np.clip(np.minimum(first[:, 2:], second[:, 2:]) - low, 0.0, None)
    shared = sides[:, 0] * sides[:, 1]
    areas = sum(np.prod(np.clip(box[:, 2:] - box[:, :2], 0.0, None), axis=1) for box in (first, second))
    union = areas - shared
    ious: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ious


def add_readings(
    results: list[dict[str, Any]],
    scores: pd.DataFrame,
    stated: Stated | None,
    *,
    slices: list[str] | None,
) -> None:
    """Put ``reading`` into every result of a summary: None where the run's scores hold no stated boxes.

    ``scores``: the rows of scores.parquet, in its order, which ``stated.rows`` count. ``slices``: as for
    ``summarise``.
    """
    from evalkit.metrics.summary import slice_rows

    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    if stated is not None:
        narrow = scores[["model", "dataset", "image_id", "box_iou", "tags"]]
        indices: dict[Any, Any] = dict(narrow.groupby(["model", "dataset"], sort=False).indices)
        for (model, dataset), places in indices.items():
            rows = narrow.iloc[np.sort(places)]
            diagnosis = diagnose(stated, rows, np.sort(places))
            for name, among in slice_rows(rows, slices).items():
                found[str(model), str(dataset), name] = diagnosis.reading(among)
    for result in results:
        result["reading"] = found.get((result["model"], result["dataset"], result["slice"]))


def diagnose(stated: Stated, rows: pd.DataFrame, places: NDArray[np.intp]) -> Diagnosis:
    """Return the diagnosis of ``rows``, which stand at ``places`` (ascending) among the rows of the run."""
    images = rows["image_id"].to_numpy(dtype=object)
    contours = None if stated.contours is None else stated.contours.among(places)
    return Diagnosis(stated.boxes.among(places), pd_numbers(rows["box_iou"]), images, contours)


def pd_numbers(column: pd.Series[Any]) -> Floats:
    """Return a column as floats, nan where it is null."""
    import pandas as pd

    numbers: Floats = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


class Diagnosis:
    """The answers of one model on one dataset under every convention.

    ``read_iou``: box IoU of every row as it was read, shape (rows,); ``image_ids``: the same rows' images;
    ``contours``: stacked ``contour_reading.stated_contours``.
    """

    def __init__(
        self,
        stated: StatedBoxes,
        read_iou: Floats,
        image_ids: NDArray[Any],
        contours: StatedBoxes | None = None,
    ) -> None:
        self.stated = stated
        self.contours = None if contours is None or not contours.rows.size else contours
        self.all_images = image_ids
        self.ious = None
        if stated.rows.size:
            # One convention's boxes at a time: a million answers are 32 MB of each.
            self.ious = np.stack([box_ious(read_boxes(stated, *one), stated.truth) for one in CONVENTIONS])
        self.read = np.nan_to_num(read_iou[stated.rows])
        self.images = image_ids[stated.rows]

    def reading(self, among: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        """Return ``{"n", "box_iou", "best", "best_box_iou", "suspect"}``; ``among``: rows of a slice, shape (rows,).

        Where answers hold contours there are ``contours`` too (``contour_reading``) and ``suspect_parts``, which of
        boxes and contours are suspect.
        """
        from evalkit.metrics.contour_reading import contour_reading

        boxes = self._box_reading(among)
        if self.contours is None or boxes["best"] is None:
            return boxes
        contours = contour_reading(self.contours, self.all_images, among, boxes)
        parts = {"boxes": boxes["suspect"], "contours": contours["suspect"]}
        suspect_parts = [part for part, suspect in parts.items() if suspect]
        return boxes | {
            "suspect": bool(suspect_parts),
            "contours": contours,
            "suspect_parts": suspect_parts,
        }

    def _box_reading(self, among: NDArray[np.bool_] | None) -> dict[str, Any]:
        chosen = np.arange(self.read.size)
        if among is not None:
            chosen = np.flatnonzero(among[self.stated.rows])
        if self.ious is None or not chosen.size:
            return {"n": 0, "box_iou": None, "best": None, "best_box_iou": None, "suspect": False}
        ious, read = self.ious[:, chosen], self.read[chosen]
        own, means = _nearest(ious, read), ious.mean(axis=1)
        # What was read, where no other is better by more than rounding.
        best = own if means[own] >= means.max() - SAME else int(means.argmax())
        value = float(read.mean() if best == own else means[best])
        return {
            "n": int(chosen.size),
            "box_iou": float(read.mean()),
            "best": " ".join(CONVENTIONS[best]),
            "best_box_iou": value,
            "suspect": self._suspect(best, chosen),
        }

    def agreement(self) -> dict[str, float]:
        """Return convention -> mean box IoU, for people who want the whole table."""
        means = [] if self.ious is None else self.ious.mean(axis=1).tolist()
        return {" ".join(convention): value for convention, value in zip(CONVENTIONS, means, strict=False)}

    def contour_agreement(self, boxes_best: str) -> dict[str, float]:
        """Return point order and frame -> mean IoU of the box around the contours; empty where there are none."""
        from evalkit.metrics.contour_reading import contour_agreement

        return {} if self.contours is None else contour_agreement(self.contours, boxes_best)

    def _suspect(self, best: int, chosen: NDArray[np.intp]) -> bool:
        assert self.ious is not None
        given = Compared(
            self.ious[best, chosen], self.read[chosen], self.images[chosen], len(CONVENTIONS) - 1
        )
        return given.is_suspect(
            lambda: read_boxes(self.stated, *CONVENTIONS[best])[chosen], self.stated.truth[chosen]
        )


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Answers as they were read and under the best convention of ``others`` more; all of shape (n,)."""

    best_iou: Floats
    read_iou: Floats
    image_ids: NDArray[Any]
    others: int

    def is_suspect(self, boxes: Callable[[], Floats], truth: Floats) -> bool:
        """Apply the module's rule; ``boxes`` gives the boxes of the best convention, fractions (n, 4), like ``truth``."""
        best, read = self.best_iou.mean(), self.read_iou.mean()
        if best < max(LEAST_FACTOR * read, LEAST_GAIN + read):
            return False  # nearly every run ends here, before anything is sorted
        names, codes = np.unique(self.image_ids, return_inverse=True)
        if names.size < LEAST_IMAGES:
            return False
        level = ALARM / self.others
        if not _is_above(self.best_iou - self.read_iou, codes, names.size, level):
            return False
        elsewhere = _on_other_images(boxes(), truth, codes)
        return _is_above(self.best_iou - elsewhere, codes, names.size, level)


def _on_other_images(boxes: Floats, truth: Floats, codes: NDArray[np.intp]) -> Floats:
    """Return the mean IoU of each answer's box with the truths of other images."""
    order, n = np.argsort(codes, kind="stable"), codes.size
    sorted_codes, boxes, truth = codes[order], boxes[order], truth[order]
    most = int(np.bincount(codes).max())
    total, times = np.zeros(n), np.zeros(n)
    for step in range(1, _SHUFFLES + 1):
        # Past every row of the own image, and far off: neighbours in a film show the same.
        other = np.roll(np.arange(n), max(most, n * step // (_SHUFFLES + 1)))
        differs = sorted_codes != sorted_codes[other]
        total += np.where(differs, box_ious(boxes, truth[other]), 0.0)
        times += differs
    found = np.empty(n)
    found[order] = np.divide(total, times, out=np.zeros_like(total), where=times > 0)
    return found


def _nearest(ious: Floats, read: Floats) -> int:
    """Return the convention whose boxes are, answer by answer, nearest to what was read."""
    return int(np.abs(ious - read).mean(axis=1).argmin())


def _is_above(gain: Floats, codes: NDArray[np.intp], n_images: int, level: float) -> bool:
    """Tell whether a mean gain is at least ``LEAST_GAIN`` and above 0 beyond chance, over images.

    The error of the mean is the linearised one of a ratio over clusters (Cochran 1977, section 6.3).
    """
    from scipy.stats import t

    mean = float(gain.mean())
    if mean < LEAST_GAIN:
        return False
    residuals = np.bincount(codes, weights=gain - mean, minlength=n_images)
    error = float(np.sqrt(n_images / (n_images - 1) * np.square(residuals).sum())) / gain.size
    return error == 0 or float(t.sf(mean / error, n_images - 1)) < level
