"""The size of a photograph or a mask, from its file's header alone."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from evalkit.datasets.files import is_file, read_bytes
from evalkit.errors import DataError
from evalkit.images import SizePx, image_file_opened, open_image, orientation_of

if TYPE_CHECKING:
    from PIL.Image import Image


@lru_cache(maxsize=4096)
def image_sizes(location: str) -> tuple[SizePx, SizePx]:
    """Return ``(shown, stored)`` (width, height) of an image file: with and without EXIF orientation.

    Raises ``DataError`` where the file is missing or is no image.
    """
    if not is_file(location):
        raise DataError(f"{location} does not exist")
    if "://" in location:
        return sizes_of_bytes(read_bytes(location), location)
    with image_file_opened(location) as image:
        return _sizes(image, location)


def sizes_of_bytes(data: bytes, name: str) -> tuple[SizePx, SizePx]:
    """Return ``(shown, stored)`` (width, height) of an image that a dataset carries in its own file."""
    return _sizes(open_image(data, name), name)


def _sizes(image: Image, name: str) -> tuple[SizePx, SizePx]:
    stored = image.size
    turned = orientation_of(image, name) >= 5
    return ((stored[1], stored[0]) if turned else stored), stored
