"""A suspect reading in words, with the keys that read the answers right. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
_POINTS: Final = {"xyxy": "xy", "yxyx": "yx"}
"""Order of a box -> order of points, for answers whose extent stands in for a box."""


def suspect_results(results: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the results of whole datasets whose reading is suspect."""
    return [
        result
        for result in results
        if result["slice"] == "all" and (result.get("reading") or {}).get("suspect", False)
    ]


def keys_to_set(reading: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of a prompt that read the answers by the best convention."""
    order, unit = str(reading["best"]).split(" ")
    return {"box_order": order, "unit": unit}


def yaml_to_set(result: Mapping[str, Any]) -> str:
    """Return the keys as one line of YAML; ``point_order`` too where the answers hold points."""
    keys = keys_to_set(result["reading"])
    has_points = any(str(name).startswith("polygon") for name in result.get("wire_formats") or ())
    if has_points and (order := _POINTS.get(keys["box_order"])):
        keys["point_order"] = order
    return ", ".join(f"{key}: {value}" for key, value in keys.items())


def what_was_found(result: Mapping[str, Any]) -> str:
    """Return one sentence: how far the answers agree with the truth as they were read, and how far otherwise."""
    reading = result["reading"]
    order, unit = str(reading["best"]).split(" ")
    return (
        f"{result['model']} on {result['dataset']}: as they were read, the boxes of {reading['n']:,} answers agree with the "
        f"ground truth by {reading['box_iou']:.3f} (mean box IoU); read as {reading['best']}, which is "
        f"{ORDERS[order]} {UNITS[unit]}, by {reading['best_box_iou']:.3f}."
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
