"""``svg_path``: a contour as SVG path data, ``M 0.1 0.6 L 0.3 0.6 ... Z``, as moondream answers.

Path data of moondream says nothing of its frame: the hull tells it where the item has a box (the box:
the full image; the whole range: inside the box), and without a box it is not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

from evalkit.decoding.boxes import finite
from evalkit.decoding.codes import Unreadable
from evalkit.decoding.context import Context, MaskRead, WireFormat
from evalkit.decoding.contour import MAX_POINTS, PLAIN_FIT, make_contour, read_contour

_PATH: Final = re.compile(r"\s*+[Mm][\s,]*+[-+.\d][\s\d.,+\-eEMmLlHhVvCcSsQqTtZzAa]*+")
_PART: Final = re.compile(r"([MmLlHhVvCcSsQqTtZzAa])|([-+]?(?:\d++\.?\d*+|\.\d++)(?:[eE][-+]?\d++)?)")
_STEPS: Final = 8
"""Points that stand for one curve (our choice)."""
_NUMBERS: Final = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "Q": 4, "Z": 0}
"""Numbers of each command; arcs and smooth curves are not read."""
Point = tuple[float, float]


def is_svg_path(value: Any) -> bool:
    """Return True for text that is path data and nothing else."""
    return isinstance(value, str) and _PATH.fullmatch(value) is not None


def read_svg_path(value: str, context: Context) -> MaskRead:
    """Return the mask of a path; every subpath is a ring, always x before y.

    Raises ``Unreadable``: wrong_shape (arcs, damaged data), box_missing where nothing says the frame.
    """
    context.needed_box()
    contour = make_contour(_Pen().draw(_commands(value)), named=True)
    return read_contour(contour, context, least_fit=PLAIN_FIT)


def _commands(text: str) -> Iterator[tuple[str, list[float]]]:
    """Yield every command with its numbers. Raises ``Unreadable`` (wrong_shape) on numbers left over."""
    letter, numbers, done = "", list[float](), True
    for match in _PART.finditer(text):
        if match[1]:
            if not done or numbers or match[1].upper() not in _NUMBERS:
                raise Unreadable("wrong_shape")
            letter, done = match[1], match[1] in "Zz"
            if done:
                yield letter, []
            continue
        number = float(match[2])
        if not letter or letter in "Zz" or not finite(number):
            raise Unreadable("wrong_shape")
        numbers.append(number)
        if len(numbers) == _NUMBERS[letter.upper()]:
            yield letter, numbers
            # A letter holds for the numbers after it too; after a move they are lines (SVG 2, 9.3.3).
            letter, numbers, done = {"M": "L", "m": "l"}.get(letter, letter), [], True
    if numbers or not done:
        raise Unreadable("wrong_shape")


class _Pen:
    """Follows path commands (SVG 2, 9.3) and keeps the points of every subpath."""

    def __init__(self) -> None:
        self.rings: list[list[Point]] = []
        self.at = self.start = (0.0, 0.0)

    def draw(self, commands: Iterator[tuple[str, list[float]]]) -> list[list[Point]]:
        """Return the subpaths. Raises ``Unreadable``: too_large, wrong_shape (no move before the first line)."""
        total = 0
        for letter, numbers in commands:
            kind = letter.upper()
            if kind == "Z":
                self.at = self.start
                continue
            points = self._points(kind, numbers, relative=letter != kind)
            if kind == "M":
                self.start = points[0]
                self.rings.append([])
            if not self.rings:
                raise Unreadable("wrong_shape")
            self.rings[-1] += _curve([self.at, *points]) if kind in "CQ" else points
            total += _STEPS if kind in "CQ" else 1
            if total > MAX_POINTS:
                raise Unreadable("too_large")
            self.at = points[-1]
        return self.rings

    def _points(self, kind: str, numbers: list[float], *, relative: bool) -> list[Point]:
        (x, y), base = self.at, self.at if relative else (0.0, 0.0)
        if kind in "HV":
            return [(base[0] + numbers[0], y)] if kind == "H" else [(x, base[1] + numbers[0])]
        return [(base[0] + a, base[1] + b) for a, b in zip(numbers[0::2], numbers[1::2], strict=True)]


def _curve(points: list[Point]) -> list[Point]:
    """Return points on a Bezier curve after its start, by de Casteljau's construction."""
    found: list[Point] = []
    for step in range(1, _STEPS + 1):
        t, level = step / _STEPS, points
        while len(level) > 1:
            level = [(a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])) for a, b in pairwise(level)]
        found.append(level[0])
    return found


FORMAT = WireFormat(
    "svg_path",
    'a contour as an SVG path: "M 0.1 0.6 L 0.3 0.6 ... Z" (moondream)',
    is_svg_path,
    read_svg_path,
    ("text",),
)
