"""What `evalkit decode` does between its arguments and its output."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.decode_options import given_settings
from evalkit.decoding.answer import decode_answer
from evalkit.decoding.settings import DecodeSettings
from evalkit.decoding.verdict import verdict_json, verdict_text
from evalkit.drawing.layers import items_layer
from evalkit.errors import ConfigError
from evalkit.storage.files import replaced_file
from evalkit.types import Decoded

if TYPE_CHECKING:
    from PIL.Image import Image

_SIZE = re.compile(r"\s*(\d{1,5})\s*[xX]\s*(\d{1,5})\s*")


def decode_command(
    file: str,
    *,
    size: str | None,
    image: Path | None,
    overlay: Path | None,
    prompt: str | None,
    stated: Mapping[str, Any],
    finish_reason: str | None,
    decode: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Decode one saved answer and print the verdict. Raises ``ConfigError`` on arguments that cannot be."""
    from evalkit.config.prompts import stated_format

    if overlay is not None and image is None:
        raise ConfigError("--overlay draws on a photograph: name it with --image")
    width_px, height_px = _size_of(size, image)
    decoded = decode_answer(
        read_answer(file),
        height_px=height_px,
        width_px=width_px,
        asked=stated_format(prompt, stated),
        settings=given_settings(DecodeSettings(), decode),
        finish_reason=finish_reason,
    )
    if overlay is not None and image is not None:
        _write_overlay(decoded, image, overlay)
    click.echo(json.dumps(verdict_json(decoded)) if as_json else verdict_text(decoded))


def read_answer(file: str) -> str:
    """Return the text of a file, or of standard input for ``-``; bytes that are not UTF-8 are kept apart."""
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"answer file {file} cannot be read: {reason}. Use - for standard input") from error
    return data.decode("utf-8", "surrogateescape")


def _size_of(size: str | None, image: Path | None) -> tuple[int, int]:
    """Return (width, height) in pixels, from --size or else from the photograph."""
    if size is None:
        if image is None:
            raise ConfigError(
                "--size WIDTHxHEIGHT is needed, such as --size 640x480 (or --image to take it from)"
            )
        photograph = _open(image)
        return photograph.width, photograph.height
    match = _SIZE.fullmatch(size)
    if match is None or 0 in (width_height := (int(match[1]), int(match[2]))):
        raise ConfigError(f"--size '{size}': give WIDTHxHEIGHT in pixels, such as 640x480")
    return width_height


def _open(image: Path) -> Image:
    from PIL import Image as Images
    from PIL import ImageOps, UnidentifiedImageError

    try:
        return ImageOps.exif_transpose(Images.open(image))
    except FileNotFoundError as error:
        raise ConfigError(f"--image {image} does not exist") from error
    except (UnidentifiedImageError, OSError) as error:
        raise ConfigError(f"--image {image} cannot be read as a picture: {error}") from error


def _write_overlay(decoded: Decoded, image: Path, overlay: Path) -> None:
    photograph = _open(image)
    for item in decoded.items:
        if item.mask and (item.mask.width_px, item.mask.height_px) != photograph.size:
            raise ConfigError(
                f"--image {image} has {photograph.width}x{photograph.height} pixels but --size says "
                f"{item.mask.width_px}x{item.mask.height_px}: leave --size out, or name the picture of that size"
            )
    try:
        with replaced_file(overlay) as written:
            items_layer(decoded, photograph.size).over(photograph).save(written)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--overlay {overlay} cannot be written: {error}") from error
    click.echo(f"overlay: {overlay}", err=True)
