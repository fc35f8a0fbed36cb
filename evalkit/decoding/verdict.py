"""A verdict for people and for programs: what came, what was repaired, why it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from evalkit.decoding.codes import FAILURES, OUTCOMES, REPAIRS
from evalkit.decoding.formats import WIRE_FORMATS
from evalkit.masks import area, full_mask, rle_encode

if TYPE_CHECKING:
    from evalkit.types import CropMask, Decoded, Item

SHOWN_ITEMS: Final = 20


def verdict_json(decoded: Decoded) -> dict[str, Any]:
    """Return the verdict as DESIGN 4.4 has it; an item's repairs begin with those of the whole answer."""
    return {
        "outcome": decoded.outcome,
        "failure": decoded.failure,
        "strict": decoded.strict,
        "repairs": list(decoded.repairs),
        "items": [_item_json(item, decoded.repairs) for item in decoded.items],
        "mask": _rle_json(decoded.mask),
    }


def _item_json(item: Item, answer_repairs: tuple[str, ...]) -> dict[str, Any]:
    return {
        "label": item.label,
        "box_px": list(item.box_px_xyxy) if item.box_px_xyxy else None,
        "wire_format": item.wire_format,
        "repairs": [*answer_repairs, *item.repairs],
        "failure": item.failure,
        "mask": _rle_json(item.mask),
        "score": item.score,
    }


def _rle_json(mask: CropMask | None) -> dict[str, object] | None:
    return None if mask is None else rle_encode(full_mask(mask)).to_json()


def verdict_text(decoded: Decoded) -> str:
    """Return the verdict as a few lines to read."""
    lines = [f"outcome   {decoded.outcome}: {OUTCOMES[decoded.outcome].meaning}"]
    if decoded.failure:
        lines.append(f"failure   {decoded.failure}: {FAILURES[decoded.failure]}")
    lines.append(
        "strict    yes: exactly what the prompt asked for"
        if decoded.strict
        else "strict    no: not exactly what the prompt asked for"
    )
    if decoded.mask is not None:
        share = area(decoded.mask) / (decoded.mask.height_px * decoded.mask.width_px)
        lines.append(f"mask      {area(decoded.mask)} px, {share:.1%} of the image")
    lines += [f"repair    {code}: {REPAIRS[code]}" for code in decoded.repairs]
    lines += _item_lines(decoded.items)
    return "\n".join(lines)


def _item_lines(items: tuple[Item, ...]) -> list[str]:
    lines: list[str] = []
    explained: dict[str, str] = {}
    for number, item in enumerate(items[:SHOWN_ITEMS], start=1):
        found = item.failure or (f"{area(item.mask)} px" if item.mask else "a box")
        box = f"box {list(item.box_px_xyxy)}" if item.box_px_xyxy else "no box"
        repairs = f" ({', '.join(item.repairs)})" if item.repairs else ""
        label = f" '{item.label}'" if item.label else ""
        lines.append(f"item {number:<4} {item.wire_format or 'no format'}: {found}, {box}{repairs}{label}")
        codes = [item.wire_format, item.failure, *item.repairs]
        explained |= {code: _meaning(code) for code in codes if code}
    if len(items) > SHOWN_ITEMS:
        lines.append(f"... and {len(items) - SHOWN_ITEMS} more items")
    return [*lines, *(f"  {code}: {meaning}" for code, meaning in explained.items())]


def _meaning(code: str) -> str:
    return (
        WIRE_FORMATS.get(code) or FAILURES.get(code) or REPAIRS.get(code) or "a wire format of the run's own"
    )
