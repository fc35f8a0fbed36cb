"""A deterministic part of a dataset: whole images, in an order drawn from the run's seed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from evalkit.types import Sample


def select_whole_images(
    samples: Iterable[Sample],
    size: int | None,
    seed: int,
    unit: Literal["expressions", "images"] = "expressions",
) -> list[Sample]:
    """Return whole images until at least ``size`` of ``unit`` are reached, in the dataset's order.

    Images are ordered by SHA-256 of (seed, image id): the choice does not depend on the order of the file
    nor on which other images it has, and a larger ``size`` contains every smaller one.
    """
    everything = list(samples)
    per_image = Counter(sample.image_id for sample in everything)
    if size is None or size >= (len(per_image) if unit == "images" else len(everything)):
        return everything
    chosen: set[str] = set()
    reached = 0
    for image_id in sorted(per_image, key=lambda image_id: _rank(seed, image_id)):
        if reached >= size:
            break
        chosen.add(image_id)
        reached += 1 if unit == "images" else per_image[image_id]
    return [sample for sample in everything if sample.image_id in chosen]


def _rank(seed: int, image_id: str) -> bytes:
    return hashlib.sha256(f"{seed}:{image_id}".encode()).digest()
