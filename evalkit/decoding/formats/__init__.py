"""The wire formats in the order in which they are looked for: the first that claims a mask reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from evalkit.decoding.context import Context, MaskRead
from evalkit.decoding.formats.placeholder import is_placeholder, read_placeholder
from evalkit.decoding.formats.png import is_base64, is_data_url, read_base64_image, read_data_url
from evalkit.decoding.formats.polygon_chunked import is_polygon_chunked, read_polygon_chunked
from evalkit.decoding.formats.polygon_flat import is_polygon_flat, read_polygon_flat
from evalkit.decoding.formats.polygon_pairs import is_polygon_pairs, read_polygon_pairs
from evalkit.decoding.formats.polygon_points import is_polygon_points, read_polygon_points
from evalkit.decoding.formats.polygon_string import is_polygon_string, read_polygon_string
from evalkit.decoding.formats.rle import is_rle, read_rle
from evalkit.decoding.formats.seg_tokens import is_seg_tokens, read_seg_tokens
from evalkit.decoding.formats.sub_boxes import is_sub_boxes, read_sub_boxes

Claims = Callable[[Any], bool]
Reads = Callable[[Any, Context], MaskRead]

STRING_FORMATS: Final[dict[str, tuple[Claims, Reads]]] = {
    "png_data_url": (is_data_url, read_data_url),
    "seg_tokens": (is_seg_tokens, read_seg_tokens),
    "polygon_string": (is_polygon_string, read_polygon_string),
    "png_base64": (is_base64, read_base64_image),
    "placeholder": (is_placeholder, read_placeholder),
}
LIST_FORMATS: Final[dict[str, tuple[Claims, Reads]]] = {
    "polygon_pairs": (is_polygon_pairs, read_polygon_pairs),
    "polygon_points": (is_polygon_points, read_polygon_points),
    "sub_boxes": (is_sub_boxes, read_sub_boxes),
    "polygon_flat": (is_polygon_flat, read_polygon_flat),
    "polygon_chunked": (is_polygon_chunked, read_polygon_chunked),
}
OTHER_FORMATS: Final[dict[str, tuple[Claims, Reads]]] = {
    "rle": (is_rle, read_rle),
    "placeholder": (is_placeholder, read_placeholder),
}


def find_format(value: Any) -> tuple[str | None, Reads | None]:
    """Return the wire format of a mask's value and its reader; ``(None, None)`` for none known."""
    if isinstance(value, str):
        table = STRING_FORMATS
    elif isinstance(value, list):
        table = LIST_FORMATS
    else:
        table = OTHER_FORMATS
    for name, (claims, reads) in table.items():
        if claims(value):
            return name, reads
    return None, None
