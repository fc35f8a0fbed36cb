"""A suspect reading in words, with the keys that read the answers right. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

ORDERS: Final = {
    "yxyx": "[y0, x0, y1, x1]",
    "xyxy": "[x0, y0, x1, y1]",
    "xywh": "[x0, y0, width, height]",
    "cxcywh": "[centre x, centre y, width, height]",
}
UNITS: Final = {
    "norm1000": "in 0..1000",
    "norm1": "in 0..1",
    "pixel": "in pixels of the image as sent",
}
POINTS: Final = {
    "xy image": "[x, y] over the whole image",
    "yx image": "[y, x] over the whole image",
    "xy box": "[x, y] from corner to corner of the item's own box",
    "yx box": "[y, x] from corner to corner of the item's own box",
}


def suspect_results(results: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the results of whole datasets whose reading is suspect."""
    return [
        result
        for result in results
        if result["slice"] == "all" and (result.get("reading") or {}).get("suspect", False)
    ]


def yaml_to_set(result: Mapping[str, Any]) -> str:
    """Return, as one line of YAML, the keys of a prompt that read the answers by the best convention.

    Keys of points only where they are not what the prompt states.
    """
    reading = result["reading"]
    keys: dict[str, str] = {}
    if "boxes" in _suspect_parts(reading):
        keys["box_order"], keys["unit"] = str(reading["best"]).split(" ")
    contours = reading.get("contours")
    if contours is not None and contours["best"] is not None:
        names = ("point_order", "frame")
        best, stated = (str(contours[key]).split(" ") for key in ("best", "stated"))
        keys |= {name: new for name, new, old in zip(names, best, stated, strict=True) if new != old}
    return ", ".join(f"{key}: {value}" for key, value in keys.items())


def what_was_found(result: Mapping[str, Any]) -> str:
    """Return how far boxes or contours agree with the truth as they were read, and how far otherwise."""
    reading = result["reading"]
    told = []
    if "boxes" in (parts := _suspect_parts(reading)):
        order, unit = str(reading["best"]).split(" ")
        told.append(_compared("boxes", reading, f"{ORDERS[order]} {UNITS[unit]}"))
    if "contours" in parts:
        told.append(_compared("contours", reading["contours"], POINTS[reading["contours"]["best"]]))
    return f"{result['model']} on {result['dataset']}: {' '.join(told)}"


def _suspect_parts(reading: Mapping[str, Any]) -> Sequence[str]:
    parts: Sequence[str] = reading.get("suspect_parts", ["boxes"])
    return parts


def _compared(what: str, found: Mapping[str, Any], meaning: str) -> str:
    return (
        f"as they were read, the {what} of {found['n']:,} answers agree with the ground truth by "
        f"{found['box_iou']:.3f} (mean box IoU; what cannot be read counts 0); read as {found['best']}, which is "
        f"{meaning}, by {found['best_box_iou']:.3f}."
    )


def what_to_do(result: Mapping[str, Any]) -> str:
    """Return the way out: what to write into the config, and what that costs."""
    return (
        f"If the model writes so, state it on its prompt, `{{{yaml_to_set(result)}}}`, and run the same command again: "
        "the stored answers are scored anew and nothing is asked. (Boxes of predictions made elsewhere: convert the file.)"
    )


def suspect_words(result: Mapping[str, Any]) -> str:
    """Return the paragraph that the terminal and the gate show."""
    return (
        f"SUSPECT READING: {what_was_found(result)} These scores rest on the reading, not on the model alone. "
        f"{what_to_do(result)}"
    )
