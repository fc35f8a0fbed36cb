"""Masks written as models write them, for the decoder's tests."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image


def encode_png(values: np.ndarray, mode: str = "L", **options: object) -> str:
    """Return the base64 of an image file made from an array."""
    stream = io.BytesIO()
    Image.fromarray(values).convert(mode).save(stream, str(options.pop("format", "PNG")), **options)
    return base64.b64encode(stream.getvalue()).decode("ascii")


@pytest.fixture
def png_text():
    """Return the function that turns an array into base64 PNG text."""
    return encode_png


@pytest.fixture
def block_values():
    """Return a 256 x 256 mask with one rectangle in it."""
    values = np.zeros((256, 256), dtype=np.uint8)
    values[40:200, 60:220] = 255
    return values


@pytest.fixture
def png_item(block_values):
    """Return the function that writes one item of Google's mask format as JSON, keys changed at will."""
    url = "data:image/png;base64," + encode_png(block_values)

    def write(**changes: object) -> str:
        members = {"box_2d": [100, 200, 500, 600], "mask": url, "label": "cat"} | changes
        return json.dumps(members)

    return write
