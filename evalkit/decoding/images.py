"""base64 text -> image bytes -> grey image -> mask inside a box. Bombs are refused before decoding."""

from __future__ import annotations

import binascii
import io
import re
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np
from zlib_ng import zlib_ng

from evalkit.decoding.budget import PixelBudget
from evalkit.decoding.codes import Unreadable
from evalkit.decoding.settings import DecodeSettings
from evalkit.types import BoxPx, CropMask

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    Levels = NDArray[np.uint8]

MAX_SIDE_PX: Final = 16_384
MAX_IMAGE_PX: Final = 4096 * 4096
"""A mask image larger than this is refused: Gemini's have 256 x 256 pixels, Vertex's the image's."""

_PX_PER_PLACED_PX: Final = 4
"""Unpacking four pixels of a mask costs about as much as placing one (measured)."""
_PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
_PNG_NEEDED: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_PLAIN_GREY: Final = b"\x08\x00\x00\x00\x00"
"""The end of a PNG's header for 8-bit grey, deflate, the common filters and no interlacing."""
_STORED_BYTES: Final = 65_535
"""Bytes of one block of a deflate stream that is not packed (RFC 1951, 3.2.4)."""
_UNPACK_ERROR: Final = cast("type[Exception]", zlib_ng.error)  # its stub calls it an instance
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel of a PNG's colour types (PNG specification, 11.2.2)."""
_PERCENT: Final = re.compile(r"%(?:2[BbFf]|3[Dd])")
_PERCENT_MEANS: Final = {"%2B": "+", "%2F": "/", "%3D": "="}
_URL_SAFE: Final = str.maketrans("-_", "+/")
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


def read_base64(text: str) -> tuple[bytes, list[str]]:
    """Return the bytes of base64 text and the repairs. Raises ``Unreadable`` (mask_bad_base64, mask_empty).

    Missing padding is added; a character that is missing may look the same, so that the bytes must be
    held to their checksums (``open_grey``).
    """
    if not text or text.isspace():
        raise Unreadable("mask_empty")
    try:
        return binascii.a2b_base64(text, strict_mode=True), []
    except ValueError:
        pass
    packed, repairs = _repaired_base64(text)
    try:
        return binascii.a2b_base64(packed, strict_mode=True), repairs
    except ValueError as error:
        raise Unreadable("mask_bad_base64") from error


def _repaired_base64(text: str) -> tuple[str, list[str]]:
    """Return base64 in its common alphabet, without blanks and padded, and the repairs that took."""
    repairs: list[str] = []
    packed = "".join(text.split())
    if packed != text.strip():
        repairs.append("raw_newline")
    if "%" in packed:
        packed = _PERCENT.sub(lambda match: _PERCENT_MEANS[match.group().upper()], packed)
        repairs.append("percent_encoded")
    if ("-" in packed or "_" in packed) and not ("+" in packed or "/" in packed):
        # RFC 4648, section 5; a text of both alphabets is neither.
        packed = packed.translate(_URL_SAFE)
        repairs.append("urlsafe_base64")
    missing = -len(packed.rstrip("=")) % 4
    if missing < 3 and len(packed) % 4:
        packed = packed.rstrip("=") + "=" * missing
        repairs.append("base64_padding")
    return packed, repairs


