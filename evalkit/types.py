"""The records that travel between the parts of evalkit.

Data flows one way::

    config -> loaders -> Sample -> models -> Response -> store
                                               |
                 Score <- metrics <- masks <- decode -> Decoded

Every record is a frozen dataclass. Arrays never travel in them but as ``Rle`` or as the
cropped ``CropMask``, so that nothing holds a full-image array for longer than a row's work.

Coordinate spaces are part of a name: ``box_px_xyxy`` is ``(x0, y0, x1, y1)`` in pixels of the
image the ground truth was drawn on, half open (``x1`` and ``y1`` are one past the last pixel);
``box_norm1000_yxyx`` is Gemini's ``[y0, x0, y1, x1]`` in 0..1000.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    BoolMask = NDArray[np.bool_]

BoxOrder = Literal["yxyx", "xyxy", "xywh", "cxcywh"]
"""How four numbers make a box: two corners, or a near corner (``cx``: a centre) with width and height."""

Unit = Literal["norm1000", "norm1", "pixel"]
"""What a coordinate counts: thousandths of the image, the image itself as 1, or pixels of the image as sent."""

StatedBox = tuple[float, float, float, float]
"""Four numbers of an answer as they stand there, in an order and a unit that are not yet settled."""

Outcome = Literal["decoded", "no_target", "format_failure", "blocked", "not_run", "data_error"]
"""What became of one sample sent to one model; a failure is an outcome, never a value."""

BoxPx = tuple[int, int, int, int]
"""``(x0, y0, x1, y1)`` in pixels, half open."""


@dataclass(frozen=True, slots=True)
class Rle:
    """One binary mask as COCO run lengths, column-major, starting with background.

    ``counts`` is pycocotools' compressed form. ``height_px`` x ``width_px`` is the full image.
    """

    height_px: int
    width_px: int
    counts: bytes

    def to_json(self) -> dict[str, object]:
        """Return ``{"size": [h, w], "counts": str}``, the form COCO result files use."""
        return {"size": [self.height_px, self.width_px], "counts": self.counts.decode("ascii")}


@dataclass(frozen=True, slots=True)
class Polygons:
    """A region as COCO polygons: flat ``(x, y, x, y, ...)`` rings in pixels, their union filled."""

    rings_px: tuple[tuple[float, ...], ...]


MASK_CHANNELS = ("auto", "nonzero", "half", "alpha", "index")
"""Which pixels of a mask picture can be said to be the object, besides those of one value, a number."""


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A region kept in an image file.

    ``channel``: which of its pixels are the object, see ``evalkit.mask_pictures.read_mask_picture``.
    """

    path: str
    channel: str = "auto"


Region = Rle | Polygons | MaskFile
"""Pixels of one annotated object, rasterised only when a row is scored."""


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """What an annotator marked for one expression on an image of ``height_px`` x ``width_px``.

    Both are 0 where nothing on disk says the size, as the photograph is missing: a data error when asked.
    ``instances``: the target objects; the target mask is their union. Empty = nothing fits.
    ``ignore``: pixels that count neither for nor against (ReasonSeg).
    ``box_px_xyxy``: the dataset's own box where it has one (floats, half open), else None.
    ``alternatives``: further annotators of the same sample (SA-Co Gold has three in all).
    ``exhaustive``: False where the annotator says that not every instance is marked.
    ``overlap``: where rings of one polygon instance overlap, kept when polygons become run lengths
    (the sums of lichengunc/refer hold 2 there; the protocol ``lisa-exact`` needs it).
    ``fault``: why the target cannot be told, such as a damaged mask file: its sample is a data error, and what
    the instances hold is nothing.
    """

    height_px: int
    width_px: int
    instances: tuple[Region, ...] = ()
    ignore: Region | None = None
    box_px_xyxy: tuple[float, float, float, float] | None = None
    alternatives: tuple[GroundTruth, ...] = ()
    exhaustive: bool = True
    overlap: Region | None = None
    fault: str | None = None

    @property
    def size_known(self) -> bool:
        """False where the photograph is missing and nothing else says its size."""
        return self.height_px > 0 and self.width_px > 0

    @property
    def no_target(self) -> bool:
        """True where nothing in the image fits the expression."""
        return not self.instances


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where a photograph lies; it is read only when it is sent or drawn.

    ``path``: a local path or an fsspec URL; ``inline`` holds the file's bytes instead where a
    dataset carries them in its own file (Hugging Face parquet). ``sha256``: hex digest of the
    file as the dataset declares it, checked on reading, or None.
    """

    path: str
    inline: bytes | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One (image, referring expression, ground truth): the unit of every denominator.

    ``sample_id`` is the dataset's own key; ``image_id`` groups the expressions of one image, the
    unit that intervals resample. ``tags`` are the slices a summary can be cut by.
    """

    dataset: str
    split: str
    sample_id: str
    image_id: str
    image: ImageRef
    expression: str
    truth: GroundTruth
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens billed for one answer, as the endpoint reports them; None = not reported.

    ``all_counted``: False where the endpoint's own counts leave something out that it bills, so that
    no cost can be told. An endpoint that counts thinking as output reports no ``thought_tokens``.
    ``cost_usd``: what the endpoint itself says that the answer cost.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    thought_tokens: int | None = None
    all_counted: bool = True
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """One answer of one model, read from the raw ``body`` that the ledger keeps.

    ``text``: what decoding reads (the non-thought text parts joined; for other providers the
    answer in a wire format of ``decode``), None where there is none. ``finish_reason`` and
    ``block_reason`` are the API's words, unknown ones included. ``simulated``: the body itself says
    that the simulator made it, whichever endpoint it was asked through.
    """

    body: str
    text: str | None
    finish_reason: str | None = None
    block_reason: str | None = None
    model_version: str | None = None
    usage: Usage = Usage()
    simulated: bool = False


