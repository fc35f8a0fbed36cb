"""PNG masks: every pixel format, the reference convention, boxes off the image, bombs."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.random_search import draws

from evalkit.decoding import decode_answer
from evalkit.decoding.settings import DecodeSettings
from evalkit.masks import full_mask

HEIGHT, WIDTH = 97, 143
BOX = [100, 200, 700, 900]


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> str:
    """Return the base64 text of an image file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def answer(box: list[float], encoded: str, prefix: str = "data:image/png;base64,") -> str:
    """Return a one-item answer."""
    return json.dumps([{"box_2d": box, "mask": prefix + encoded, "label": "x"}])


def decode(text: str, **changes: object):
    """Decode in a small image."""
    return decode_answer(text, height_px=HEIGHT, width_px=WIDTH, settings=DecodeSettings(**changes))


def block() -> np.ndarray:
    """Return a mask of 64 x 64 with a block and a lone corner."""
    values = np.zeros((64, 64), dtype=np.uint8)
    values[10:50, 15:55] = 255
    values[60:, 60:] = 255
    return values


def whole_image_reference(
    values: np.ndarray, box: list[int], rounding=int, threshold: int = 127
) -> np.ndarray:
    """Return the full-image mask by plain full-image arithmetic, the box inside the image."""
    sizes = (HEIGHT, WIDTH, HEIGHT, WIDTH)
    y0, x0, y1, x1 = (rounding(v * size / 1000) for v, size in zip(box, sizes, strict=True))
    resized = np.asarray(Image.fromarray(values).resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR))
    whole = np.zeros((HEIGHT, WIDTH), dtype=bool)
    whole[y0:y1, x0:x1] = resized > threshold
    return whole


@draws(50)
@given(
    seed=st.integers(0, 2**32 - 1),
    corner=st.tuples(st.integers(0, 970), st.integers(0, 970)),
    side=st.tuples(st.integers(30, 1000), st.integers(30, 1000)),
)
def test_a_mask_is_placed_as_the_published_convention_places_it(seed, corner, side):
    """Every pixel equals the full-image computation, whatever box and mask."""
    box = [*corner, min(corner[0] + side[0], 1000), min(corner[1] + side[1], 1000)]
    values = np.random.default_rng(seed).integers(128, 256, (24, 31)).astype(np.uint8)
    values[8:16, 10:20] = 0
    wanted = whole_image_reference(values, box)
    got = decode(answer(box, encode(Image.fromarray(values))))
    assert got.strict
    np.testing.assert_array_equal(full_mask(got.mask), wanted)


@pytest.mark.parametrize("box", [[-200, 100, 500, 900], [300, 300, 1200, 1019], [-50, -50, 1010, 1010]])
@pytest.mark.parametrize("filter_name", ["bilinear", "nearest", "bicubic", "lanczos", "box", "hamming"])
def test_a_box_past_the_edge_is_cut_and_not_squeezed(box, filter_name):
    """The visible part equals that of a larger canvas on which the whole box fits."""
    rng = np.random.default_rng(3)
    values = rng.integers(0, 256, (32, 32)).astype(np.uint8)
    got = decode(answer(box, encode(Image.fromarray(values))), filter=filter_name)
    y0, x0, y1, x1 = (int(v * s / 1000) for v, s in zip(box, (HEIGHT, WIDTH, HEIGHT, WIDTH), strict=True))
    pad = 200
    canvas = np.zeros((HEIGHT + 2 * pad, WIDTH + 2 * pad), dtype=bool)
    resampling = Image.Resampling[filter_name.upper()]
    resized = np.asarray(Image.fromarray(values).resize((x1 - x0, y1 - y0), resampling)) > 127
    canvas[y0 + pad : y1 + pad, x0 + pad : x1 + pad] = resized
    wanted = canvas[pad : pad + HEIGHT, pad : pad + WIDTH]
    assert got.items[0].repairs == ("box_clamped",)
    np.testing.assert_array_equal(full_mask(got.mask), wanted)


