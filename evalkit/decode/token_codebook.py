"""The extension point for decoding mask tokens; closed until a codebook is proven.

Gemini's tokens have the shape of PaliGemma's mask VQ-VAE (16 tokens, 128 codes, arXiv 2301.02229),
but nobody has shown that the codebook is the same, and no pair of (tokens, mask) is public.
"""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.decode.codes import Unreadable
from evalkit.decode.mask_reading import Context, MaskRead


def decode_tokens(tokens: Sequence[int], context: Context) -> MaskRead:
    """Return the mask of 16 tokens if the codebook of the settings passes its self-check."""
    del tokens, context
    raise Unreadable("mask_tokens")
