"""The size of a photograph or a mask, from its file's header alone."""

from __future__ import annotations

import io
from functools import lru_cache

from evalkit.datasets.files import is_file, read_bytes
from evalkit.errors import DataError
from evalkit.images import EXIF_ORIENTATION, SizePx, open_image


@lru_cache(maxsize=4096)
def image_sizes(location: str) -> tuple[SizePx, SizePx]:
    """Return ``(shown, stored)`` (width, height) of an image file: with and without EXIF orientation.

    Raises ``DataError`` where the file is missing or is no image.
    """
    from PIL import Image, UnidentifiedImageError

    if not is_file(location):
        raise DataError(f"{location} does not exist")
    try:
        with Image.open(io.BytesIO(read_bytes(location)) if "://" in location else location) as image:
            stored = image.size
            turned = int(image.getexif().get(EXIF_ORIENTATION, 1)) >= 5
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{location} cannot be read as an image: {error}") from error
    return ((stored[1], stored[0]) if turned else stored), stored


def sizes_of_bytes(data: bytes, name: str) -> tuple[SizePx, SizePx]:
    """Return ``(shown, stored)`` (width, height) of an image that a dataset carries in its own file."""
    image = open_image(data, name)
    stored = image.size
    turned = int(image.getexif().get(EXIF_ORIENTATION, 1)) >= 5
    return ((stored[1], stored[0]) if turned else stored), stored
