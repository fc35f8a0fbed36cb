"""The quick way of opening a plain grey PNG against zlib and Pillow, sound and damaged."""

from __future__ import annotations

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.random_search import draws

from evalkit.decoding.budget import PixelBudget
from evalkit.decoding.codes import Unreadable
from evalkit.decoding.images import open_grey

MAGIC = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return one chunk of a PNG with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(size: tuple[int, int], *streams: bytes, header: bytes = b"\x08\x00\x00\x00\x00") -> bytes:
    """Return a PNG (8-bit grey unless told) whose pixels stand in these IDAT chunks."""
    body = struct.pack(">II", *size) + header
    data = b"".join(chunk(b"IDAT", stream) for stream in streams)
    return MAGIC + chunk(b"IHDR", body) + data + chunk(b"IEND", b"")


def by_pillow(data: bytes, *streams: bytes) -> np.ndarray | None:
    """Return the pixels as zlib and Pillow have them; None where the pixel stream or the file is damaged."""
    unpack = zlib.decompressobj()
    try:
        unpack.decompress(b"".join(streams), 1 << 24)
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            pixels = np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError, zlib.error):
        return None
    return pixels if unpack.eof else None


def by_evalkit(data: bytes) -> np.ndarray | None:
    """Return the pixels of ``open_grey``; None where it refuses the image."""
    try:
        return np.asarray(open_grey(data, PixelBudget(1 << 24)))
    except Unreadable:
        return None


def assert_same(data: bytes, *streams: bytes) -> np.ndarray | None:
    """Check that both ways give the same pixels, or that both refuse; return them."""
    found, wanted = by_evalkit(data), by_pillow(data, *streams)
    assert (found is None) == (wanted is None)
    assert found is None or np.array_equal(found, wanted)
    return found


def rows(size: tuple[int, int], filters: int = 5, seed: int = 0) -> bytes:
    """Return rows of noise, each after a filter of its own."""
    generator = np.random.default_rng(seed)
    table = generator.integers(0, 256, (size[1], size[0] + 1), dtype=np.uint8)
    table[:, 0] = np.arange(size[1]) % filters
    return table.tobytes()


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (256, 256), (640, 480), (1, 70_000 // 8), (2000, 33)])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_plain_grey_png_is_what_pillow_opens(size, level):
    """Every filter, more than one block of bytes, one row or column."""
    stream = zlib.compress(rows(size), level)
    assert assert_same(png(size, stream), stream) is not None


@given(
    cuts=st.lists(st.integers(0, 900), max_size=6),
    window=st.integers(9, 15),
    strategy=st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY]),
)
def test_a_stream_in_several_chunks_is_one_stream(cuts, window, strategy):
    """Chunks of any length, empty ones among them, and any window of the packer."""
    packer = zlib.compressobj(6, zlib.DEFLATED, window, 8, strategy)
    stream = packer.compress(rows((20, 30))) + packer.flush()
    places = [0, *sorted(cuts), len(stream)]
    streams = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert assert_same(png((20, 30), *streams), *streams) is not None


@pytest.mark.parametrize("extra_rows", [-29, -1, 1, 5, 31, 200])
@pytest.mark.parametrize("extra_bytes", [-1, 0, 1])
def test_short_and_long_rows_end_as_in_pillow(extra_rows, extra_bytes):
    """A stream of fewer or more bytes than the size says is read, or refused, as Pillow does."""
    stream = zlib.compress(rows((20, 30 + extra_rows)) + bytes(1))
    unpacked = zlib.decompress(stream)
    stream = zlib.compress(unpacked[: len(unpacked) - 1 + extra_bytes])
    found = by_evalkit(png((20, 30), stream))
    wanted = by_pillow(png((20, 30), stream), stream)
    if found is None:
        assert wanted is None or len(unpacked) > 2 * 30 * 21 + 64  # bombs are not unpacked to their end
    else:
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("kind", [5, 6, 128, 255])
@pytest.mark.parametrize("row", [0, 13, 29])
def test_a_filter_that_does_not_exist_ends_as_in_pillow(kind, row):
    """No pixels come of a filter that the format does not have."""
    unpacked = bytearray(rows((20, 30)))
    unpacked[row * 21] = kind
    stream = zlib.compress(bytes(unpacked))
    assert_same(png((20, 30), stream), stream)


@draws(200)
@given(
    place=st.integers(0, 10_000),
    value=st.integers(1, 255),
    cut=st.integers(0, 12),
    extra=st.binary(max_size=3),
    level=st.sampled_from([0, 6]),
)
def test_a_damaged_stream_is_refused_where_zlib_refuses_it(place, value, cut, extra, level):
    """Bytes changed, cut off or added, with checksums of the chunks that hold."""
    stream = bytearray(zlib.compress(rows((20, 30)), level))
    if place < len(stream):
        stream[place] ^= value
    damaged = bytes(stream[: len(stream) - cut]) + extra
    assert_same(png((20, 30), damaged), damaged)


@pytest.mark.parametrize(
    "header",
    [b"\x08\x00\x00\x00\x01", b"\x08\x00\x01\x00\x00", b"\x08\x00\x00\x01\x00", b"\x04\x00\x00\x00\x00"],
)
def test_other_headers_are_left_to_pillow(header):
    """Interlacing, another packing, another set of filters, another depth: no short way."""
    stream = zlib.compress(rows((20, 30)))
    assert_same(png((20, 30), stream, header=header), stream)


def test_a_png_without_pixels_is_refused():
    """No IDAT chunk at all, or one with nothing in it."""
    assert assert_same(png((20, 30))) is None
    assert assert_same(png((20, 30), b""), b"") is None
