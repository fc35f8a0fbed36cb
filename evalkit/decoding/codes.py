"""Every code a verdict can hold, with one line of meaning. Codes are added, never reused.

The reference pages, the report, `evalkit decode` and the terminal take their words from these tables, and a test
holds the decoder to them. The order is that of the reference and of the report's colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class OutcomeWords:
    """What an outcome is called on a page, what it means, and whether its request was answered."""

    label: str
    meaning: str
    answered: bool = True


OUTCOMES: Final[dict[str, OutcomeWords]] = {
    "decoded": OutcomeWords("mask read", "at least one usable mask; counts with its IoU"),
    "no_target": OutcomeWords(
        "says nothing fits", "the answer says that nothing fits; IoU 1 where that is right, else 0"
    ),
    "format_failure": OutcomeWords("unreadable", "no usable mask; counts as an empty prediction, IoU 0"),
    "blocked": OutcomeWords("blocked", "the API says safety or policy; counts as an empty prediction, IoU 0"),
    "not_run": OutcomeWords(
        "not run", "a system error (network, quota, budget); in no mean, always shown", answered=False
    ),
    "data_error": OutcomeWords(
        "data error", "the image is missing or damaged; in no mean, always shown", answered=False
    ),
}

ANSWERED: Final = tuple(name for name, words in OUTCOMES.items() if words.answered)
"""Outcomes that count: the model was asked and said something, or refused to. The denominator of every rate."""

FAILURES: Final[dict[str, str]] = {
    "empty_response": "the answer has no text",
    "truncated": "the answer ends in the middle, before one item was complete",
    "no_json": "prose or other text without any JSON",
    "malformed_json": "there is JSON, but what is needed of it cannot be read",
    "wrong_shape": "JSON without an item, or with a mask of a wrong type",
    "box_missing": "the mask needs a box to be placed by, and the item has none",
    "box_invalid": "a box without four finite numbers or area, or off the image",
    "mask_missing": "an item without a mask",
    "mask_tokens": "leaked <seg_N> tokens in place of a mask; they cannot be decoded",
    "mask_placeholder": "a placeholder (a word, id, link or number) in place of a mask",
    "mask_bad_base64": "a mask whose text is not base64",
    "mask_bad_png": "a mask whose bytes are no readable image, or one of absurd size",
    "mask_empty": "a mask without a single foreground pixel",
    "polygon_degenerate": "a contour of fewer than three distinct points, or without a pixel inside",
    "polygon_ambiguous": "contour and box agree in no reading, or in several with different masks",
    "wrong_unit": "a contour whose numbers cannot be in the unit that the prompt states",
    "box_ambiguous": "boxes were asked, and box and contour agree only in readings with different boxes",
    "repetition": "the answer repeats itself until it is cut off",
    "thinking_used_budget": "thinking used all output tokens; there is no answer",
    "too_large": "masks beyond the limits on pixels or points",
}

REPAIRS: Final[dict[str, str]] = {
    "fence": "a code fence was taken off (allowed in a strict answer)",
    "prose_around": "text before, after or between the JSON was left aside",
    "wrapper": "the list, or a mask, stood in an object, a list or a string that the prompt did not ask for",
    "single_object": "one object stood where a list was asked",
    "alternate_key": "the box or the mask stood under another key than the one asked",
    "truncated_tail": "the answer ends in the middle; what was complete before was kept",
    "trailing_comma": "a comma before a closing bracket was passed over",
    "raw_newline": "a line break, blank or control character inside a string was passed over",
    "repeated_prefix": "the data: prefix stood twice before the base64",
    "base64_padding": "missing '=' at the end of the base64 text was added",
    "urlsafe_base64": "base64 was written in its URL-safe alphabet, - and _ for + and /",
    "percent_encoded": "base64 was percent-encoded, as in an address",
    "missing_prefix": "base64 stood without the data: prefix that was asked",
    "corners_sorted": "the box's corners were inverted",
    "box_clamped": "the box reaches past the image; the part off it was cut",
    "pixel_box": "the box is in pixels, not in 0..1000",
    "order_swapped": "coordinates were in the other order than the prompt states",
    "frame_box_local": "points are 0..1000 inside box_2d though the prompt states the full image",
    "frame_image": "points are 0..1000 over the full image though the prompt states box_2d",
    "pixel_points": "the contour's points are in pixels, not in the unit that the prompt states",
    "norm1000_points": "the contour's points are in 0..1000, not in the unit that the prompt states",
    "unit_coordinates": "the coordinates are fractions of the image (0..1), not in the unit that the prompt states",
    "key_convention": "the key's own convention was followed and not the prompt's (bbox_2d: x first)",
    "box_by_contour": "the box was read in the order or unit under which it agrees with the contour",
    "bad_point_dropped": "a contour point that cannot be read was left out",
    "loose_syntax": "an object in Python, JavaScript or YAML spelling was read as the JSON that it means",
    "superseded": "earlier values, or a draft inside <think>, were left aside for the last value",
    "several_values": "several JSON values were read as one answer",
    "salvaged": "the JSON as a whole cannot be read; its intact items were read one by one",
    "quoted_number": "numbers of the box or the contour stood in quotes",
    "tokens_dropped": "mask tokens before a complete image in the same string were left aside",
}


class Unreadable(Exception):
    """A mask or a box cannot be read: ``code`` is one of ``FAILURES``. Caught per item."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
