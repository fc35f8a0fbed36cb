"""A simulated answer before anything goes wrong: the drawn objects, their encoding, the JSON text."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.simulator import encoders

if TYPE_CHECKING:
    import numpy as np

    from evalkit.simulator.encoders import BoxNorm, Points
    from evalkit.types import BoolMask


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedObject:
    """One object as the persona drew it: ``mask_hw`` (bool, H x W), its 0..1000 box, its label."""

    mask_hw: BoolMask
    box: BoxNorm
    label: str

    def points(self) -> Points:
        """Return its outline; the corners of its box where the mask is too small for one."""
        tolerance_px = max(1.0, 0.004 * max(self.mask_hw.shape))
        y0, x0, y1, x1 = self.box
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        return encoders.outline(self.mask_hw, tolerance_px) or corners


@dataclass(frozen=True, slots=True, eq=False)
class AnswerBuilder:
    """An answer in the making.

    ``encoding``: a key of ``MASK_ENCODERS`` or of ``ITEM_WRITERS``. ``wrap``: ``fence`` (a list in a
    code fence), ``list``, or the key of an object with the list under it. ``rng`` is the
    answer's own generator. ``sent_px``: (width, height) of the image that was shown, None = the truth's.
    """

    objects: tuple[SimulatedObject, ...]
    encoding: str
    wrap: str
    rng: np.random.Generator
    sent_px: tuple[int, int] | None = None

    def item(self, drawn: SimulatedObject, encoding: str | None = None) -> dict[str, Any]:
        """Return one object as the JSON item that the format has."""
        encoding = encoding or self.encoding
        if encoding in ITEM_WRITERS:
            height_px, width_px = drawn.mask_hw.shape
            return ITEM_WRITERS[encoding](drawn, self.sent_px or (width_px, height_px))
        return {
            "box_2d": list(drawn.box),
            "mask": MASK_ENCODERS[encoding](drawn, self.rng),
            "label": drawn.label,
        }

    def items(self, encoding: str | None = None) -> list[dict[str, Any]]:
        """Return every object as a JSON item."""
        return [self.item(drawn, encoding) for drawn in self.objects]

    def text(self, items: list[Any] | None = None) -> str:
        """Return the whole answer; ``items`` in place of the builder's own where given."""
        items = self.items() if items is None else items
        if self.wrap not in ("fence", "list"):
            return json.dumps({self.wrap: items}, ensure_ascii=False)
        listed = "[\n  " + ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in items) + "\n]"
        listed = listed if items else "[]"
        return f"```json\n{listed}\n```" if self.wrap == "fence" else listed


MASK_ENCODERS: dict[str, Callable[[SimulatedObject, np.random.Generator], Any]] = {
    "png_data_url": lambda drawn, _: encoders.png_data_url(drawn.mask_hw, drawn.box),
    "seg_tokens": lambda _, rng: encoders.mask_tokens(rng),
    "pairs_xy": lambda drawn, _: encoders.pairs_xy(drawn.points()),
    "pairs_yx": lambda drawn, _: encoders.pairs_yx(drawn.points()),
    "flat_yx": lambda drawn, _: encoders.flat_yx(drawn.points()),
    "chunked_yx": lambda drawn, _: encoders.chunked_yx(drawn.points()),
    "string_yx": lambda drawn, _: encoders.string_yx(drawn.points()),
    "points_xy": lambda drawn, _: encoders.points_xy(drawn.points()),
    "sub_boxes": lambda drawn, _: encoders.sub_boxes(drawn.mask_hw),
}
"""Ways of writing what stands under ``"mask"``."""

ITEM_WRITERS: dict[str, Callable[[SimulatedObject, tuple[int, int]], dict[str, Any]]] = {
    "box_only": lambda drawn, _: {"box_2d": list(drawn.box), "label": drawn.label},
    "box_xyxy": lambda drawn, _: {
        "bbox_2d": [drawn.box[1], drawn.box[0], drawn.box[3], drawn.box[2]],
        "label": drawn.label,
    },
    "flat_px": lambda drawn, sent_px: {
        "label": drawn.label,
        "polygon": encoders.flat_px(drawn.points(), *sent_px),
    },
    "svg_path": lambda drawn, _: {
        "path": encoders.svg_path(drawn.points()),
        "bbox": encoders.unit_box(drawn.points()),
    },
}
"""Ways of writing a whole item that has other keys; pixels count in the image as sent, (width, height)."""


@dataclass(frozen=True, slots=True)
class SimulatedAnswer:
    """What a simulated model says, before it is dressed as an HTTP body.

    ``text``: None = no parts at all. ``thinking_used_budget``: all output tokens went into thinking.
    """

    text: str | None
    finish_reason: str = "STOP"
    block_reason: str | None = None
    thinking_used_budget: bool = False