def open_grey(data: bytes, budget: PixelBudget) -> Image.Image:
    """Return the image as one channel of 0..255 (mode L). Raises ``Unreadable`` (mask_bad_png, too_large).

    Colours count by their brightest channel, so that a red mask is as good as a white one; with
    transparency, by colour times opacity, or by opacity alone where the colour is uniform.
    """
    from PIL import Image

    if data.startswith(_PNG_MAGIC):
        png = _sound_png(data, budget)
        if (plain := png.plain_grey()) is not None:
            budget.spend_px(plain.width * plain.height // _PX_PER_PLACED_PX)
            return plain
        data = b"".join(png.chunks)
    elif data.startswith(b"\xff\xd8") and not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise Unreadable("mask_bad_png")  # a JPEG ends in its end mark (ITU-T T.81, B.1.1.3)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            _check_size(*image.size)
            # A few kilobytes can unpack to millions of pixels: what they cost is bounded per answer.
            budget.spend_px(image.width * image.height // _PX_PER_PLACED_PX)
            image.load()
            return image if image.mode == "L" and "transparency" not in image.info else _to_grey(image)
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        OverflowError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        # Pillow's decoders raise all of these on damaged files.
        raise Unreadable("mask_bad_png") from error


def _check_size(width_px: int, height_px: int) -> None:
    if (
        not 0 < width_px <= MAX_SIDE_PX
        or not 0 < height_px <= MAX_SIDE_PX
        or width_px * height_px > MAX_IMAGE_PX
    ):
        raise Unreadable("mask_bad_png")


class _SoundPng(NamedTuple):
    """A PNG whose checksums hold: the chunks that carry pixels, the magic number first, and the unpacked pixels.

    ``stream_check``: the checksum that ends the packed pixels.
    """

    chunks: list[bytes]
    rows: bytes
    stream_check: bytes

    def plain_grey(self) -> Image.Image | None:
        """Return the image of a PNG that is 8-bit grey and nothing else; None for any other.

        Most masks are that. Pillow's decoder is handed the pixels that were unpacked for their checksum, as a stream
        of blocks that are not packed, so that nothing is unpacked twice.
        """
        header = self.chunks[1]
        width, height = struct.unpack(">II", header[8:16])
        between = self.chunks[2:-1]
        is_plain = (
            header[16:-4] == _PLAIN_GREY
            and len(self.rows) == height * (width + 1)
            and between
            and all(chunk[4:8] == b"IDAT" for chunk in between)
        )
        if not is_plain:
            return None
        from PIL import Image

        try:
            return Image.frombytes("L", (width, height), self._stored(), "zip", "L", 0)
        except ValueError:  # a filter that does not exist: the general way has the last word
            return None

    def _stored(self) -> bytes:
        """Return the pixels as a zlib stream of blocks that are not packed (RFC 1950, RFC 1951)."""
        blocks = [b"\x78\x01"]
        for start in range(0, len(self.rows), _STORED_BYTES):
            block = self.rows[start : start + _STORED_BYTES]
            is_last = start + _STORED_BYTES >= len(self.rows)
            blocks += (struct.pack("<BHH", is_last, len(block), len(block) ^ 0xFFFF), block)
        blocks.append(self.stream_check)
        return b"".join(blocks)


def _sound_png(data: bytes, budget: PixelBudget) -> _SoundPng:
    """Return a PNG without the chunks that carry no pixels (text bombs, animation, profiles).

    Raises ``Unreadable``: mask_bad_png where a checksum fails, the end is missing, or the pixels do not
    unpack to their own end; too_large. Pillow alone reads damaged pixels without a word.
    """
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise Unreadable("mask_bad_png")
    width, height = struct.unpack(">II", data[16:24])
    _check_size(width, height)
    kept: list[bytes] = [_PNG_MAGIC]
    pixels: list[bytes] = []
    position, kind = 8, b""
    while kind != b"IEND":
        body = position + 8
        end = body + int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : body]
        if end + 4 > len(data) or zlib_ng.crc32(data[position + 4 : end]) != int.from_bytes(
            data[end : end + 4], "big"
        ):
            raise Unreadable("mask_bad_png")
        if kind in _PNG_NEEDED:
            kept.append(data[position : end + 4])
        if kind == b"IDAT":
            pixels.append(data[body:end])
        position = end + 4
    budget.spend_px(width * height // _PX_PER_PLACED_PX)
    row_bytes = (width * data[24] * _CHANNELS.get(data[25], 4) + 7) // 8 + 1
    packed = b"".join(pixels)
    rows = _unpacked(packed, 2 * height * row_bytes + 64)  # interlaced ones have up to twice the rows
    return _SoundPng(kept, rows, packed[-4:])


def _unpacked(packed: bytes, most_bytes: int) -> bytes:
    """Return a PNG's pixels. Raises ``Unreadable`` (mask_bad_png) where they do not unpack whole, checksum included.

    By zlib-ng, which takes a third of the time of zlib for the same bytes.
    """
    unpack = zlib_ng.decompressobj()
    try:
        rows: bytes = unpack.decompress(packed, most_bytes)
    except _UNPACK_ERROR as error:
        raise Unreadable("mask_bad_png") from error
    if not unpack.eof:
        raise Unreadable("mask_bad_png")
    return rows if not unpack.unused_data else b""


def is_png_prefix(encoded: str) -> bool:
    """Return True where base64 text, perhaps with its data: prefix, is the sound beginning of a PNG.

    A real mask that was cut may well look periodic (rows repeat): it is no runaway as long as its
    checksums hold and its pixels unpack.
    """
    packed = "".join(encoded[encoded.find(",") + 1 :].split()).rstrip("=")
    try:
        data = binascii.a2b_base64(packed[: len(packed) // 4 * 4], strict_mode=True)
    except ValueError:
        return False
    if not data.startswith(_PNG_MAGIC):
        return False
    unpack, position = zlib.decompressobj(), 8
    while position + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        body, check = data[position + 8 : position + 8 + length], position + 8 + length
        if not kind.isalpha() or (unpack.eof and kind == b"IDAT"):
            return False
        if check + 4 <= len(data) and zlib.crc32(kind + body) != int.from_bytes(
            data[check : check + 4], "big"
        ):
            return False
        try:
            unpack.decompress(body if kind == b"IDAT" else b"", 4 * MAX_IMAGE_PX)
        except zlib.error:
            return False
        position = check + 4
    return True


def _to_grey(image: Image.Image) -> Image.Image:
    """Reduce any mode that Pillow gives a PNG, JPEG, WebP, GIF or BMP to L."""
    from PIL import Image

    if image.mode in ("1", "L"):
        return image.convert("L")
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        return Image.fromarray(np.clip(wide >> 8, 0, 255).astype(np.uint8))
    if "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBa", "RGBA"):
        values = np.asarray(image.convert("RGBA"))
        colour, opacity = values[..., :3].max(axis=2), values[..., 3]
        uniform = int(colour.min()) == int(colour.max())
        blended = opacity if uniform and opacity.min() != opacity.max() else _times(colour, opacity)
        return Image.fromarray(np.ascontiguousarray(blended))
    return Image.fromarray(np.ascontiguousarray(np.asarray(image.convert("RGB")).max(axis=2)))


def _times(colour: Any, opacity: Any) -> Any:
    return (colour.astype(np.uint16) * opacity // 255).astype(np.uint8)


class AnswerImages:
    """The images of one answer: opened once and resized once, under however many settings it is read.

    What an image costs is taken off each reading's own budget, so that none is judged by another.
    """

    def __init__(self) -> None:
        self._opened: dict[str, tuple[Image.Image, list[str]] | Unreadable] = {}
        self._resized: dict[tuple[int, int, int, str], Levels] = {}

    @property
    def any_opened(self) -> bool:
        """True where the answer holds an image, readable or not."""
        return bool(self._opened)

    def open_base64(self, text: str, budget: PixelBudget) -> tuple[Image.Image, list[str]]:
        """Return the grey image of base64 text and the repairs of the text. Raises ``Unreadable``."""
        found = self._opened.get(text)
        if found is None:
            try:
                data, repairs = read_base64(text)
                found = (open_grey(data, budget), repairs)
            except Unreadable as error:
                if error.code != "too_large":  # that is the budget's, not the image's
                    self._opened[text] = error
                raise
            self._opened[text] = found
        elif isinstance(found, Unreadable):
            raise found
        else:
            budget.spend_px(found[0].width * found[0].height // _PX_PER_PLACED_PX)
        return found

    def place(
        self, grey: Image.Image, place_px: BoxPx, visible_px: BoxPx, settings: DecodeSettings
    ) -> Levels:
        """Return the visible crop (uint8, H x W) of an image laid over ``place_px`` (x0, y0, x1, y1).

        Resized to the box with Pillow's filter (DESIGN 6); what lies off the image is cut off, never
        squeezed in.
        """
        x0, y0, x1, y1 = place_px
        key = (id(grey), x1 - x0, y1 - y0, settings.filter)
        if key not in self._resized:
            from PIL import Image

            resampling = Image.Resampling[settings.filter.upper()]
            self._resized[key] = np.asarray(grey.resize((x1 - x0, y1 - y0), resampling))
        left, top, right, bottom = visible_px
        return self._resized[key][top - y0 : bottom - y0, left - x0 : right - x0]


def crop_mask(
    levels_hw: Levels, visible_px: BoxPx, height_px: int, width_px: int, threshold: int
) -> CropMask:
    """Return the crop as a mask of the image, foreground = value > threshold.

    Raises ``Unreadable`` (mask_empty) without foreground.
    """
    crop_hw = levels_hw > threshold
    if not crop_hw.any():
        raise Unreadable("mask_empty")
    return CropMask(height_px, width_px, visible_px[0], visible_px[1], crop_hw, levels_hw)
