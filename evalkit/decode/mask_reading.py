"""What a wire format gives back, and what it may look at. Shared by the format files."""

from __future__ import annotations

from dataclasses import dataclass, field

from evalkit.decode.boxes import ItemBox
from evalkit.decode.codes import Unreadable
from evalkit.types import AskedFormat, CropMask, DecodeSettings


@dataclass(slots=True)
class PixelBudget:
    """Pixels of mask that one answer may still fill; keeps memory bounded whatever it claims."""

    left_px: int

    def spend(self, pixels: int) -> None:
        """Take ``pixels`` off. Raises ``Unreadable`` (too_large) when none are left."""
        if pixels > self.left_px:
            raise Unreadable("too_large")
        self.left_px -= pixels


@dataclass(frozen=True, slots=True)
class Context:
    """The image's size, the prompt's format, the settings and the item's own box (or None)."""

    height_px: int
    width_px: int
    asked: AskedFormat
    settings: DecodeSettings
    budget: PixelBudget
    box: ItemBox | None = None

    def needed_box(self) -> ItemBox:
        """Return the item's box. Raises ``Unreadable`` (box_missing) where there is none."""
        if self.box is None:
            raise Unreadable("box_missing")
        return self.box


@dataclass(frozen=True, slots=True)
class MaskRead:
    """A mask and the repairs it took."""

    mask: CropMask
    repairs: list[str] = field(default_factory=list)
