"""A simulated answer before anything goes wrong: the drawn objects, their spelling, the JSON text."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.simulator import encoders as spellings

if TYPE_CHECKING:
    import numpy as np

    from evalkit.simulator.encoders import BoxNorm, Points
    from evalkit.types import BoolMask


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One object as the persona drew it: ``mask_hw`` (bool, H x W), its 0..1000 box, its label."""

    mask_hw: BoolMask
    box: BoxNorm
    label: str

    def points(self) -> Points:
        """Return its outline; the corners of its box where the mask is too small for one."""
        tolerance_px = max(1.0, 0.004 * max(self.mask_hw.shape))
        y0, x0, y1, x1 = self.box
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        return spellings.outline(self.mask_hw, tolerance_px) or corners


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """An answer in the making.

    ``spelling``: a key of ``MASK_SPELLINGS``, or ``box_only``. ``wrap``: ``fence`` (a list in a
    code fence), ``list`` or ``boxes`` (an object with the list under "boxes"). ``rng`` is the
    answer's own generator.
    """

    objects: tuple[Drawn, ...]
    spelling: str
    wrap: str
    rng: np.random.Generator

    def item(self, drawn: Drawn, spelling: str | None = None) -> dict[str, Any]:
        """Return one object as the JSON item that the format has."""
        spelling = spelling or self.spelling
        box = list(drawn.box)
        if spelling == "box_only":
            return {"box_2d": box, "label": drawn.label}
        return {"box_2d": box, "mask": MASK_SPELLINGS[spelling](drawn, self.rng), "label": drawn.label}

    def items(self, spelling: str | None = None) -> list[dict[str, Any]]:
        """Return every object as a JSON item."""
        return [self.item(drawn, spelling) for drawn in self.objects]

    def text(self, items: list[Any] | None = None) -> str:
        """Return the whole answer; ``items`` in place of the draft's own where given."""
        items = self.items() if items is None else items
        if self.wrap == "boxes":
            return json.dumps({"boxes": items}, ensure_ascii=False)
        listed = "[\n  " + ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in items) + "\n]"
        listed = listed if items else "[]"
        return f"```json\n{listed}\n```" if self.wrap == "fence" else listed


MASK_SPELLINGS: dict[str, Callable[[Drawn, np.random.Generator], Any]] = {
    "png_data_url": lambda drawn, _: spellings.png_data_url(drawn.mask_hw, drawn.box),
    "seg_tokens": lambda _, rng: spellings.mask_tokens(rng),
    "pairs_xy": lambda drawn, _: spellings.pairs_xy(drawn.points()),
    "pairs_yx": lambda drawn, _: spellings.pairs_yx(drawn.points()),
    "flat_yx": lambda drawn, _: spellings.flat_yx(drawn.points()),
    "chunked_yx": lambda drawn, _: spellings.chunked_yx(drawn.points()),
    "string_yx": lambda drawn, _: spellings.string_yx(drawn.points()),
    "points_xy": lambda drawn, _: spellings.points_xy(drawn.points()),
    "sub_boxes": lambda drawn, _: spellings.sub_boxes(drawn.mask_hw),
}
"""Ways of writing what stands under ``"mask"``."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a simulated model says, before it is dressed as an HTTP body.

    ``text``: None = no parts at all. ``thinks_to_the_end``: all output tokens went into thinking.
    """

    text: str | None
    finish_reason: str = "STOP"
    block_reason: str | None = None
    thinks_to_the_end: bool = False
