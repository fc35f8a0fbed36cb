"""Which member of an object is its box, its mask, its label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from evalkit.decoding.boxes import corner_names
from evalkit.decoding.formats import find_format
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
    "bounding_box_2d",
    "2d_box",
    "bndbox",
    "box_coordinates",
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
    "mask_data",
    "mask_image",
    "mask_points",
    "mask_rle",
    "rle",
    "contour",
    "contours",
    "outline",
    "segment",
    "points",
    "vertices",
    "rings",
    "path",
    "svg_path",
    "masks",
    "segmentations",
    "segmentation_masks",
    "bytesBase64Encoded",
)
_CORNERS: Final = frozenset({"xmin", "x_min", "minx", "x0", "x1", "left"})
"""One member of every set of corners that an item may hold itself instead of a box."""
_PLURALS: Final = frozenset(
    {"polygons", "contours", "points", "vertices", "masks", "segmentations", "segmentation_masks"}
)
"""Keys that may also wrap the list of items: a mask only where their value is one."""
NATIVE_KEYS: Final = frozenset({"box_px", "bytesBase64Encoded"})
"""Keys that belong to one wire format and are no deviation from what was asked."""
_MOST_MEMBERS: Final = 64
_LONGEST_KEY: Final = 24
"""Objects and keys beyond these are no items of any model's; they are not searched for odd spellings."""
_SEPARATORS: Final = str.maketrans("", "", "_- ")
_LABEL_KEYS: Final = ("label", "name", "text_label", "class", "labels")


@dataclass(frozen=True, slots=True)
class ItemKeys:
    """The keys to look under, the asked ones first; ``wrapper`` is the asked wrapper's key.

    ``names``: all of them; ``folded``: the same without case, ``_`` and ``-``.
    """

    box: tuple[str, ...]
    mask: tuple[str, ...]
    asked_box: str
    asked_mask: str
    wrapper: str | None
    names: frozenset[str]
    folded: frozenset[str]

    def is_item(self, members: Mapping[str, Any]) -> bool:
        """Return True for an object with a box or a mask of its own (not a list of further objects)."""
        known = not self.names.isdisjoint(members) or not _CORNERS.isdisjoint(members)
        if not known and not _oddly_spelled(members, self.folded):
            return False
        if _matching_keys(members, self.box) or corner_names(members):
            return True
        return any(_is_mask(key, members[key], self) for key in self.masks_in(members))

    def box_in(self, members: Mapping[str, Any]) -> str | None:
        """Return the key under which the box stands, as the object spells it; None without one."""
        return next(iter(_matching_keys(members, self.box)), None)

    def masks_in(self, members: Mapping[str, Any]) -> list[str]:
        """Return the keys under which a mask may stand, as the object spells them, the asked one first."""
        return _matching_keys(members, self.mask)


def _matching_keys(members: Mapping[str, Any], keys: tuple[str, ...]) -> list[str]:
    """Return which of ``keys`` an object has; where it has none, those that differ in case, ``_`` or ``-``."""
    exact = [key for key in keys if key in members]
    if exact or len(members) > _MOST_MEMBERS:
        return exact
    folded = {_fold(key): key for key in members if len(key) <= _LONGEST_KEY}
    return [folded[fold] for fold in dict.fromkeys(map(_fold, keys)) if fold in folded]


def _oddly_spelled(members: Mapping[str, Any], folded: frozenset[str]) -> bool:
    return len(members) <= _MOST_MEMBERS and any(
        len(key) <= _LONGEST_KEY and _fold(key) in folded for key in members
    )


@lru_cache(maxsize=1024)
def _fold(key: str) -> str:
    return key.translate(_SEPARATORS).lower()


def _is_mask(key: str, value: Any, keys: ItemKeys) -> bool:
    if key in _PLURALS and key != keys.asked_mask:
        return isinstance(value, (str, list)) and bool(value) and find_format(value)[0] is not None
    return not _holds_items(value, keys)


def _holds_items(value: Any, keys: ItemKeys) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, dict) and any(key in first for key in (*keys.box, *keys.mask))


@lru_cache(maxsize=64)
def item_keys(asked: AskedFormat) -> ItemKeys:
    """Return the keys to read by. An asked key that names neither box nor label is the mask's."""
    box = next((key for key in asked.keys if key in BOX_KEYS), "box_2d")
    others = [key for key in asked.keys if key not in BOX_KEYS and key not in _LABEL_KEYS]
    mask = next((key for key in others if key in MASK_KEYS), others[0] if others else "mask")
    names = frozenset((*BOX_KEYS, *MASK_KEYS, mask))
    return ItemKeys(
        names=names,
        folded=frozenset(map(_fold, names)),
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
