"""Which sample does a request ask about? By the bytes of its image and the expression in its text."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalkit.errors import DataError
from evalkit.images import read_bytes
from evalkit.types import Sample

START_LENGTH = 8
"""Expressions are found by their first characters: one look-up for each position of the prompt."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A sample and its position among all samples."""

    place: int
    sample: Sample


class SampleIndex:
    """All samples by their expression; images are hashed only to tell equal expressions apart."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.entries = [Entry(place, sample) for place, sample in enumerate(samples)]
        self._by_expression: dict[str, list[Entry]] = defaultdict(list)
        self._by_start: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self._sha256: dict[str, str | None] = {}
        for entry in self.entries:
            expression = entry.sample.expression
            if expression and expression not in self._by_expression:
                start = expression[:START_LENGTH]
                self._by_start[len(start)][start].append(expression)
            self._by_expression[expression].append(entry)

    def find(self, texts: Sequence[str], image_sha256: str | None) -> Entry | None:
        """Return the sample that is asked about, None where no expression is known.

        ``texts``: the request's text parts; the last that holds a known expression counts.
        ``image_sha256``: hex digest of the last image's bytes. The longest expression whose sample
        has this very image wins; where no sample has it (it was encoded anew), the longest of all.
        """
        for text in reversed(texts):
            known = sorted(self._contained(text), key=lambda expression: (-len(expression), expression))
            candidates = [entry for expression in known for entry in self._by_expression[expression]]
            if len(candidates) > 1 and image_sha256 is not None:
                for entry in candidates:
                    if self._image_sha256(entry.sample) == image_sha256:
                        return entry
            if candidates:
                return candidates[0]
        return None

    def of_image(self, image_sha256: str) -> list[Entry]:
        """Return every sample of one image; reads and hashes all images the first time."""
        return [entry for entry in self.entries if self._image_sha256(entry.sample) == image_sha256]

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
        key = sample.image.path if sample.image.inline is None else f"inline:{id(sample.image.inline)}"
        if key not in self._sha256:
            try:
                self._sha256[key] = hashlib.sha256(read_bytes(sample.image)).hexdigest()
            except DataError:
                self._sha256[key] = None
        return self._sha256[key]