SIMULATED_WARNING = "SIMULATED ANSWERS: these numbers say nothing about any real model."
"""What stands above numbers of simulated answers in the terminal and the notebook."""

SIMULATED_ID = "simulated-"
"""What every ``responseId`` of the simulator begins with, so that its answers can never pass for real ones."""


@dataclass(frozen=True, slots=True)
class AskedFormat:
    """What a prompt asked for: the yardstick of ``strict``, and the convention that answers are read by.

    ``wire_format``: a code of DESIGN 4.5 (``png_data_url`` for Google's mask prompt), or None
    where the prompt leaves it open. ``box_order`` and ``unit`` are what it states for boxes, ``unit``
    for points too. ``point_order`` and ``frame`` are what it states for polygons: ``image`` = ``unit``
    over the full image, ``box`` = ``unit`` inside the item's box.
    ``keys``: the keys that every item must have to be strict. ``wrapper``: the key of the object
    that the prompt asks to wrap the list in, or None for a bare list. ``task``: ``mask`` or ``box``.
    ``max_side_px``: the run's ``image.max_side``: pixels are those of the image reduced to it.
    """

    wire_format: str | None = "png_data_url"
    point_order: Literal["xy", "yx"] = "xy"
    frame: Literal["image", "box"] = "image"
    keys: tuple[str, ...] = ("box_2d", "mask")
    wrapper: str | None = None
    task: Literal["mask", "box"] = "mask"
    box_order: BoxOrder = "yxyx"
    unit: Unit = "norm1000"
    max_side_px: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CropMask:
    """A mask as the part of the image it touches: ``crop_hw`` (bool, H x W) at ``(x0_px, y0_px)``.

    Pixels outside the crop are background. The crop lies inside the image. Counting inside crops
    is what keeps scoring off full-image arrays. ``levels_hw``: the grey values that were cut at
    ``DecodeSettings.threshold`` (uint8, H x W); None where the answer gave no grey values.
    """

    height_px: int
    width_px: int
    x0_px: int
    y0_px: int
    crop_hw: BoolMask
    levels_hw: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One object of an answer: it has a ``mask`` or a ``failure``, never both.

    Under ``task: box`` a box-only item has a box and neither.
    ``box_px_xyxy``: the item's own box after the repairs listed, None where it has none that is
    usable; with fractions only where predictions made elsewhere gave them. ``score``: a confidence
    that the answer gave, else None. ``stated_box``: the box's four numbers as they stand in the answer, kept
    where they could not be read too; ``stated_extent``: the smallest and the largest first and second number
    of its points ``(low, low, high, high)``. Both serve a run's diagnosis alone (``evalkit.metrics.reading``).
    """

    label: str | None
    box_px_xyxy: BoxPx | tuple[float, float, float, float] | None
    wire_format: str | None
    repairs: tuple[str, ...] = ()
    failure: str | None = None
    mask: CropMask | None = None
    score: float | None = None
    stated_box: StatedBox | None = None
    stated_extent: StatedBox | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """The verdict on one answer.

    ``failure`` is set for ``format_failure`` only: the first failing item's code, or the
    answer's own (``no_json``, ``truncated``...). ``strict``: the answer is what the prompt asked
    for (DESIGN 4.5). ``repairs`` are those of the answer as a whole (a fence, prose around);
    an item's own stand in the item. ``mask`` is the prediction after ``DecodeSettings.instances``.
    """

    outcome: Outcome
    failure: str | None
    strict: bool
    items: tuple[Item, ...] = ()
    repairs: tuple[str, ...] = ()
    mask: CropMask | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its 95 % interval; no part of it is a negative zero."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        """Turn -0.0, which a mirrored limit gives and JSON would show, into 0.0."""
        for name in ("value", "low", "high"):
            object.__setattr__(self, name, getattr(self, name) + 0.0)

    def to_json(self) -> dict[str, float]:
        """Return ``{"value", "low", "high"}``, as summary.json writes every rate and mean."""
        return {"value": self.value, "low": self.low, "high": self.high}