def test_thresholds_and_roundings_are_settings():
    """The same bytes give another mask under another convention, each as defined."""
    values = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    text = answer(BOX, encode(Image.fromarray(values)))
    for threshold in (0, 127, 200):
        wanted = whole_image_reference(values, BOX, threshold=threshold)
        np.testing.assert_array_equal(full_mask(decode(text, threshold=threshold).mask), wanted)
    np.testing.assert_array_equal(
        full_mask(decode(text, box_rounding="round").mask), whole_image_reference(values, BOX, rounding=round)
    )
    assert decode(text, box_rounding="expand").items[0].box_px_xyxy == (28, 9, 129, 68)


def sixteen_bit() -> Image.Image:
    """Return a 16-bit grey image of the block."""
    return Image.fromarray(block().astype(np.uint16) * 257)


def colour_on_clear() -> Image.Image:
    """Return the block as opaque white on transparent black."""
    rgba = np.zeros((64, 64, 4), dtype=np.uint8)
    rgba[block() > 0] = 255
    return Image.fromarray(rgba)


def black_on_clear() -> Image.Image:
    """Return the block in opacity alone, the colour being black throughout."""
    rgba = np.zeros((64, 64, 4), dtype=np.uint8)
    rgba[..., 3] = block()
    return Image.fromarray(rgba)


def red_on_black() -> Image.Image:
    """Return the block in red, whose luminance alone would fall below the threshold."""
    rgb = np.zeros((64, 64, 3), dtype=np.uint8)
    rgb[..., 0] = block()
    return Image.fromarray(rgb)


def palette() -> Image.Image:
    """Return the block as a two-colour palette image."""
    image = Image.fromarray((block() > 0).astype(np.uint8), mode=None).convert("P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    return image


VARIANTS = {
    "1 bit": lambda: Image.fromarray(block()).convert("1"),
    "16 bit": sixteen_bit,
    "palette": palette,
    "rgb": lambda: Image.fromarray(block()).convert("RGB"),
    "rgba opaque": lambda: Image.fromarray(block()).convert("RGBA"),
    "grey with alpha": lambda: Image.fromarray(block()).convert("LA"),
    "white on clear": colour_on_clear,
    "black on clear": black_on_clear,
    "red on black": red_on_black,
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_pixel_format_gives_the_same_mask(name):
    """Depth, palette, colour and transparency are read, not assumed."""
    got = decode(answer(BOX, encode(VARIANTS[name]())))
    np.testing.assert_array_equal(full_mask(got.mask), whole_image_reference(block(), BOX))


def raw_png(
    width: int, height: int, depth: int, rows: bytes, *, interlace: int = 0, extra: bytes = b""
) -> str:
    """Return the base64 of a grey PNG put together by hand."""
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, interlace)
    parts = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + parts).decode("ascii")


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(("depth", "row"), [(2, b"\x00\xff"), (4, b"\x00\x00\xff\xff")])
def test_two_and_four_bit_grey_is_scaled_to_the_full_range(depth, row):
    """The right half is foreground in an 8 x 8 image of 2 or 4 bits."""
    got = decode(answer([0, 0, 1000, 1000], raw_png(8, 8, depth, (b"\x00" + row) * 8)))
    mask = full_mask(got.mask)
    assert mask[:, : WIDTH // 2 - 2].sum() == 0
    assert mask[:, WIDTH // 2 + 2 :].all()


def test_an_interlaced_png_is_read():
    """Adam7 of a one-pixel image has one pass."""
    got = decode(answer(BOX, raw_png(1, 1, 8, b"\x00\xff", interlace=1)))
    assert full_mask(got.mask).sum() == (67 - 9) * (128 - 28)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "BMP"])
def test_other_image_types_are_read(kind):
    """A model that types another format is taken at its bytes, whatever the prefix says."""
    got = decode(answer(BOX, encode(Image.fromarray(block()), kind)))
    wanted = whole_image_reference(block(), BOX)
    assert np.mean(full_mask(got.mask) != wanted) < 0.01


