"""Seeded answers with known masks, and evalkit's numbers on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalkit.masks import crop_of, rle_encode
from evalkit.metrics.counts import count_row
from evalkit.metrics.protocols import PROTOCOLS
from evalkit.metrics.protocols.base import number_of
from evalkit.metrics.truth import Truth, box_of_crop
from evalkit.types import Decoded, GroundTruth, ImageRef, Item, Sample

HEIGHT_PX, WIDTH_PX = 48, 64
"""Size of every image; short of square, so that exchanged axes show."""

SCORES = (0.4, 0.5, 0.7, 0.9)
"""Few, so that most rows have ties; the limits of SA-Co (0.5) and GREC (0.7) are among them."""

BoolMask = NDArray[np.bool_]
Line = tuple[str, float, float]
"""(number, what the evaluator gives, what evalkit gives)."""


@dataclass(frozen=True)
class Case:
    """One answer: full-image masks of the targets and of what was found, with a score each.

    ``ignored``: pixels that count neither for nor against (a crowd in COCO). ``category``: what was asked for
    where it is a category. ``image``: several cases may share one.
    """

    wanted: list[BoolMask]
    found: list[BoolMask]
    scores: list[float]
    ignored: BoolMask | None = None
    category: str = ""
    image: str = ""


@dataclass(frozen=True)
class Mixture:
    """What a list of cases is made of: up to ``most`` targets, at least ``least``, and how often something happens.

    ``apart``: objects are discs of one size and no two share a pixel, so that no mask is nearer to another's target.
    """

    least: int = 0
    most: int = 1
    hit: float = 0.85
    exact: float = 0.15
    alarms: int = 1
    empty_masks: float = 0.0
    crowds: float = 0.0
    categories: tuple[str, ...] = field(default=("",))
    per_image: int = 1
    apart: bool = False
    move_px: int = 2


def ellipse(random: np.random.Generator) -> BoolMask:
    """Return a random ellipse, bool (H, W)."""
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    cy, cx = random.uniform(8, HEIGHT_PX - 8), random.uniform(8, WIDTH_PX - 8)
    ry, rx = random.uniform(3, 8, 2)
    inside: BoolMask = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1
    return inside


def _scene(random: np.random.Generator, n: int, *, apart: bool) -> list[BoolMask]:
    """Return n ellipses, or discs of 9 pixels that are apart: each in a cell of 16 x 16 pixels."""
    if not apart:
        return [ellipse(random) for _ in range(n)]
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    cells = random.permutation(HEIGHT_PX // 16 * (WIDTH_PX // 16))[:n]
    found = []
    for row, column in (divmod(int(cell), WIDTH_PX // 16) for cell in cells):
        found.append((y - 16 * row - 7.5) ** 2 + (x - 16 * column - 7.5) ** 2 <= 4.5**2)
    return found


def nothing() -> BoolMask:
    """Return a mask without a pixel."""
    return np.zeros((HEIGHT_PX, WIDTH_PX), dtype=bool)


def union(masks: Sequence[BoolMask]) -> BoolMask:
    """Return the union of masks, which may be none."""
    return np.any(masks, axis=0) if len(masks) else nothing()


def make_cases(n: int, seed: int, mixture: Mixture) -> list[Case]:
    """Return n cases: exact and moved targets, misses, false alarms, masks without a pixel, ties of scores."""
    random = np.random.default_rng(seed)
    cases = []
    for number in range(n):
        n_wanted, n_alarms = (
            random.integers(mixture.least, mixture.most + 1),
            random.integers(0, mixture.alarms + 1),
        )
        scene = _scene(random, n_wanted + n_alarms, apart=mixture.apart)
        wanted = scene[:n_wanted]
        found = [_seen(mask, random, mixture) for mask in wanted if random.random() < mixture.hit]
        found += scene[n_wanted:]
        found = [nothing() if random.random() < mixture.empty_masks else mask for mask in found]
        order = random.permutation(len(found))
        crowd = random.random() < mixture.crowds
        place = number // len(mixture.categories) // mixture.per_image
        cases.append(
            Case(
                wanted,
                [found[index] for index in order],
                [float(random.choice(SCORES)) for _ in found],
                ellipse(random) if crowd else None,
                mixture.categories[number % len(mixture.categories)],
                str(place),
            )
        )
    return cases


def _seen(mask: BoolMask, random: np.random.Generator, mixture: Mixture) -> BoolMask:
    """Return a target as it was seen: exactly, or moved by up to ``move_px`` pixels along each axis."""
    if random.random() < mixture.exact:
        return mask
    return np.roll(mask, tuple(random.integers(-mixture.move_px, mixture.move_px + 1, 2)), axis=(0, 1))


def decoded_of(case: Case, *, scored: bool = True) -> Decoded:
    """Return the verdict on the answer that marked the masks of a case.

    One that marked none is a refusal, and so is one whose masks all lack pixels, which shows in its items.
    """
    items = [
        Item(None, box_of_crop(crop_of(mask)), "rle", mask=crop_of(mask), score=score if scored else None)
        if mask.any()
        else Item(None, None, "rle", failure="mask_empty")
        for mask, score in zip(case.found, case.scores, strict=True)
    ]
    if not any(mask.any() for mask in case.found):
        return Decoded("no_target", None, strict=True, items=tuple(items))
    return Decoded("decoded", None, strict=True, items=tuple(items), mask=crop_of(union(case.found)))


def truth_of(case: Case) -> GroundTruth:
    """Return the ground truth of a case."""
    ignored = None if case.ignored is None else rle_encode(case.ignored)
    height_px, width_px = union([*case.wanted, *case.found]).shape
    return GroundTruth(height_px, width_px, tuple(map(rle_encode, case.wanted)), ignored)


def ours(name: str, cases: Sequence[Case], *, scored: bool = True) -> dict[str, Any]:
    """Return the numbers of evalkit's protocol on cases, None where undefined."""
    protocol, rows = PROTOCOLS[name], []
    for number, case in enumerate(cases):
        ground_truth = truth_of(case)
        tags = {"category": case.category} if case.category else {}
        expression = case.category or "it"
        image = case.image or str(number)
        sample = Sample("d", "v", str(number), image, ImageRef("x"), expression, ground_truth, tags)
        decoded, truth = decoded_of(case, scored=scored), Truth(ground_truth)
        counts = protocol.count(decoded, sample, truth)
        rows.append(
            count_row(decoded, truth, boundary=False)
            | {"outcome": decoded.outcome, "no_target": ground_truth.no_target, "image_id": image}
            | {"protocol_counts": None if counts is None else json.dumps(counts)}
        )
    return {key: number_of(one) for key, one in protocol.numbers(pd.DataFrame(rows)).items()}


def beside(name: str, official: dict[str, float], own: dict[str, Any]) -> list[Line]:
    """Return the lines of the numbers that the evaluator gives; a missing one of evalkit's is nan."""
    return [
        (f"{name} {key}", float(value), float("nan") if own.get(key) is None else float(own[key]))
        for key, value in official.items()
    ]


def xywh(mask: BoolMask) -> list[float]:
    """Return the tight box of a mask, xywh in pixels."""
    x0, y0, x1, y1 = box_of_crop(crop_of(mask)) or (0, 0, 0, 0)
    return [float(x0), float(y0), float(x1 - x0), float(y1 - y0)]


def xyxy(mask: BoolMask) -> list[float]:
    """Return the tight box of a mask, two corners in pixels."""
    x, y, width, height = xywh(mask)
    return [x, y, x + width, y + height]
