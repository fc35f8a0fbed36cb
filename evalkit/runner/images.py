"""Photographs as they are sent: read once while their expressions are asked, reduced where the config says so."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from evalkit.images import ImageBytes, read_image, reduce_image
from evalkit.types import Sample

IMAGES_KEPT = 64
"""Photographs kept in memory: the expressions of one image follow each other, so each is read once."""


class ImageCache:
    """Reads each photograph once while its expressions are asked, off the event loop."""

    def __init__(self, max_side_px: int | None) -> None:
        self.max_side_px = max_side_px
        self.reading: OrderedDict[str, asyncio.Task[ImageBytes]] = OrderedDict()

    async def read(self, sample: Sample) -> ImageBytes:
        """Return the photograph as it is sent. Raises ``DataError`` where it is missing or damaged."""
        path = f"{sample.dataset}\0{sample.image.path}\0{sample.image_id}"
        task = self.reading.get(path)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._read, sample))
            self.reading[path] = task
            if len(self.reading) > IMAGES_KEPT:
                self.reading.popitem(last=False)
        return await asyncio.shield(task)

    def _read(self, sample: Sample) -> ImageBytes:
        image = read_image(sample.image, (sample.truth.width_px, sample.truth.height_px))
        return as_sent(image, self.max_side_px)


def as_sent(image: ImageBytes, max_side_px: int | None) -> ImageBytes:
    """Return a photograph with its longest side reduced to ``max_side_px``; None sends the file's own bytes."""
    return image if max_side_px is None else reduce_image(image, max_side_px)
