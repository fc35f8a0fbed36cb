"""Photographs: read once, in the frame that the mask was drawn on, as the bytes that are sent.

The file's own bytes are sent wherever that is unambiguous. A file with an EXIF orientation is the
exception: some readers turn it and some do not, so it is written anew, turned as the ground truth
was, without the tag.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from evalkit.errors import DataError
from evalkit.types import ImageRef

if TYPE_CHECKING:
    from PIL.Image import Image

SizePx = tuple[int, int]
"""``(width, height)`` in pixels."""

SENT_AS_IS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "HEIF": "image/heic"}
"""Pillow's format names that Gemini accepts unchanged (vendor page, read 2026-11-21)."""

EXIF_ORIENTATION = 0x0112

UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What turns a picture of each EXIF orientation upright, in Pillow's words (Exif 2.32, tag 0x0112).

Pillow's own ``exif_transpose`` also writes the block anew, which fails on blocks that are damaged elsewhere.
"""

LAST_BYTES = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}
"""How a whole file ends (PNG specification 11.2.5; JPEG, ITU-T T.81 B.1.1.3). Zeros may follow."""


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """One photograph as it is sent: ``data`` of ``mime_type``, its size, the file's SHA-256 (hex)."""

    data: bytes
    mime_type: str
    width_px: int
    height_px: int
    sha256: str


def read_image(ref: ImageRef, truth_size_px: SizePx | None = None) -> ImageBytes:
    """Return the photograph in the frame of its ground truth.

    ``truth_size_px``: (width, height) of the ground truth, where there is one. An EXIF orientation
    is applied, unless only the untouched pixels have the size of the ground truth.
    Raises ``DataError`` where the file is missing, damaged, changed or of another size.
    """
    data = read_bytes(ref)
    sha256 = hashlib.sha256(data).hexdigest()
    if ref.sha256 is not None and ref.sha256 != sha256:
        raise DataError(
            f"image {ref.path} has changed: its SHA-256 is {sha256[:12]}..., the dataset was annotated on "
            f"{ref.sha256[:12]}...; its masks may not fit. Restore the file, or annotate anew"
        )
    image = open_image(data, ref.path)
    _require_whole(image, data, ref.path)
    orientation = orientation_of(image, ref.path)
    if orientation == 1 and image.format in SENT_AS_IS:
        sent = ImageBytes(data, SENT_AS_IS[image.format], image.width, image.height, sha256)
    else:
        upright = _in_truth_frame(load_image(data, ref.path), orientation, truth_size_px)
        try:
            sent = _encoded(upright, "JPEG" if image.format == "JPEG" else "PNG", sha256)
        except Exception as error:
            raise DataError(f"image {ref.path} cannot be written anew: {_words(error)}") from error
    if truth_size_px is not None and (sent.width_px, sent.height_px) != truth_size_px:
        raise DataError(
            f"image {ref.path} is {sent.width_px}x{sent.height_px} pixels (width x height) but its ground truth "
            f"is {truth_size_px[0]}x{truth_size_px[1]}: the mask must be drawn on this very image"
        )
    return sent


def archive_hint(location: str) -> str:
    """Return how a file inside an archive is written, where ``location`` names one in another way; else nothing."""
    if location.startswith("zip:") and "::" not in location:
        return " (a file inside an archive is written zip://MEMBER::/full/path/of/archive.zip)"
    return ""


def read_bytes(ref: ImageRef) -> bytes:
    """Return the bytes of the image's file. Raises ``DataError`` where there is none."""
    import fsspec

    if ref.inline is not None:
        return ref.inline
    # A pipe or a device is opened without an end: whoever waits for it waits for ever.
    if "://" not in ref.path and os.path.exists(ref.path) and not os.path.isfile(ref.path):  # noqa: PTH110, PTH113
        raise DataError(f"image {ref.path!r:.200} is no regular file: a photograph is read from a file")
    try:
        with fsspec.open(ref.path, "rb") as stream:
            data: bytes = stream.read()
    except FileNotFoundError as error:
        raise DataError(
            f"image {ref.path} does not exist: check the dataset's `root:` or `images:`{archive_hint(ref.path)}"
        ) from error
    except (OSError, ValueError, NotImplementedError, ImportError) as error:
        raise DataError(f"image {ref.path!r:.200} cannot be read: {error}{archive_hint(ref.path)}") from error
    return data


def image_exists(ref: ImageRef) -> bool:
    """Tell whether the photograph is there and not empty, without reading it."""
    import fsspec

    if ref.inline is not None:
        return True
    try:
        filesystem, path = fsspec.core.url_to_fs(ref.path)
        return bool(filesystem.isfile(path)) and filesystem.size(path) != 0
    except (OSError, ValueError, NotImplementedError, ImportError):
        return False


def open_image(data: bytes, name: str) -> Image:
    """Return an opened (not yet decoded) Pillow image. Raises ``DataError`` on anything else."""
    return _opened(io.BytesIO(data), data[:12], len(data), name)


@contextmanager
def image_file_opened(path: str) -> Iterator[Image]:
    """Open a local image file, of which only the header is read so far. Raises ``DataError`` on anything else."""
    try:
        stream = Path(path).open("rb")  # noqa: SIM115  (what opening raises is told apart from what the block raises)
    except (OSError, ValueError) as error:
        raise DataError(f"image {path!r:.200} cannot be read: {error}") from error
    with stream:
        head = stream.read(12)
        stream.seek(0)
        with _opened(stream, head, os.fstat(stream.fileno()).st_size, path) as image:
            yield image