@pytest.mark.parametrize("side", [60_000, 12_000, 2**31 - 1])
def test_a_declared_giant_is_refused_before_it_is_unpacked(side):
    """Sizes far past any mask are a bad image."""
    got = decode(answer(BOX, raw_png(side, side, 8, b"\x00" * 100)))
    assert got.failure == "mask_bad_png"


def test_a_text_chunk_that_unpacks_to_gigabytes_is_skipped():
    """A zip bomb in zTXt costs nothing: chunks without pixels are not read."""
    bomb = chunk(b"zTXt", b"k\x00\x00" + zlib.compress(bytes(50_000_000), 9))
    got = decode(answer(BOX, raw_png(1, 1, 8, b"\x00\xff", extra=bomb)))
    assert got.outcome == "decoded"


def test_a_pixel_stream_that_unpacks_to_gigabytes_stops_at_the_declared_size():
    """More rows than declared do not enlarge the image."""
    got = decode(answer(BOX, raw_png(8, 8, 8, bytes(60_000_000))))
    assert got.failure in ("mask_empty", "mask_bad_png")


def test_a_cut_png_is_no_runaway_though_it_looks_periodic():
    """A big plain mask compresses to a periodic text; cut inside it is a bad image, or truncated."""
    encoded = encode(Image.new("L", (4000, 4000), 255))
    closed = decode(answer(BOX, encoded[: len(encoded) // 8 * 4]))
    assert closed.failure == "mask_bad_png"
    open_end = decode(answer(BOX, encoded)[: len(encoded) // 2])
    assert open_end.failure == "truncated"


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("data:image/png;base64,", "mask_empty"),
        ("data:image/png;base64,iVBORw0KGgo!!!!", "mask_bad_base64"),
        ("data:image/png;base64,aGVsbG8gd29ybGQ=", "mask_bad_png"),
        ("data:image/png;base64,iVBORw0KGgo" + "4+Pj" * 400, "repetition"),
    ],
)
def test_bad_data_urls_are_told_apart(text, failure):
    """What is wrong with the text decides the code."""
    assert decode(answer(BOX, text, prefix="")).failure == failure


def test_padding_newlines_and_prefix_are_repaired_and_listed():
    """Each repair leaves the mask as it was and its name in the item."""
    encoded = encode(Image.fromarray(block()))
    plain = full_mask(decode(answer(BOX, encoded)).mask)
    bare = decode(answer(BOX, encoded, prefix=""))
    assert (bare.items[0].wire_format, bare.items[0].repairs) == ("png_base64", ("missing_prefix",))
    padded = encode(Image.fromarray(block()[:, :33]))
    if padded.endswith("="):
        assert decode(answer(BOX, padded.rstrip("="))).items[0].repairs == ("base64_padding",)
    lines = "\n".join(encoded[i : i + 76] for i in range(0, len(encoded), 76))
    raw = '[{"box_2d": [100, 200, 700, 900], "mask": "data:image/png;base64,' + lines + '", "label": "x"}]'
    broken = decode(raw)
    assert broken.repairs == ("raw_newline",)
    np.testing.assert_array_equal(full_mask(broken.mask), plain)
    np.testing.assert_array_equal(full_mask(bare.mask), plain)


def test_several_items_combine_as_the_settings_say():
    """Union, the largest, or the first."""
    full = encode(Image.new("L", (4, 4), 255))
    items = [
        {"box_2d": box, "mask": f"data:image/png;base64,{full}"}
        for box in ([0, 0, 200, 200], [500, 500, 1000, 1000])
    ]
    text = json.dumps(items)
    small, large = (int(full_mask(i.mask).sum()) for i in decode(text).items)
    sums = {
        how: int(full_mask(decode(text, instances=how).mask).sum()) for how in ("union", "largest", "first")
    }
    assert sums == {"union": small + large, "largest": large, "first": small}
