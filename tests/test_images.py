"""Photographs: own bytes, EXIF orientation in the frame of the mask, typed errors."""

import hashlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evalkit.errors import DataError
from evalkit.images import image_exists, orientation_of, read_image, reduce_image, sent_size_px
from evalkit.types import ImageRef


def photo(width=6, height=4):
    values = np.arange(width * height * 3, dtype=np.uint8).reshape(height, width, 3)
    return Image.fromarray(values)


def save(path, image, **options):
    image.save(path, **options)
    return ImageRef(str(path))


def oriented(path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return save(path, photo(), exif=exif)


@pytest.mark.parametrize(
    ("suffix", "mime"), [("png", "image/png"), ("jpg", "image/jpeg"), ("webp", "image/webp")]
)
def test_own_bytes_are_sent_unchanged(tmp_path, suffix, mime):
    """A plain PNG, JPEG or WebP is sent as the bytes of its file."""
    ref = save(tmp_path / f"a.{suffix}", photo())
    image = read_image(ref)
    assert image.data == (tmp_path / f"a.{suffix}").read_bytes()
    assert (image.mime_type, image.width_px, image.height_px) == (mime, 6, 4)


def test_other_formats_become_lossless_png(tmp_path):
    """A BMP, which the endpoint does not take, arrives pixel-equal as PNG."""
    image = read_image(save(tmp_path / "a.bmp", photo()))
    assert image.mime_type == "image/png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(image.data))), np.asarray(photo()))


def test_orientation_is_applied_when_the_mask_was_drawn_on_the_upright_image(tmp_path):
    """A turned phone picture is sent as it is shown, without the tag."""
    image = read_image(oriented(tmp_path / "a.png", 6), (4, 6))
    sent = Image.open(io.BytesIO(image.data))
    assert sent.size == (4, 6)
    assert sent.getexif().get(0x0112, 1) == 1
    assert np.array_equal(np.asarray(sent), np.rot90(np.asarray(photo()), k=-1))


def test_orientation_is_dropped_when_the_mask_was_drawn_on_the_stored_pixels(tmp_path):
    """A mask of the stored size keeps the stored pixels, and nobody downstream can turn them."""
    image = read_image(oriented(tmp_path / "a.png", 6), (6, 4))
    sent = Image.open(io.BytesIO(image.data))
    assert sent.getexif().get(0x0112, 1) == 1
    assert np.array_equal(np.asarray(sent), np.asarray(photo()))


def test_a_mask_of_another_size_is_a_data_error(tmp_path):
    """Image and truth of different sizes are never scored against each other."""
    with pytest.raises(DataError, match="is 6x4 pixels .* but its ground truth is 5x4"):
        read_image(save(tmp_path / "a.png", photo()), (5, 4))


def test_a_missing_image_is_a_data_error(tmp_path):
    """The path and the way out stand in the error."""
    ref = ImageRef(str(tmp_path / "none.jpg"))
    assert not image_exists(ref)
    with pytest.raises(DataError, match="none.jpg does not exist: check"):
        read_image(ref)


def test_a_file_that_is_no_image_is_a_data_error(tmp_path):
    """A text file named .jpg is refused."""
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(DataError, match="cannot be read as an image"):
        read_image(ImageRef(str(tmp_path / "a.jpg")))


def test_a_changed_photograph_is_noticed(tmp_path):
    """A file whose digest is not the annotated one is refused."""
    ref = save(tmp_path / "a.png", photo())
    digest = hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    assert read_image(ImageRef(ref.path, sha256=digest)).sha256 == digest
    with pytest.raises(DataError, match="has changed"):
        read_image(ImageRef(ref.path, sha256="0" * 64))


def test_reducing_bounds_the_longest_side(tmp_path):
    """Google's sample sends at most 1024 px; smaller images stay as they are."""
    image = read_image(save(tmp_path / "a.png", photo(64, 32)))
    assert reduce_image(image, 64) is image
    small = reduce_image(image, 16)
    assert (small.width_px, small.height_px) == (16, 8)
    assert Image.open(io.BytesIO(small.data)).size == (16, 8)


def test_inline_bytes_need_no_file(tmp_path):
    """Images carried inside an annotation file are read from there."""
    save(tmp_path / "a.png", photo())
    ref = ImageRef("row 1", inline=(tmp_path / "a.png").read_bytes())
    assert image_exists(ref)
    assert read_image(ref).width_px == 6


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_half_a_download_is_a_data_error(tmp_path, suffix, orientation):
    """A file whose header is fine and whose pixels end early is never sent."""
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    noise.save(path, exif=exif)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=r"a\.\w+ (is damaged or incomplete|cannot be read as an image)"):
        read_image(ImageRef(str(path)))


