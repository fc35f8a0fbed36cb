"""The wire formats in the order in which they are looked for: the first that claims a mask reads it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, Literal

from evalkit.decoding.codes import Unreadable
from evalkit.decoding.context import Context, MaskRead, WireFormat
from evalkit.decoding.formats import (
    placeholder,
    png,
    polygon_chunked,
    polygon_flat,
    polygon_pairs,
    polygon_points,
    polygon_string,
    rle,
    seg_tokens,
    sub_boxes,
    svg_path,
)
from evalkit.errors import ConfigError
from evalkit.extensions import Kind

Reads = Callable[[Any, Context], MaskRead]

FORMATS: Final[dict[str, WireFormat]] = {
    "png_data_url": png.DATA_URL,
    "seg_tokens": seg_tokens.FORMAT,
    "polygon_string": polygon_string.FORMAT,
    "svg_path": svg_path.FORMAT,
    "png_base64": png.BASE64,
    "polygon_pairs": polygon_pairs.FORMAT,
    "polygon_points": polygon_points.FORMAT,
    "sub_boxes": sub_boxes.FORMAT,
    "polygon_flat": polygon_flat.FORMAT,
    "polygon_chunked": polygon_chunked.FORMAT,
    "rle": rle.FORMAT,
    "placeholder": placeholder.FORMAT,
}
"""Evalkit's own. A placeholder claims any text, so it comes last."""

WIRE_FORMATS: Final[dict[str, str]] = {
    **{name: one.meaning for name, one in FORMATS.items()},
    "box_only": "an item with a box and no mask",
    "vertex_png": "a full-image mask of Vertex image segmentation (bytesBase64Encoded)",
}
"""Every code of a wire format with its meaning; the last two are told by the item's keys, not by a value."""

WIRE_FORMAT_KIND: Final = Kind[WireFormat](
    "wire format",
    "evalkit.wire_formats",
    FORMATS,
    lambda found: isinstance(found, WireFormat),
    "an evalkit.decoding.WireFormat",
)
"""What ``decode.formats`` may name."""

_AMONG: Final = {
    kind: tuple(one for one in FORMATS.values() if kind in one.among) for kind in ("text", "list", "other")
}


def find_format(value: Any, own: Sequence[WireFormat] = ()) -> tuple[str | None, Reads | None]:
    """Return the wire format of a mask's value and its reader; ``(None, None)`` for none known.

    ``own``: formats that the run adds, which are looked for first.
    """
    claimed = claimed_by(own, value) or claimed_by(_AMONG[_kind_of(value)], value)
    return (None, None) if claimed is None else (claimed.name, claimed.reads)


def claimed_by(formats: Sequence[WireFormat], value: Any) -> WireFormat | None:
    """Return the first of ``formats`` that ``value`` is written in, None where it is in none of them."""
    kind = _kind_of(value)
    return next((one for one in formats if kind in one.among and one.claims(value)), None)


def _kind_of(value: Any) -> Literal["text", "list", "other"]:
    return "text" if isinstance(value, str) else "list" if isinstance(value, list) else "other"


def own_formats(names: tuple[str, ...]) -> tuple[WireFormat, ...]:
    """Return the formats that ``decode.formats`` adds. Raises ``ConfigError`` on an unknown or unusable one."""
    return _own_formats(names, tuple(sys.path)) if names else ()


@lru_cache(maxsize=16)
def _own_formats(names: tuple[str, ...], path: tuple[str, ...]) -> tuple[WireFormat, ...]:
    """Return the formats; ``path`` is ``sys.path``, which decides what is installed."""
    del path
    named = {name: WIRE_FORMAT_KIND.find(name) for name in names}
    found = tuple(_guarded(one, name) for name, one in named.items() if name not in FORMATS)
    codes = [one.name for one in found]
    for code in codes:
        if code in WIRE_FORMATS or codes.count(code) > 1:
            raise ConfigError(
                f"decode.formats: the code '{code}' belongs to a wire format of evalkit or is given twice: every format "
                "needs a code that no other has"
            )
    return found


def _guarded(one: WireFormat, name: str) -> WireFormat:
    """Return a format whose faults are told as its own: an answer may hold anything, and no row may vanish."""

    def claims(value: Any) -> bool:
        try:
            return bool(one.claims(value))
        except Exception as error:
            raise ConfigError(_fault(name, "claims", error)) from error

    def reads(value: Any, context: Context) -> MaskRead:
        try:
            return one.reads(value, context)
        except Unreadable:
            raise
        except Exception as error:
            raise ConfigError(_fault(name, "reads", error)) from error

    return replace(one, claims=claims, reads=reads)


def _fault(name: str, part: str, error: Exception) -> str:
    return (
        f"the wire format '{name}': `{part}` raised {type(error).__name__}: {error}. It has to raise "
        "evalkit.decoding.Unreadable(CODE) for a mask that it cannot read, and nothing else"
    )
