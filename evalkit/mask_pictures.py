"""Masks kept in pictures: which pixels are the object, where the file leaves no doubt, else a refusal.

A picture's alpha channel, palette or grey values can each hold the object, and two readings of one file can
both look sound. Only a file that has one reading is read; the others are refused with the setting that decides.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.errors import DataError
from evalkit.images import load_image, read_bytes
from evalkit.types import ImageRef, MaskFile

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from evalkit.types import BoolMask

NEAR_AN_END = 32
"""Grey values this near to 0 or 255 are compression noise of a two-valued mask, not values of their own.

Quality 75 of JPEG moves a two-valued mask by up to about 30 grey levels at its edges.
"""

LOSSY_FORMATS = ("JPEG", "MPO", "WEBP", "AVIF", "JPEG2000")
"""Formats whose values may be noise; a PNG of 0, 1 and 255 holds class numbers and a void label."""

SHOWN_VALUES = 8


def read_mask_picture(region: MaskFile) -> BoolMask:
    """Return the mask kept in an image file (bool, H x W).

    ``region.channel``: ``auto`` reads a file that has one reading and refuses any other; ``nonzero`` and ``half``
    read the luminance (above 0; from half of its range on), ``alpha`` the alpha channel (above 0), ``index`` the
    palette's numbers (above 0), and a number those pixels that hold exactly that value.
    Raises ``DataError`` where the file is missing, damaged, without that channel, or open to more than one reading.
    """
    data = read_bytes(ImageRef(region.path))
    picture = _one_whole_picture(load_image(data, region.path), data, region.path)
    if region.channel == "auto":
        return _only_reading(picture, region.path)
    return _channel(picture, region.channel, region.path)


def _one_whole_picture(picture: Image, data: bytes, path: str) -> Image:
    """Return the picture with its transparent colour as alpha. Raises ``DataError`` where Pillow gives a part of it alone."""
    frames = 1 if picture.format == "MPO" else _frames(picture, path)
    if frames > 1:
        raise DataError(f"mask {path} holds {frames} pictures: save the one that is the mask")
    if _bits_of_a_channel(picture, data) > 8 and len(picture.getbands()) > 1:
        raise DataError(
            f"mask {path} has more than 8 bits in each of several channels, of which the upper 8 alone are read: save a "
            "mask of 0 and 255 as PNG"
        )
    if picture.mode == "F" and not np.isfinite(np.asarray(picture)).all():
        raise DataError(f"mask {path} holds values that are no numbers: save a mask of 0 and 255 as PNG")
    if "transparency" not in picture.info or picture.mode == "P":
        return picture
    if picture.mode not in ("1", "L", "RGB"):
        raise DataError(
            f"mask {path} ({picture.mode}) has a transparent value: save a mask of 0 and 255 as PNG"
        )
    image_format = picture.format
    picture = picture.convert("RGBA" if picture.mode == "RGB" else "LA")
    picture.format = image_format
    return picture


def _frames(picture: Image, path: str) -> int:
    """Return how many pictures the file holds. Raises ``DataError`` where those behind the first are damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(getattr(picture, "n_frames", 1))
    except Exception as error:
        raise DataError(f"mask {path} is damaged behind its first picture: {error}") from error


def _bits_of_a_channel(picture: Image, data: bytes) -> int:
    """Return how many bits the file gives a channel, 8 where it does not say: Pillow drops what is more in colours."""
    if picture.format == "TIFF":
        return int(max(picture.tag_v2.get(258, (8,))))  # type: ignore[attr-defined]  # BitsPerSample (TIFF 6.0, section 8)
    return data[24] if picture.format == "PNG" else 8  # the header's bit depth (PNG specification, 11.2.1)