def test_zeros_after_the_end_do_no_harm(tmp_path):
    """Files padded to a block size are whole."""
    ref = save(tmp_path / "a.png", photo())
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes() + bytes(100))
    assert (read_image(ref).width_px, read_image(ref).height_px) == (6, 4)


def test_an_empty_file_is_no_image(tmp_path):
    """A file without bytes counts as missing before anything is asked."""
    (tmp_path / "a.png").touch()
    assert not image_exists(ImageRef(str(tmp_path / "a.png")))


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 3000))
def test_the_size_as_sent_is_known_without_the_image(width, height, max_side):
    """Pillow's thumbnail, which reduce_image uses, is the reference."""
    reference = Image.new("1", (width, height))
    if max(width, height) > max_side:
        reference.thumbnail((max_side, max_side))
    assert sent_size_px((width, height), max_side) == reference.size
    assert sent_size_px((width, height), None) == (width, height)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_every_orientation_is_turned_as_pillow_turns_it(tmp_path, orientation):
    """Pixel by pixel."""
    from PIL import ImageOps

    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
    sent = read_image(ImageRef(str(path)))
    assert (np.asarray(Image.open(io.BytesIO(sent.data))) == expected).all()


@pytest.mark.parametrize(
    ("stored", "read"),
    [("6", 6), (b"6\0", 6), ("six", 1), ("\u00b2", 1), (6.0, 6), (float("nan"), 1), (0, 1), (9, 1)],
)
def test_orientations_of_other_types(monkeypatch, stored, read):
    """Text and fractions are read where they are one of the eight numbers; anything else is none."""
    picture = Image.new("L", (2, 2))
    monkeypatch.setattr(picture, "getexif", lambda: {0x0112: stored})
    assert orientation_of(picture, "a.png") == read


DEEP_HW = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)


def deep(kind):
    """Return a picture of 16 or 32 bits a channel, as bytes."""
    stream = io.BytesIO()
    if kind == "big-endian.tiff":
        Image.frombytes("I;16B", (60, 40), DEEP_HW.astype(">u2").tobytes()).save(stream, "TIFF")
    elif kind == "fractions.tiff":
        Image.fromarray((DEEP_HW / 65535).astype(np.float32)).save(stream, "TIFF")
    elif kind == "whole.tiff":
        Image.fromarray(DEEP_HW.astype(np.int32)).save(stream, "TIFF")
    else:
        Image.fromarray(DEEP_HW).save(stream, "TIFF" if kind.endswith("tiff") else "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["grey.png", "grey.tiff", "big-endian.tiff"])
def test_sixteen_bits_are_scaled_and_not_cut(kind):
    """The reduced picture is as bright as the file; cut at 255 it would be white."""
    sent = read_image(ImageRef(kind, deep(kind)))
    for image in (reduce_image(sent, 30), reduce_image(sent, 16)):
        shown_hw = np.asarray(Image.open(io.BytesIO(image.data)).convert("L"), dtype=float)
        assert shown_hw.mean() == pytest.approx(DEEP_HW.mean() / 257, abs=1)
        assert shown_hw.max() - shown_hw.min() > 230


def test_a_sixteen_bit_png_is_sent_as_it_is():
    """Without a bound on its side the file's own bytes go out."""
    data = deep("grey.png")
    assert read_image(ImageRef("x.png", data)).data == data


@pytest.mark.parametrize("kind", ["fractions.tiff", "whole.tiff"])
def test_numbers_without_a_range_are_refused(kind):
    """Nothing says which of them is white."""
    with pytest.raises(DataError, match="nothing says which of them is white"):
        read_image(ImageRef(kind, deep(kind)))


def test_palettes_and_bits_are_reduced_smoothly(tmp_path):
    """Their pixels are mixed as those of other pictures are, not picked one by one."""
    stripes_hw = np.tile(np.array([0, 255], np.uint8), (64, 32))
    for mode in ("1", "P"):
        save(tmp_path / "x.png", Image.fromarray(stripes_hw).convert(mode))
        reduced = reduce_image(read_image(ImageRef(str(tmp_path / "x.png"))), 16)
        shown_hw = np.asarray(Image.open(io.BytesIO(reduced.data)).convert("L"), dtype=float)
        assert shown_hw.mean() == pytest.approx(127.5, abs=3)
        assert shown_hw.std() < 20


def test_a_pipe_in_place_of_a_photograph_is_refused(tmp_path):
    """Opening one would wait for a writer for ever."""
    import os

    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match="no regular file"):
        read_image(ImageRef(str(tmp_path / "pipe.jpg")))
