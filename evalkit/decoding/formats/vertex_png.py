"""``vertex_png``: full-image masks of Vertex image segmentation (``bytesBase64Encoded``)."""

from __future__ import annotations

from evalkit.decoding.context import Context, MaskRead
from evalkit.decoding.images import crop_mask


def read_vertex_png(value: str, context: Context) -> MaskRead:
    """Return the mask over the whole image, resized to it where the sizes differ. Raises ``Unreadable``."""
    grey, repairs = context.images.open_base64(value, context.budget)
    whole = (0, 0, context.width_px, context.height_px)
    context.budget.spend(context.width_px * context.height_px)
    levels = context.images.place(grey, whole, whole, context.settings)
    threshold = context.settings.threshold
    return MaskRead(crop_mask(levels, whole, context.height_px, context.width_px, threshold), repairs)
