"""``vertex_png``: full-image masks of Vertex image segmentation (``bytesBase64Encoded``)."""

from __future__ import annotations

from evalkit.decoding.context import Context, MaskRead
from evalkit.decoding.images import crop_mask, open_grey, place, read_base64


def read_vertex_png(value: str, context: Context) -> MaskRead:
    """Return the mask over the whole image, resized to it where the sizes differ. Raises ``Unreadable``."""
    data, repairs = read_base64(value)
    grey = open_grey(data, context.budget)
    whole = (0, 0, context.width_px, context.height_px)
    context.budget.spend(context.width_px * context.height_px)
    crop_hw = place(grey, whole, whole, context.settings)
    return MaskRead(crop_mask(crop_hw, whole, context.height_px, context.width_px), repairs)