def _opened(stream: IO[bytes], head: bytes, size_bytes: int, name: str) -> Image:
    from PIL import Image

    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1"):
        _enable_heif(name)
    try:
        return Image.open(stream)
    except Exception as error:
        raise DataError(
            f"image {name} cannot be read as an image ({size_bytes} bytes): {_words(error)}"
        ) from error


def load_image(data: bytes, name: str) -> Image:
    """Return a decoded Pillow image. Raises ``DataError`` where any of it is damaged or missing."""
    image = open_image(data, name)
    try:
        image.load()
    except Exception as error:
        raise DataError(
            f"image {name} is damaged or incomplete ({len(data)} bytes): {_words(error)}"
        ) from error
    return image


def orientation_of(image: Image, name: str) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none. Raises ``DataError`` on a damaged EXIF block.

    A value outside 1..8 means nothing (Exif 2.32, tag 0x0112) and is taken as 1, as every viewer does.
    """
    try:
        value = image.getexif().get(EXIF_ORIENTATION, 1)
    except Exception as error:
        raise DataError(
            f"image {name}: its EXIF block is damaged: {_words(error)}. Write the file anew"
        ) from error
    if isinstance(value, bytes):
        value = value.rstrip(b"\0").decode("ascii", "replace")
    # Some writers store the number as text or as a fraction.
    return next((number for number in range(1, 9) if value == number or str(value).strip() == str(number)), 1)


def _words(error: Exception) -> str:
    """Return an exception of Pillow in words; many of them carry none of their own."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _require_whole(image: Image, data: bytes, name: str) -> None:
    """Decode what may be half a download; a file that ends as its format does is taken as whole."""
    last = LAST_BYTES.get(image.format or "")
    if last is None or not data.rstrip(b"\0").endswith(last):
        load_image(data, name)


def reduce_image(image: ImageBytes, max_side_px: int) -> ImageBytes:
    """Return the image with its longest side at most ``max_side_px``, as Google's sample does (Lanczos)."""
    from PIL import Image

    if max(image.width_px, image.height_px) <= max_side_px:
        return image
    opened = load_image(image.data, "of the request")
    try:
        plain = _plain(opened)
        plain.thumbnail((max_side_px, max_side_px), Image.Resampling.LANCZOS)
    except Exception as error:
        raise DataError(f"the image cannot be reduced to {max_side_px} pixels: {_words(error)}") from error
    return _encoded(plain, "JPEG" if image.mime_type == "image/jpeg" else "PNG", image.sha256)


def sent_size_px(size_px: SizePx, max_side_px: int | None) -> SizePx:
    """Return (width, height) of an image of ``size_px`` after ``reduce_image``, without the image.

    The shorter side is the one of its two whole numbers that keeps the aspect better, as Pillow's
    ``Image.thumbnail`` chooses it.
    """
    width, height = size_px
    if max_side_px is None or max(size_px) <= max_side_px:
        return size_px
    aspect = width / height
    if aspect <= 1:
        exact = max_side_px * aspect
        near = min(math.floor(exact), math.ceil(exact), key=lambda n: abs(aspect - n / max_side_px))
        return max(near, 1), max_side_px
    exact = max_side_px / aspect
    near = min(math.floor(exact), math.ceil(exact), key=lambda n: n and abs(aspect - max_side_px / n))
    return max_side_px, max(near, 1)


def _in_truth_frame(image: Image, orientation: int, truth_size_px: SizePx | None) -> Image:
    from PIL.Image import Transpose

    stored = image.size
    shown = (stored[1], stored[0]) if orientation >= 5 else stored
    if orientation == 1 or (truth_size_px == stored and truth_size_px != shown):
        return image
    return image.transpose(Transpose[UPRIGHT[orientation]])


def _encoded(image: Image, image_format: str, sha256: str) -> ImageBytes:
    stream = io.BytesIO()
    image.info.pop("exif", None)
    if image_format == "JPEG":
        image.convert("RGB").save(stream, "JPEG", quality=95, exif=b"")
    else:
        (image if image.mode in ("1", "P") else _plain(image)).save(stream, "PNG", exif=b"")
    return ImageBytes(stream.getvalue(), SENT_AS_IS[image_format], image.width, image.height, sha256)


def _plain(image: Image) -> Image:
    """Return an image in a mode that PNG has and Pillow resizes by more than the nearest pixel."""
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image.convert("L") if image.mode == "1" else eight_bits(image).convert("RGB")


def eight_bits(image: Image) -> Image:
    """Return an image of 8 bits a channel: 16 bits are scaled by their whole range (PNG specification, 13.12).

    Pillow's own conversion cuts them at 255, by which nearly all becomes white. Raises ``DataError`` on numbers whose
    range nothing says (32-bit whole numbers and fractions).
    """
    import numpy as np
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image
    values_hw = np.asarray(image)
    if image.mode == "F" or (image.mode == "I" and not (image.format == "PNG" and values_hw.min() >= 0)):
        raise DataError(
            f"the image holds {'fractions' if image.mode == 'F' else '32-bit whole numbers'}, and nothing says which of "
            "them is white: save it with 8 or 16 bits a channel"
        )
    return Image.fromarray(((values_hw.astype(np.uint32) * 255 + 32_767) // 65_535).astype(np.uint8))


def _enable_heif(name: str) -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise DataError(
            f"image {name} is HEIC/HEIF, which needs the extra `heic`: "
            "pip install 'evalkit-segmentation[heic]' (its wheel bundles x265, GPL-2)"
        ) from error
    register_heif_opener()
