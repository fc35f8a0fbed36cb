"""Large images through the Files API: uploaded once, reused until the service deletes them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from pathlib import Path
from typing import Any

from evalkit.errors import RetryLater
from evalkit.images import ImageBytes
from evalkit.models.google.client import Endpoint

LOG = logging.getLogger(__name__)

KEPT_S = 47 * 3600.0
"""The service keeps a file for 48 hours (vendor page, read 2026-11-21); an hour is left for a request on its way."""


class Uploads:
    """The files of one endpoint, by content; remembered in ``memory`` (a JSON file) between sessions."""

    def __init__(self, endpoint: Endpoint, memory: Path | None) -> None:
        self.endpoint = endpoint
        self.memory = memory
        self.locks: dict[str, asyncio.Lock] = {}
        self.known: dict[str, dict[str, Any]] = {}
        if memory is not None and memory.is_file():
            self.known = _remembered(memory)

    async def uri_of(self, image: ImageBytes) -> str:
        """Return the URI of an uploaded image; each content is uploaded once even when asked for at once."""
        key = f"{image.sha256}:{image.width_px}x{image.height_px}"
        async with self.locks.setdefault(key, asyncio.Lock()):
            found = self.known.get(key)
            if found is not None and time.time() - found["uploaded_at"] < KEPT_S:
                return str(found["uri"])
            uri = await self._upload(image)
            self.known[key] = {"uri": uri, "uploaded_at": time.time()}
            self._remember()
            return uri

    def forget(self, uri: str) -> None:
        """Drop a file that the service no longer has, so that the next attempt uploads it anew."""
        self.known = {key: file for key, file in self.known.items() if file["uri"] != uri}
        self._remember()

    async def _upload(self, image: ImageBytes) -> str:
        from google.genai import types

        file = await self.endpoint.client.aio.files.upload(
            file=io.BytesIO(image.data), config=types.UploadFileConfig(mime_type=image.mime_type)
        )
        while file.state == types.FileState.PROCESSING and file.name:
            await asyncio.sleep(1.0)
            file = await self.endpoint.client.aio.files.get(name=file.name)
        if file.state == types.FileState.FAILED or not file.uri:
            raise RetryLater("the Files API did not accept the image")
        return file.uri

    def _remember(self) -> None:
        if self.memory is None:
            return
        beside = self.memory.with_name(self.memory.name + ".part")
        beside.write_text(json.dumps(self.known, indent=1), encoding="utf-8")
        beside.replace(self.memory)


def _remembered(memory: Path) -> dict[str, dict[str, Any]]:
    """Return the uploads of earlier sessions; a damaged file or record is forgotten, which costs an upload at most."""
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        LOG.warning("%s cannot be read (%s): images are uploaded anew", memory, type(error).__name__)
        return {}
    records = known.items() if isinstance(known, dict) else ()
    kept = {key: file for key, file in records if _is_upload(file)}
    if not isinstance(known, dict) or len(kept) < len(known):
        LOG.warning("%s holds records that are no uploads: those images are uploaded anew", memory)
    return kept


def _is_upload(file: Any) -> bool:
    if not isinstance(file, dict) or not isinstance(file.get("uri"), str):
        return False
    uploaded_at = file.get("uploaded_at")
    return isinstance(uploaded_at, int | float) and not isinstance(uploaded_at, bool)
