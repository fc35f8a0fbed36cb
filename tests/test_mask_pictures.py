"""Mask pictures: a file with one reading is read, one with several is refused with the setting that decides."""

import contextlib
import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from evalkit.errors import DataError
from evalkit.mask_pictures import read_mask_picture
from evalkit.types import MaskFile

OBJECT_HW = np.zeros((30, 40), dtype=np.uint8)
OBJECT_HW[10:20, 5:25] = 1
ZERO_HW = OBJECT_HW * 0
WHITE_HW = ZERO_HW + 255


def palette(values_hw, colours):
    """Return a palette picture."""
    picture = Image.frombytes("P", values_hw.shape[::-1], values_hw.tobytes())
    picture.putpalette(colours + [0] * (768 - len(colours)))
    return picture


READ = {
    "0 and 1": Image.fromarray(OBJECT_HW),
    "0 and 255": Image.fromarray(OBJECT_HW * 255),
    "0 and 7": Image.fromarray(OBJECT_HW * 7),
    "one bit": Image.fromarray(OBJECT_HW * 255).convert("1"),
    "16 bits": Image.fromarray(OBJECT_HW.astype(np.uint16) * 40_000),
    "pure blue": Image.fromarray(np.dstack([ZERO_HW, ZERO_HW, OBJECT_HW * 255])),
    "white, object in alpha": Image.fromarray(np.dstack([WHITE_HW] * 3 + [OBJECT_HW * 255])),
    "black, object in alpha": Image.fromarray(np.dstack([ZERO_HW] * 3 + [OBJECT_HW * 255])),
    "grey with alpha": Image.fromarray(np.dstack([WHITE_HW, OBJECT_HW * 255]), "LA"),
    "opaque alpha": Image.fromarray(np.dstack([OBJECT_HW * 255] * 3 + [WHITE_HW])),
    "alpha says the same": Image.fromarray(np.dstack([OBJECT_HW * 255] * 4)),
    "black palette": palette(OBJECT_HW, []),
    "red palette": palette(OBJECT_HW, [0, 0, 0, 200, 0, 0]),
}


@pytest.mark.parametrize("name", READ)
def test_a_picture_with_one_reading_is_read(tmp_path, name):
    """Whichever channel holds the object, where no other says otherwise."""
    READ[name].save(tmp_path / "m.png")
    assert np.array_equal(read_mask_picture(MaskFile(str(tmp_path / "m.png"))), OBJECT_HW > 0)


@pytest.mark.parametrize("quality", [75, 90, 95])
def test_compression_noise_is_not_foreground(tmp_path, quality):
    """Values near 0 and near 255 are the two values of the mask that was saved."""
    Image.fromarray(OBJECT_HW * 255).save(tmp_path / "m.jpg", quality=quality)
    assert np.array_equal(read_mask_picture(MaskFile(str(tmp_path / "m.jpg"))), OBJECT_HW > 0)


CLASSES_HW = OBJECT_HW.copy()
CLASSES_HW[0:5, 0:5] = 2
REFUSED = {
    "class numbers": Image.fromarray(CLASSES_HW),
    "classes and a void label": Image.fromarray(np.where(CLASSES_HW == 2, 255, CLASSES_HW).astype(np.uint8)),
    "class numbers from 1": Image.fromarray(OBJECT_HW + 1),
    "soft edges": Image.fromarray(np.arange(1200, dtype=np.int64).reshape(30, 40).astype(np.uint8)),
    "palette of classes": palette(CLASSES_HW, [0, 0, 0, 9, 9, 9, 200, 0, 0]),
    "alpha says otherwise": Image.fromarray(np.dstack([OBJECT_HW * 255] * 3 + [OBJECT_HW[::-1, ::-1] * 255])),
    "a photograph cut out by alpha": Image.fromarray(
        np.dstack([np.arange(1200, dtype=np.int64).reshape(30, 40).astype(np.uint8)] * 3 + [OBJECT_HW * 255])
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_picture_with_several_readings_is_refused_with_the_way_out(tmp_path, name):
    """The message names the file and the setting."""
    REFUSED[name].save(tmp_path / "m.png")
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "m.png")) + ".*mask_channel"):
        read_mask_picture(MaskFile(str(tmp_path / "m.png")))


@pytest.mark.parametrize(
    ("name", "channel", "pixels"),
    [
        ("class numbers", "nonzero", 225),
        ("class numbers", "1", 200),
        ("class numbers", "2", 25),
        ("palette of classes", "1", 200),
        ("palette of classes", "index", 225),
        ("class numbers from 1", "2", 200),
        ("alpha says otherwise", "alpha", 200),
        ("a photograph cut out by alpha", "alpha", 200),
    ],
)
def test_the_setting_decides(tmp_path, name, channel, pixels):
    """Each way out that the refusal names works."""
    REFUSED[name].save(tmp_path / "m.png")
    assert read_mask_picture(MaskFile(str(tmp_path / "m.png"), channel)).sum() == pixels


