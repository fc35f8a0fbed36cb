"""Which member of an object is its box, its mask, its label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from evalkit.types import AskedFormat

BOX_KEYS: Final = (
    "box_2d",
    "box_px",
    "box2d",
    "_box_2d",
    "box",
    "bbox",
    "bbox_2d",
    "bounding_box",
    "boundingBox",
)
MASK_KEYS: Final = (
    "mask",
    "mask_polygon",
    "polygon",
    "polygons",
    "segmentation",
    "segmentation_mask",
    "mask_2d",
    "mask_png",
    "mask_base64",
    "contour",
    "contours",
    "points",
    "bytesBase64Encoded",
)
NATIVE_KEYS: Final = frozenset({"box_px", "bytesBase64Encoded"})
"""Keys that belong to one wire format and are no deviation from what was asked."""
_LABEL_KEYS: Final = ("label", "name", "text_label", "class", "labels")


@dataclass(frozen=True, slots=True)
class ItemKeys:
    """The keys to look under, the asked ones first; ``wrapper`` is the asked wrapper's key."""

    box: tuple[str, ...]
    mask: tuple[str, ...]
    asked_box: str
    asked_mask: str
    wrapper: str | None

    def is_item(self, members: Mapping[str, Any]) -> bool:
        """Return True for an object with a box or a mask of its own (not a list of further objects)."""
        if any(key in members for key in self.box):
            return True
        return any(key in members and not _holds_items(members[key], self) for key in self.mask)


def _holds_items(value: Any, keys: ItemKeys) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, dict) and any(key in first for key in (*keys.box, *keys.mask))


@lru_cache(maxsize=64)
def item_keys(asked: AskedFormat) -> ItemKeys:
    """Return the keys to read by. An asked key that names neither box nor label is the mask's."""
    box = next((key for key in asked.keys if key in BOX_KEYS), "box_2d")
    others = [key for key in asked.keys if key not in BOX_KEYS and key not in _LABEL_KEYS]
    mask = next((key for key in others if key in MASK_KEYS), others[0] if others else "mask")
    return ItemKeys(
        box=(box, *(key for key in BOX_KEYS if key != box)),
        mask=(mask, *(key for key in MASK_KEYS if key != mask)),
        asked_box=box,
        asked_mask=mask,
        wrapper=asked.wrapper,
    )


def label_of(members: Mapping[str, Any]) -> str | None:
    """Return an item's label as text that can be printed, None where it has none."""
    for key in _LABEL_KEYS:
        value = members.get(key)
        if key == "labels" and isinstance(value, list) and value and isinstance(value[0], dict):
            value = value[0].get("label")  # Vertex
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return str(value).encode("utf-8", "replace").decode("utf-8")
    return None


def score_of(members: Mapping[str, Any]) -> float | None:
    """Return an item's own confidence where it gives a finite number."""
    labels = members.get("labels")
    first = labels[0] if isinstance(labels, list) and labels and isinstance(labels[0], dict) else {}
    for value in (members.get("score"), members.get("confidence"), first.get("score")):
        if isinstance(value, (int, float)) and not isinstance(value, bool) and -1e9 < value < 1e9:
            return float(value)
    return None
