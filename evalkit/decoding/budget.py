"""How many pixels of mask one answer may still fill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from evalkit.decoding.codes import Unreadable

MASK_COST_PX: Final = 20_000
"""What one mask costs beside its pixels, so that an answer of tens of thousands stays cheap."""


@dataclass(slots=True)
class PixelBudget:
    """Pixels of mask that one answer may still fill; bounds memory and time whatever it claims."""

    left_px: int

    def spend(self, pixels: int) -> None:
        """Take ``pixels`` and one mask's cost off. Raises ``Unreadable`` (too_large) when none are left."""
        self.left_px -= MASK_COST_PX  # paid by masks that do not fit too, so that trying ends
        self.spend_px(pixels)

    def spend_px(self, pixels: int) -> None:
        """Take ``pixels`` alone off. Raises ``Unreadable`` (too_large) when none are left."""
        if pixels > self.left_px:
            raise Unreadable("too_large")
        self.left_px -= pixels

    @property
    def spent(self) -> bool:
        """True where not even the smallest mask fits any more."""
        return self.left_px < MASK_COST_PX
