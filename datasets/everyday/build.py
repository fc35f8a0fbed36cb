"""Compute the masks of the `everyday` dataset and write `everyday.jsonl`. Deterministic.

Run ``python datasets/everyday/build.py`` from the environment that holds scikit-image. Reads
``objects.yaml`` (outlines of named objects per photograph) and ``expressions.yaml`` (what is
asked, and which objects answer it); the photographs come from the installed scikit-image.

Coordinates are continuous pixels, ``[x, y]`` from the top left corner of the image: pixel ``i``
covers ``i .. i + 1``, and belongs to a shape where its centre ``i + 0.5`` lies inside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image
from ruamel.yaml import YAML
from scipy import ndimage
from skimage.draw import polygon2mask
from skimage.filters import sobel
from skimage.segmentation import watershed

from evalkit.masks import rle_encode

BoolMask = NDArray[np.bool_]
FloatImage = NDArray[np.float64]

HERE = Path(__file__).parent
PHOTOGRAPHS = Path(skimage.__file__).parent / "data"
POINTS_PER_SPAN = 8
"""Points drawn between two control points of a curve: under 3 px apart on the largest object."""
SPECK_PX = 20
"""Pieces and pinholes smaller than this (px) are no part of any object here; the smallest target has 174."""

GROUP_OF_CATEGORY = {
    "relational": "relationships",
    "ordering": "relationships",
    "comparative": "relationships",
    "conditional": "conditions",
    "negation": "conditions",
    "abstract": "abstract",
    "text": "text",
    "language": "language",
}
"""The five groups of conversational segmentation, by the finer category of an expression."""


def read_photograph(file_name: str) -> FloatImage:
    """Return a photograph of scikit-image as H x W x 3, 0..255."""
    with Image.open(PHOTOGRAPHS / file_name) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float64)


def image_size_px(file_name: str) -> tuple[int, int]:
    """Return (width, height) of a photograph of scikit-image, in pixels."""
    with Image.open(PHOTOGRAPHS / file_name) as image:
        return image.size


def curve_points(control_px: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return a closed uniform Catmull-Rom curve (N x 2, px) through the control points.

    The cubic of Catmull and Rom, "A class of local interpolating splines" (1974), tension 1/2.
    """
    points = np.asarray(control_px, dtype=np.float64)
    before, after, next_but_one = (np.roll(points, shift, axis=0) for shift in (1, -1, -2))
    spans = [
        0.5
        * (
            2 * points
            + (after - before) * t
            + (2 * before - 5 * points + 4 * after - next_but_one) * t**2
            + (3 * points - before - 3 * after + next_but_one) * t**3
        )
        for t in np.arange(POINTS_PER_SPAN) / POINTS_PER_SPAN
    ]
    return np.stack(spans, axis=1).reshape(-1, 2)


def ellipse_points(
    centre_x: float, centre_y: float, radius_x: float, radius_y: float, turn_deg: float = 0.0
) -> FloatImage:
    """Return an ellipse as 180 points (px); positive ``turn_deg`` turns it clockwise on the screen."""
    angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    turn = np.deg2rad(turn_deg)
    x, y = radius_x * np.cos(angle), radius_y * np.sin(angle)
    return np.stack(
        [centre_x + x * np.cos(turn) - y * np.sin(turn), centre_y + x * np.sin(turn) + y * np.cos(turn)],
        axis=1,
    )


def fill(points_px: Any, shape_hw: tuple[int, int]) -> BoolMask:
    """Return the inside of a closed outline (N x 2, px) as bool, H x W."""
    # polygon2mask puts pixel centres at whole numbers, row before column; the outline puts them at i + 0.5.
    rows_columns = np.asarray(points_px, dtype=np.float64)[:, ::-1] - 0.5
    return np.asarray(polygon2mask(shape_hw, rows_columns), dtype=np.bool_)


def draw_shape(shape: Mapping[str, Any], shape_hw: tuple[int, int]) -> BoolMask:
    """Return one drawn shape: its ``polygon``, ``curve`` or ``ellipse``."""
    if "polygon" in shape:
        return fill(shape["polygon"], shape_hw)
    if "curve" in shape:
        return fill(curve_points(shape["curve"]), shape_hw)
    return fill(ellipse_points(*shape["ellipse"]), shape_hw)


def grey_of(image_hw3: FloatImage) -> FloatImage:
    """Return the mean of the three colours (H x W, 0..255)."""
    return np.asarray(image_hw3.mean(axis=2))


def threshold_inside(mask_hw: BoolMask, image_hw3: FloatImage, rule: Mapping[str, float]) -> BoolMask:
    """Return the largest bright piece inside the drawn shape, holes filled.

    ``rule``: ``above`` (grey, 0..255) and ``blur_px`` (sigma of the Gaussian before the threshold).
    """
    grey = ndimage.gaussian_filter(grey_of(image_hw3), rule["blur_px"])
    labels_hw, _ = ndimage.label(ndimage.binary_fill_holes((grey > rule["above"]) & mask_hw))
    return np.asarray(labels_hw == 1 + np.argmax(np.bincount(labels_hw.ravel())[1:]))


def disk(radius_px: int) -> BoolMask:
    """Return a filled disk of the given radius as a structuring element."""
    y, x = np.ogrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1]
    return np.asarray(x * x + y * y <= radius_px * radius_px)


