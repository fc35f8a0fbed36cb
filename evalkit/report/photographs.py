"""Photographs of a page: each once, reduced so that the page of a large run stays small."""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING

from evalkit.drawing.layers import shown_size
from evalkit.errors import DataError
from evalkit.images import eight_bits, open_image, read_image

if TYPE_CHECKING:
    from PIL.Image import Image

    from evalkit.types import Sample

LARGEST_SIDE_PX = 720
SMALLEST_SIDE_PX = 256
ALL_BYTES = 11_000_000
"""What the photographs of one page take at most while their sides are longer than ``SMALLEST_SIDE_PX``."""

BYTES_PER_PX = 0.11
"""WebP of quality 55: mean over 12 photographs of RefCOCOs at 320 to 720 pixels, 2026-11-25."""

QUALITY, METHOD = 55, 2


def photograph_side_px(n_photographs: int) -> int:
    """Return the longest side that this many photographs of 4 : 3 are reduced to."""
    side_px = math.sqrt(ALL_BYTES / (max(1, n_photographs) * BYTES_PER_PX * 3 / 4))
    return int(min(LARGEST_SIDE_PX, max(SMALLEST_SIDE_PX, side_px)))


def photograph(sample: Sample, side_px: int) -> tuple[str | None, str | None]:
    """Return a sample's photograph as a data address, or None and why it cannot be read."""
    truth = sample.truth
    size_px = (truth.width_px, truth.height_px) if truth.size_known else None
    try:
        image = open_image(read_image(sample.image, size_px).data, sample.image.path)
        size = shown_size(image.width, image.height, side_px)
        image.draft("RGB", size)
        return _address(eight_bits(image).convert("RGB").resize(size, reducing_gap=3.0)), None
    except (DataError, OSError) as error:
        return None, str(error)


def _address(image: Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=QUALITY, method=METHOD)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
