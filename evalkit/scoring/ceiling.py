"""Format ceilings: the best IoU that a wire format can carry, whatever the model.

Every ground truth is encoded into the format as well as the format allows, decoded by the same
decoder as any answer, and compared with itself. What is lost is the format's, not a model's.
"""

from __future__ import annotations

import base64
import heapq
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from evalkit.decoding import decode_answer
from evalkit.errors import ConfigError
from evalkit.masks import box_of, rle_encode
from evalkit.metrics.counts import count_row
from evalkit.metrics.truth import Truth
from evalkit.stats.bootstrap import ratio_interval
from evalkit.text_table import text_table
from evalkit.types import AskedFormat, BoxPx, Sample

if TYPE_CHECKING:
    from evalkit.types import BoolMask

Encoder = Callable[["BoolMask"], list[dict[str, Any]]]
"""The mask of one object (bool, H x W, not empty) -> the items that say it in a format."""

PNG_SIDE_PX: Final = 256
POINTS: Final = (8, 16, 32, 64)
TOKENS: Final = "<start_of_mask>" + "".join(f"<seg_{n}>" for n in range(16))
LEAST_PART_PX: Final = 4
"""Components of fewer pixels are not traced as contours of their own."""


def norm_box(mask_hw: BoolMask) -> list[int]:
    """Return box_2d ``[y0, x0, y1, x1]``, integers in 0..1000, the smallest that holds the mask after truncation."""
    height_px, width_px = mask_hw.shape
    x0, y0, x1, y1 = box_of(mask_hw) or (0, 0, width_px, height_px)
    return [
        math.floor(y0 * 1000 / height_px),
        math.floor(x0 * 1000 / width_px),
        math.ceil(y1 * 1000 / height_px),
        math.ceil(x1 * 1000 / width_px),
    ]


def _truncated(box: Sequence[int], height_px: int, width_px: int) -> BoxPx:
    y0, x0, y1, x1 = box
    return (
        x0 * width_px // 1000,
        y0 * height_px // 1000,
        x1 * width_px // 1000,
        y1 * height_px // 1000,
    )


def encode_png(mask_hw: BoolMask) -> list[dict[str, Any]]:
    """Return Google's documented item: a PNG of 256 x 256, values {0, 255}, inside an integer box."""
    from PIL import Image

    box = norm_box(mask_hw)
    x0, y0, x1, y1 = _truncated(box, *mask_hw.shape)
    inside = Image.fromarray(mask_hw[y0:y1, x0:x1].astype(np.uint8) * 255)
    small = inside.resize((PNG_SIDE_PX, PNG_SIDE_PX), Image.Resampling.BILINEAR)
    stream = io.BytesIO()
    small.point([255 * (value > 127) for value in range(256)]).save(stream, "PNG")
    text = base64.b64encode(stream.getvalue()).decode("ascii")
    return [{"box_2d": box, "mask": f"data:image/png;base64,{text}"}]


def encode_contours(mask_hw: BoolMask, points: int) -> list[dict[str, Any]]:
    """Return one item per connected part: its outline in at most ``points`` integer points, no holes."""
    from scipy import ndimage

    labels, parts = ndimage.label(mask_hw, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=parts + 1)
    return [
        {"box_2d": norm_box(labels == part), "mask": _outline(labels == part, points)}
        for part in range(1, parts + 1)
        if sizes[part] >= LEAST_PART_PX or parts == 1
    ]


def _outline(part_hw: BoolMask, points: int) -> list[list[int]]:
    """Return the outer outline of one connected part as ``[x, y]`` in 0..1000 of the image."""
    from scipy import ndimage
    from skimage.measure import find_contours

    height_px, width_px = part_hw.shape
    solid = np.pad(ndimage.binary_fill_holes(part_hw), 1).astype(np.float32)
    trace: Callable[..., list[NDArray[np.float64]]] = find_contours
    traced = max(trace(solid, 0.5), key=len)[:-1]
    # find_contours counts from pixel centres, of an image that was padded by one.
    centred = traced - 0.5
    kept = simplify(centred[:, ::-1], points)
    scaled = np.rint(kept * 1000 / np.array([width_px, height_px])).clip(0, 1000)
    return [[int(x), int(y)] for x, y in scaled]


