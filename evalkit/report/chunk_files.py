"""Chunk files of a page: scripts that hand over data when they are loaded, named after what they hold.

A page that is opened from disk may not fetch files, but it may load scripts. The name of a chunk is a digest of its
content: a page that is open while a newer one is written asks for its own chunks or for none, never for newer ones.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHUNK_FOLDER = "data"
DIGEST_CHARACTERS = 20


def write_chunk(folder: Path, *members: Any) -> str:
    """Write one chunk of JSON values into the report ``folder`` and return its name.

    Each member is compressed for itself (zlib, as base64), so that a reader of one need not unpack the others.
    """
    return _write(folder, [_packed(member) for member in members])


def write_index(folder: Path, index: Any) -> str:
    """Write the page's index, plain, as every page reads all of it at once; return its path in the report."""
    content = f"window.EVALKIT_INDEX = {safe_json(index)};\n".encode("utf-8", "replace")
    path = f"{CHUNK_FOLDER}/index-{_digest(content)}.js"
    (folder / path).write_bytes(content)
    return path


def safe_json(value: object) -> str:
    """Return compact JSON in which no text can end a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def write_photographs(folder: Path, photographs: Sequence[str | None]) -> str:
    """Write one chunk of photographs (data addresses, None where one is missing) and return its name."""
    return _write(folder, photographs)


def _packed(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode("utf-8", "replace"))).decode("ascii")


def _write(folder: Path, members: Sequence[str | None]) -> str:
    content = json.dumps(members, separators=(",", ":"))
    name = _digest(content.encode("ascii"))
    (folder / CHUNK_FOLDER / f"{name}.js").write_text(f'EVALKIT.put("{name}",{content});\n', encoding="ascii")
    return name


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGEST_CHARACTERS]
