"""Which sample does a request ask about? By the bytes of its image and the expression in its text."""

from __future__ import annotations

import hashlib
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import DataError
from evalkit.images import read_bytes
from evalkit.types import Sample

START_LENGTH = 8
"""Expressions are found by their first characters: one look-up for each position of the prompt."""


THUMBNAIL_PX = 16


@dataclass(frozen=True, slots=True)
class IndexedSample:
    """A sample and its position among all samples."""

    place: int
    sample: Sample


class SampleIndex:
    """All samples by their expression; images are hashed only to tell equal expressions apart."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.entries = [IndexedSample(place, sample) for place, sample in enumerate(samples)]
        self._by_expression: dict[str, list[IndexedSample]] = defaultdict(list)
        self._by_start: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self._sha256: dict[str, str | None] = {}
        self._thumbnails: dict[str, NDArray[np.int16] | None] = {}
        for entry in self.entries:
            expression = entry.sample.expression.strip()
            if expression and expression not in self._by_expression:
                start = expression[:START_LENGTH]
                self._by_start[len(start)][start].append(expression)
            self._by_expression[expression].append(entry)

    def find(self, texts: Sequence[str], image: bytes | None) -> IndexedSample | None:
        """Return the sample that is asked about, None where no expression is known.

        ``texts``: the request's text parts; the last that holds a known expression counts. The longest
        expression whose sample has the bytes of ``image`` wins; where no sample has them (the image was
        reduced or encoded anew), the longest of all, on the image that looks most like it.
        """
        for text in reversed(texts):
            known = sorted(self._contained(text), key=lambda expression: (-len(expression), expression))
            candidates = [entry for expression in known for entry in self._by_expression[expression]]
            if len(candidates) > 1 and image is not None:
                return self._with_image(candidates, self._by_expression[known[0]], image)
            if candidates:
                return candidates[0]
        return None

    def of_image(self, image: bytes) -> list[IndexedSample]:
        """Return every sample of one image file; reads and hashes all images the first time."""
        sha256 = hashlib.sha256(image).hexdigest()
        return [entry for entry in self.entries if self._image_sha256(entry.sample) == sha256]

    def _with_image(
        self, candidates: list[IndexedSample], longest: list[IndexedSample], image: bytes
    ) -> IndexedSample:
        sha256 = hashlib.sha256(image).hexdigest()
        for entry in candidates:
            if self._image_sha256(entry.sample) == sha256:
                return entry
        if len(longest) == 1:
            return longest[0]
        seen = thumbnail(image)
        return min(longest, key=lambda entry: self._difference(entry.sample, seen))

    def _difference(self, sample: Sample, seen: NDArray[np.int16] | None) -> float:
        """Return how unlike two images are: mean grey difference of thumbnails, infinite where unreadable."""
        key = _image_key(sample)
        if key not in self._thumbnails:
            try:
                self._thumbnails[key] = thumbnail(read_bytes(sample.image))
            except DataError:
                self._thumbnails[key] = None
        own = self._thumbnails[key]
        return math.inf if own is None or seen is None else float(np.abs(own - seen).mean())

    def _contained(self, text: str) -> set[str]:
        found = set()
        for length, by_start in self._by_start.items():
            for position in range(len(text) - length + 1):
                for expression in by_start.get(text[position : position + length], ()):
                    if text.startswith(expression, position):
                        found.add(expression)
        return found

    def _image_sha256(self, sample: Sample) -> str | None:
        """Return the digest of a sample's image file, None where it cannot be read."""
        if sample.image.sha256 is not None:
            return sample.image.sha256
        key = _image_key(sample)
        if key not in self._sha256:
            try:
                self._sha256[key] = hashlib.sha256(read_bytes(sample.image)).hexdigest()
            except DataError:
                self._sha256[key] = None
        return self._sha256[key]


def thumbnail(image: bytes) -> NDArray[np.int16] | None:
    """Return an image as 16 x 16 grey values, 0..255; None where it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(image)) as opened:
            opened.draft("L", (THUMBNAIL_PX, THUMBNAIL_PX))
            small = opened.convert("L").resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
    except (UnidentifiedImageError, OSError):
        return None
    return np.asarray(small).astype(np.int16)


def _image_key(sample: Sample) -> str:
    inline = sample.image.inline
    return sample.image.path if inline is None else f"inline:{id(inline)}"