@pytest.mark.parametrize("channel", ["alpha", "index"])
def test_a_channel_that_is_not_there_is_an_error(tmp_path, channel):
    """Never another channel in its place."""
    Image.fromarray(OBJECT_HW).save(tmp_path / "m.png")
    with pytest.raises(DataError, match="has no"):
        read_mask_picture(MaskFile(str(tmp_path / "m.png"), channel))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM"])
def test_damaged_mask_pictures_are_data_errors(tmp_path, kind):
    """Every byte of a small picture flipped in turn: a mask or a ``DataError``, nothing else."""
    stream = io.BytesIO()
    Image.fromarray(OBJECT_HW * 255).save(stream, kind)
    data = stream.getvalue()
    place = tmp_path / "m.bin"
    for number in range(0, len(data), max(1, len(data) // 120)):
        place.write_bytes(data[:number] + bytes([data[number] ^ 0x55]) + data[number + 1 :])
        with contextlib.suppress(DataError):
            read_mask_picture(MaskFile(str(place)))


def colour_of_sixteen_bits() -> bytes:
    """Return a PNG of three channels of 16 bits, of which the lower 8 hold the object."""
    rows = b"".join(b"\0" + np.repeat(row.astype(">u2"), 3).tobytes() for row in OBJECT_HW)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 40, 30, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def saved(picture, image_format, **options) -> bytes:
    """Return a picture as a file's bytes."""
    stream = io.BytesIO()
    picture.save(stream, image_format, **options)
    return stream.getvalue()


FRACTIONS_HW = OBJECT_HW.astype(np.float32)
ODD = {
    "16 bits a colour": (colour_of_sixteen_bits(), "more than 8 bits"),
    "an animation": (
        saved(
            Image.fromarray(OBJECT_HW * 255), "GIF", save_all=True, append_images=[Image.fromarray(ZERO_HW)]
        ),
        "holds 2 pictures",
    ),
    "pages": (
        saved(Image.fromarray(OBJECT_HW), "TIFF", save_all=True, append_images=[Image.fromarray(ZERO_HW)]),
        "holds 2 pictures",
    ),
    "not a number": (saved(Image.fromarray(FRACTIONS_HW * np.float32("nan")), "TIFF"), "no numbers"),
    "object and surroundings by a transparent grey": (
        saved(Image.fromarray(255 - OBJECT_HW * 255), "PNG", transparency=255),
        "mark different pixels",
    ),
    "a transparent 16-bit grey": (
        saved(Image.fromarray(OBJECT_HW.astype(np.uint16) * 9), "PNG", transparency=9),
        "transparent value",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_a_part_of_a_file_is_not_taken_for_the_mask(tmp_path, name):
    """Frames beyond the first, lower bits and transparent colours are no silent loss."""
    data, why = ODD[name]
    (tmp_path / "m").write_bytes(data)
    with pytest.raises(DataError, match=why):
        read_mask_picture(MaskFile(str(tmp_path / "m")))


RIGHT = {
    "big-endian TIFF": saved(
        Image.frombytes("I;16B", (40, 30), (OBJECT_HW.astype(">u2") * 300).tobytes()), "TIFF"
    ),
    "fractions": saved(Image.fromarray(FRACTIONS_HW), "TIFF"),
    "interlaced": saved(Image.fromarray(OBJECT_HW * 255), "PNG", interlace=1),
    "inks": saved(Image.fromarray(np.dstack([OBJECT_HW * 255] * 3)).convert("CMYK"), "TIFF"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_rare_kinds_of_one_reading_are_read(tmp_path, name):
    """Other orders of bytes, fractions and inks hold the same pixels."""
    (tmp_path / "m").write_bytes(RIGHT[name])
    assert np.array_equal(read_mask_picture(MaskFile(str(tmp_path / "m"))), OBJECT_HW > 0)


def test_transparent_palettes_have_an_alpha_channel(tmp_path):
    """As `mask_channel: alpha` names it."""
    picture = palette(OBJECT_HW, [10, 20, 30, 10, 20, 30])
    picture.save(tmp_path / "m.png", transparency=bytes([0, 255]))
    assert np.array_equal(read_mask_picture(MaskFile(str(tmp_path / "m.png"), "alpha")), OBJECT_HW > 0)