def simplify(ring: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    """Return ``points`` vertices of a closed ring (N x 2), dropping those whose triangle is smallest.

    Visvalingam and Whyatt 1993, "Line generalisation by repeated elimination of points".
    """
    count = len(ring)
    before, after = list(range(-1, count - 1)), [*range(1, count), 0]
    before[0] = count - 1
    coordinates = ring.tolist()
    alive = [True] * count
    stamp = [0] * count

    def entry(index: int) -> tuple[float, int, int]:
        (xa, ya), (xb, yb), (xc, yc) = (coordinates[i] for i in (before[index], index, after[index]))
        return abs((xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)), index, stamp[index]

    heap = [entry(index) for index in range(count)]
    heapq.heapify(heap)
    left = count
    while left > points:
        _, index, when = heapq.heappop(heap)
        if not alive[index] or when != stamp[index]:
            continue
        alive[index], left = False, left - 1
        previous, following = before[index], after[index]
        after[previous], before[following] = following, previous
        for neighbour in (previous, following):
            stamp[neighbour] += 1
            heapq.heappush(heap, entry(neighbour))
    kept: NDArray[np.float64] = ring[np.array(alive)]
    return kept


def encode_box(mask_hw: BoolMask) -> list[dict[str, Any]]:
    """Return the object's box filled: what a box-only answer is worth as a mask."""
    box = norm_box(mask_hw)
    return [{"box_2d": box, "mask": [box]}]


def encode_tokens(mask_hw: BoolMask) -> list[dict[str, Any]]:
    """Return sixteen mask tokens, which carry nothing as long as no codebook is proven."""
    return [{"box_2d": norm_box(mask_hw), "mask": TOKENS}]


def encode_rle(mask_hw: BoolMask) -> list[dict[str, Any]]:
    """Return run lengths of the full image: lossless, the check on this very measurement."""
    return [{"mask": rle_encode(mask_hw).to_json()}]


def _contours_of(points: int) -> Encoder:
    return lambda mask_hw: encode_contours(mask_hw, points)


ENCODERS: Final[dict[str, Encoder]] = {
    "rle": encode_rle,
    "png_256": encode_png,
    **{f"polygon_{points}": _contours_of(points) for points in reversed(POINTS)},
    "box_filled": encode_box,
    "seg_tokens": encode_tokens,
}
"""The formats measured, by the name in the table."""


def ceiling_row(sample: Sample, encoder: Encoder) -> dict[str, int | float | None]:
    """Return the counts of a sample's own ground truth after a trip through a format."""
    truth = Truth(sample.truth)
    items = [item for mask_hw in _objects(truth) for item in encoder(mask_hw)]
    decoded = decode_answer(
        json.dumps(items),
        height_px=truth.height_px,
        width_px=truth.width_px,
        asked=AskedFormat(wire_format=None),
    )
    return dict(count_row(decoded, truth, boundary=False))


def _objects(truth: Truth) -> list[BoolMask]:
    """Return the target's objects one by one as full-image masks, without the empty ones."""
    masks = []
    for crop in truth.instances:
        mask_hw = np.zeros((truth.height_px, truth.width_px), dtype=bool)
        height, width = crop.crop_hw.shape
        mask_hw[crop.y0_px : crop.y0_px + height, crop.x0_px : crop.x0_px + width] = crop.crop_hw
        if crop.crop_hw.any():
            masks.append(mask_hw)
    return masks


def ceilings(
    samples: Iterable[Sample], *, seed: int = 0, progress: Callable[[int], None] | None = None
) -> list[dict[str, Any]]:
    """Return one row per format: gIoU and cIoU with 95 % intervals over images, and the worst IoU.

    Samples without a target carry nothing and are left out.
    """
    counts: dict[str, list[Mapping[str, int | float | None]]] = {name: [] for name in ENCODERS}
    images: list[str] = []
    for number, sample in enumerate(sample for sample in samples if not sample.truth.no_target):
        for name, encoder in ENCODERS.items():
            counts[name].append(ceiling_row(sample, encoder))
        images.append(sample.image_id)
        if progress is not None:
            progress(number + 1)
    return [_summary(name, rows, images, seed) for name, rows in counts.items()] if images else []


def _summary(
    name: str, rows: Sequence[Mapping[str, int | float | None]], images: Sequence[str], seed: int
) -> dict[str, Any]:
    ious = [float(row["iou"] or 0.0) for row in rows]
    giou = ratio_interval(ious, np.ones(len(rows)), images, seed=seed)
    ciou = ratio_interval(
        [row["intersection"] or 0 for row in rows], [row["union"] or 0 for row in rows], images, seed=seed
    )
    return {
        "format": name,
        "n": len(rows),
        "n_images": len(set(images)),
        "giou": giou.to_json() if giou else None,
        "ciou": ciou.to_json() if ciou else None,
        "lowest_iou": min(ious),
    }


def dataset_ceilings(
    name: str, *, split: str | None, limit: int | None, progress: Callable[[int], None] | None = None
) -> list[dict[str, Any]]:
    """Return the ceilings of a dataset named by its card. Raises ``ConfigError`` where it has no target."""
    from itertools import islice

    from evalkit.config.schema import DatasetConfig
    from evalkit.datasets import load_samples
    from evalkit.datasets.mask_files import with_masks_read

    samples = map(with_masks_read, load_samples(DatasetConfig(name=name, split=split), Path.cwd()))
    targeted = (sample for sample in samples if not sample.truth.no_target and sample.truth.fault is None)
    rows = ceilings(islice(targeted, limit), progress=progress)
    if not rows:
        raise ConfigError(f"dataset '{name}' has no sample with a target: there is nothing to encode")
    return rows


def ceiling_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the ceilings as an aligned text table."""
    cells = [
        (row["format"], str(row["n"]), _cell(row["giou"]), _cell(row["ciou"]), f"{row['lowest_iou']:.3f}")
        for row in rows
    ]
    lines = text_table(("format", "n", "gIoU", "cIoU", "lowest IoU"), cells, "<><<<")
    lines.append(
        "\nThe best each wire format can carry: ground truth encoded and decoded back, no model involved."
    )
    return "\n".join(lines)


def _cell(number: Mapping[str, float] | None) -> str:
    return "-" if number is None else f"{number['value']:.4f} [{number['low']:.3f}, {number['high']:.3f}]"
