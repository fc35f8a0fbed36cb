"""What a wire format gives back, and what it may look at. Shared by the format files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from evalkit.decoding.boxes import Frame, ItemBox
from evalkit.decoding.budget import PixelBudget
from evalkit.decoding.codes import Unreadable
from evalkit.decoding.images import AnswerImages
from evalkit.decoding.settings import DecodeSettings
from evalkit.types import AskedFormat, CropMask, StatedBox


@dataclass(frozen=True, slots=True)
class Context:
    """The image's size, the prompt's format, the settings and the item's own box (or None).

    ``frame``: the sizes of the image as it is scored and as it was sent. ``extents``: what
    contours leave behind of their raw numbers, see ``Item.stated_extent``.
    ``images``: the answer's opened images, shared by the readings of one answer under several settings.
    """

    height_px: int
    width_px: int
    asked: AskedFormat
    settings: DecodeSettings
    budget: PixelBudget
    frame: Frame
    box: ItemBox | None = None
    extents: list[StatedBox] = field(default_factory=list)
    images: AnswerImages = field(default_factory=AnswerImages)

    def needed_box(self) -> ItemBox:
        """Return the item's box. Raises ``Unreadable`` (box_missing) where there is none."""
        if self.box is None:
            raise Unreadable("box_missing")
        return self.box


@dataclass(frozen=True, slots=True)
class MaskRead:
    """A mask and the repairs it took; ``box``: the item's box where the mask shows that it was read wrongly."""

    mask: CropMask
    repairs: list[str] = field(default_factory=list)
    box: ItemBox | None = None


@dataclass(frozen=True, slots=True)
class WireFormat:
    """One way in which an item's mask is written.

    ``name``: its code; ``meaning``: one line of it. ``claims`` tells whether a value is written this way, and
    ``reads`` returns its mask or raises ``Unreadable``. ``among``: the kinds of JSON values it is looked for
    among. ``needs_box``: whether a box that cannot be read spoils the mask too.
    """

    name: str
    meaning: str
    claims: Callable[[Any], bool]
    reads: Callable[[Any, Context], MaskRead]
    among: tuple[Literal["text", "list", "other"], ...]
    needs_box: bool = True