def snap_to_edge(mask_hw: BoolMask, image_hw3: FloatImage, reach_px: int) -> BoolMask:
    """Return the drawn shape with its outline moved to the strongest edge within ``reach_px``.

    Watershed of the gradient magnitude (Gaussian derivative, sigma 1 px, largest of the three
    colours) from two markers: the shape shrunk by ``reach_px`` and the outside of the shape grown
    by as much. The result is smoothed by an opening and a closing of radius 2 px.
    """
    gradient = np.max(
        [ndimage.gaussian_gradient_magnitude(image_hw3[..., index], 1.0) for index in range(3)], axis=0
    )
    inside = ndimage.distance_transform_edt(np.pad(mask_hw, 1, mode="edge"))[1:-1, 1:-1] > reach_px
    outside = ndimage.distance_transform_edt(~mask_hw) > reach_px
    snapped = watershed(gradient, inside + 2 * outside.astype(np.int32)) == 1
    padded = np.pad(snapped, 4, mode="edge")
    return ndimage.binary_closing(ndimage.binary_opening(padded, disk(2)), disk(2))[4:-4, 4:-4]


def piece_at(point_px: Sequence[float], image_hw3: FloatImage) -> BoolMask:
    """Return the bright thing on a dark ground (a coin) that holds the point ``[x, y]``, bool, H x W.

    Watershed of the Sobel gradient from what is surely dark (grey < 30) and surely bright
    (grey > 150), holes filled, specks and bridges up to 6 px opened away: the method of
    scikit-image's own example "Comparing edge-based and region-based segmentation".
    """
    grey = grey_of(image_hw3)
    bright = watershed(sobel(grey), (grey < 30) + 2 * (grey > 150).astype(np.int32)) == 2
    cleaned = ndimage.binary_opening(ndimage.binary_fill_holes(bright), disk(3))
    labels_hw, _ = ndimage.label(cleaned)
    label = labels_hw[int(point_px[1]), int(point_px[0])]
    if label == 0:
        raise ValueError(f"no bright piece at {list(point_px)}: choose a point inside the object")
    return np.asarray(labels_hw == label)


def object_mask(name: str, objects: Mapping[str, Any], image_hw3: FloatImage) -> BoolMask:
    """Return the mask of one named object (bool, H x W).

    Steps, in this order: draw the shape, or take the ``piece_at`` a point; ``threshold`` or ``snap`` it; ``add`` shapes or objects;
    take ``minus`` shapes or objects away (holes, and what stands in front).
    """
    entry = objects[name]
    shape_hw = (image_hw3.shape[0], image_hw3.shape[1])
    mask_hw = np.zeros(shape_hw, dtype=bool)
    if {"polygon", "curve", "ellipse"} & set(entry):
        mask_hw = draw_shape(entry, shape_hw)
    if "piece_at" in entry:
        mask_hw = piece_at(entry["piece_at"], image_hw3)
    if "threshold" in entry:
        mask_hw = threshold_inside(mask_hw, image_hw3, entry["threshold"])
    if "snap" in entry:
        mask_hw = snap_to_edge(mask_hw, image_hw3, entry["snap"])
    for step, sign in (("add", True), ("minus", False)):
        for part in entry.get(step, ()):
            part_hw = (
                object_mask(part, objects, image_hw3) if isinstance(part, str) else draw_shape(part, shape_hw)
            )
            mask_hw = mask_hw | part_hw if sign else mask_hw & ~part_hw
    return without_specks(mask_hw)


def without_specks(mask_hw: BoolMask) -> BoolMask:
    """Return the mask without stray pieces and pinholes under ``SPECK_PX``: slivers between outlines."""
    for value in (True, False):
        labels_hw, _ = ndimage.label(mask_hw == value, np.ones((3, 3)))
        small = np.bincount(labels_hw.ravel()) < SPECK_PX
        small[0] = False
        mask_hw = np.where(small[labels_hw], not value, mask_hw)
    return mask_hw


def sample_line(file_name: str, entry: Mapping[str, Any], masks: Mapping[str, BoolMask]) -> dict[str, Any]:
    """Return one line of ``everyday.jsonl`` for one expression over a photograph."""
    targets = list(entry["targets"])
    width_px, height_px = image_size_px(file_name)
    instances = [rle_encode(masks[name]).to_json() for name in targets]
    category = entry["category"]
    return {
        "id": f"{Path(file_name).stem}-{entry['id']}",
        "image": file_name,
        "image_sha256": hashlib.sha256((PHOTOGRAPHS / file_name).read_bytes()).hexdigest(),
        "width": width_px,
        "height": height_px,
        "expression": entry["text"],
        "mask": None if not instances else instances[0] if len(instances) == 1 else {"instances": instances},
        "no_target": not instances,
        "tags": {
            "category": category,
            "group": GROUP_OF_CATEGORY[category],
            "language": entry.get("language", "en"),
            "targets": ("none", "one")[len(instances)] if len(instances) < 2 else "many",
        },
    }


def build_lines() -> list[dict[str, Any]]:
    """Return every sample of the dataset, photograph by photograph, in the order of the sources."""
    yaml = YAML(typ="safe")
    outlines = yaml.load(HERE / "objects.yaml")
    asked = yaml.load(HERE / "expressions.yaml")
    lines = []
    for file_name, entries in asked.items():
        image_hw3 = read_photograph(file_name)
        objects = outlines.get(file_name, {})
        needed = {name for entry in entries for name in entry["targets"]}
        masks = {name: object_mask(name, objects, image_hw3) for name in sorted(needed)}
        lines += [sample_line(file_name, entry, masks) for entry in entries]
    return lines


def to_text(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return the samples as JSON lines, UTF-8 text kept readable."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


if __name__ == "__main__":
    target = HERE / "everyday.jsonl"
    samples = build_lines()
    target.write_text(to_text(samples), encoding="utf-8")
    print(f"{target.name}: {len(samples)} expressions")