def _channel(picture: Image, channel: str, path: str) -> BoolMask:
    if channel == "alpha":
        if picture.mode == "P" and "transparency" in picture.info:
            picture = picture.convert("RGBA")
        if "A" not in picture.getbands():
            raise DataError(
                f"mask {path} has no alpha channel (it is {picture.mode}): set `mask_channel:` to another"
            )
        return np.asarray(picture.getchannel("A")) > 0
    if channel == "index":
        if picture.mode != "P":
            raise DataError(
                f"mask {path} has no palette (it is {picture.mode}): set `mask_channel:` to another"
            )
        return np.asarray(picture) > 0
    values_hw = np.asarray(picture) if picture.mode == "P" and channel.isdigit() else _luminance(picture)
    if channel == "half":
        return values_hw >= (_full_scale(values_hw) + 1) / 2
    if channel == "nonzero":
        return values_hw > 0
    return np.asarray(values_hw == int(channel))


def _only_reading(picture: Image, path: str) -> BoolMask:
    """Return what every channel that could hold the object agrees on."""
    if picture.mode == "P" and "transparency" not in picture.info:
        return _agreed(
            [_plain_values(np.asarray(picture)), _plain_values(_luminance(picture))], picture, path
        )
    if picture.mode == "P":
        picture = picture.convert("RGBA")
    is_lossy = picture.format in LOSSY_FORMATS
    readings = [_plain_values(_luminance(picture), is_lossy=is_lossy)]
    if "A" in picture.getbands():
        readings.append(_plain_values(np.asarray(picture.getchannel("A"))))
    return _agreed(readings, picture, path)


def _agreed(readings: Sequence[BoolMask | str], picture: Image, path: str) -> BoolMask:
    """Return the one mask that the channels hold; a channel of a single value says nothing beside one that varies."""
    for reading in readings:
        if isinstance(reading, str):
            raise DataError(
                f"mask {path} ({picture.format}, {picture.mode}) {reading}. Say which pixels are the object with the "
                "dataset's `mask_channel:` (nonzero, half, alpha, index, or one value such as 3), or save a mask of "
                "0 and 255 as PNG"
            )
    masks = [reading for reading in readings if not isinstance(reading, str)]
    varied = [mask for mask in masks if mask.any() and not mask.all()]
    if not varied:
        # The first channel is the picture itself; a constant alpha or palette beside it says nothing.
        return np.asarray(masks[0], dtype=bool)
    if any(not np.array_equal(varied[0], other) for other in varied[1:]):
        raise DataError(
            f"mask {path} ({picture.format}, {picture.mode}): its channels mark different pixels "
            f"({' and '.join(str(int(mask.sum())) for mask in varied)} of {varied[0].size}). Say which one is the "
            "mask with the dataset's `mask_channel:` (nonzero, half, alpha, index, or one value)"
        )
    return np.asarray(varied[0], dtype=bool)


def _plain_values(values_hw: NDArray[Any], *, is_lossy: bool = False) -> BoolMask | str:
    """Return where a channel is foreground, or words for why that is not certain."""
    values = np.unique(values_hw)
    if values.size == 1 or (values.size == 2 and values[0] == 0):
        return np.asarray(values_hw > 0)
    near_ends = np.all((values <= NEAR_AN_END) | (values >= 255 - NEAR_AN_END))
    if is_lossy and near_ends and values[0] <= NEAR_AN_END and 255 - NEAR_AN_END <= values[-1] <= 255:
        return np.asarray(values_hw > 127)
    shown = ", ".join(str(value) for value in values[:SHOWN_VALUES])
    more = ", ..." if values.size > SHOWN_VALUES else ""
    return f"holds {values.size} values ({shown}{more}): class numbers, soft edges or a photograph"


def _luminance(picture: Image) -> NDArray[Any]:
    if picture.mode in ("1", "L", "I;16", "I", "F") or picture.mode.startswith("I;16"):
        return np.asarray(picture)
    if picture.mode == "LA":
        return np.asarray(picture.getchannel("L"))
    rgb_hwc = np.asarray(picture.convert("RGB"))
    # The brightest of the three: a pure blue object is not darker than a grey one.
    return np.asarray(rgb_hwc.max(axis=2))


def _full_scale(values_hw: NDArray[Any]) -> int:
    if values_hw.dtype == bool:
        return 1
    return 255 if values_hw.max(initial=0) <= 255 else 65535
