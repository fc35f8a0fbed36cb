"""The Files API: resumable upload in chunks, get, list, delete, download; files live 48 hours."""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from evalkit.simulator.gemini_wire import parse_json
from evalkit.simulator.http import Call, HttpRequest, Reply, json_reply
from evalkit.simulator.wire_errors import bad_argument, missing_file, not_found

LIFETIME_S = 48 * 3600.0
"""How long a file lives (vendor page, read 2026-11-21)."""

LARGEST_FILE_BYTES = 2 * 1024**3
MOST_HELD_BYTES = 2 * 1024**3
"""The simulator keeps every file in memory; the service gives 20 GB of disk."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of the service; ``generated``: a result of a batch job, which can be downloaded."""

    name: str
    data: bytes
    mime_type: str
    display_name: str
    created_s: float
    generated: bool = False

    def message(self, base_url: str) -> dict[str, Any]:
        """Return the File message."""
        digest = hashlib.sha256(self.data).hexdigest().encode()
        message = {
            "name": self.name,
            "mimeType": self.mime_type,
            "sizeBytes": str(len(self.data)),
            "createTime": timestamp(self.created_s),
            "updateTime": timestamp(self.created_s),
            "expirationTime": timestamp(self.created_s + LIFETIME_S),
            "sha256Hash": base64.b64encode(digest).decode("ascii"),
            "uri": f"{base_url}/v1beta/{self.name}",
            "state": "ACTIVE",
            "source": "GENERATED" if self.generated else "UPLOADED",
        }
        if self.display_name:
            message["displayName"] = self.display_name
        if self.generated:
            message["downloadUri"] = f"{base_url}/v1beta/{self.name}:download?alt=media"
        return message


def timestamp(unix_s: float) -> str:
    """Return RFC 3339 text in UTC."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(slots=True)
class Upload:
    """A resumable upload under way."""

    mime_type: str
    display_name: str
    wanted_name: str
    size_bytes: int
    received: bytearray = field(default_factory=bytearray)


class FileStore:
    """All files; ``clock`` gives Unix seconds and may run ahead (``Simulator.advance_clock``)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._files: dict[str, StoredFile] = {}
        self._uploads: dict[str, Upload] = {}

    def add(
        self, data: bytes, mime_type: str, display_name: str = "", name: str = "", *, generated: bool = False
    ) -> StoredFile:
        """Store bytes under ``name`` (``files/...``) or a new one."""
        with self._lock:
            name = name or f"files/{next(self._numbers):012x}"
            stored = StoredFile(name, data, mime_type, display_name, self._clock(), generated)
            self._files[name] = stored
            return stored

    def find(self, name: str) -> StoredFile:
        """Return a live file. Raises ``ApiError`` 403 for an unknown or expired one."""
        with self._lock:
            stored = self._files.get(name)
            if stored is not None and self._clock() >= stored.created_s + LIFETIME_S:
                del self._files[name]
                stored = None
        if stored is None:
            raise missing_file(name.removeprefix("files/"))
        return stored

    def read_uri(self, uri: str) -> bytes:
        """Return the bytes behind a file URI. Raises ``ApiError`` 403."""
        return self.find("files/" + uri.rpartition("files/")[2]).data

    def start_upload(self, call: Call) -> Reply:
        """``POST /upload/V/files`` with ``X-Goog-Upload-Command: start``: return where to send the bytes."""
        incoming = call.incoming
        if "start" not in incoming.headers.get("x-goog-upload-command", ""):
            raise bad_argument("Only resumable uploads are supported: X-Goog-Upload-Command: start.")
        described = parse_json(incoming.body).get("file") or {}
        if not isinstance(described, dict):
            raise bad_argument("Invalid value at 'file': it is a message.")
        size_bytes = _number(incoming, "x-goog-upload-header-content-length")
        if size_bytes > LARGEST_FILE_BYTES:
            raise bad_argument(f"File is too large: {size_bytes} bytes, at most {LARGEST_FILE_BYTES}.")
        upload = Upload(
            mime_type=described.get("mimeType")
            or incoming.headers.get("x-goog-upload-header-content-type", ""),
            display_name=described.get("displayName") or "",
            wanted_name=described.get("name") or "",
            size_bytes=size_bytes,
        )
        with self._lock:
            upload_id = f"upload-{next(self._numbers):08x}"
            self._uploads[upload_id] = upload
        url = f"{incoming.origin}/upload/{call.version}/files?upload_id={upload_id}&upload_protocol=resumable"
        return Reply(headers={"X-Goog-Upload-URL": url, "X-Goog-Upload-Status": "active"})

    def receive_chunk(self, incoming: HttpRequest) -> Reply:
        """``POST`` to an upload's URL: append a chunk; on ``finalize`` return the File message."""
        upload_id = incoming.query.get("upload_id", "")
        with self._lock:
            upload = self._uploads.get(upload_id)
        if upload is None:
            raise not_found(f"upload {upload_id}")
        command = incoming.headers.get("x-goog-upload-command", "")
        offset = _number(incoming, "x-goog-upload-offset")
        if offset != len(upload.received):
            raise bad_argument(
                f"Upload offset {offset} does not match the {len(upload.received)} bytes received."
            )
        self._require_room(upload, len(incoming.body))
        upload.received += incoming.body
        if "finalize" not in command:
            return Reply(headers={"X-Goog-Upload-Status": "active"})
        if upload.size_bytes and len(upload.received) != upload.size_bytes:
            raise bad_argument(
                f"Upload has {len(upload.received)} bytes, {upload.size_bytes} were announced."
            )
        with self._lock:
            del self._uploads[upload_id]
        stored = self.add(bytes(upload.received), upload.mime_type, upload.display_name, upload.wanted_name)
        return json_reply(
            {"file": stored.message(incoming.origin)}, headers={"X-Goog-Upload-Status": "final"}
        )

    def _require_room(self, upload: Upload, more_bytes: int) -> None:
        """Raise ``ApiError`` where an upload grows beyond what was announced, or all of them beyond the memory given."""
        received = len(upload.received) + more_bytes
        if received > (upload.size_bytes or LARGEST_FILE_BYTES):
            raise bad_argument(f"Upload has {received} bytes, {upload.size_bytes} were announced.")
        with self._lock:
            held = sum(len(file.data) for file in self._files.values())
            held += sum(len(other.received) for other in self._uploads.values())
        if held + more_bytes > MOST_HELD_BYTES:
            raise bad_argument(f"The simulator holds files of at most {MOST_HELD_BYTES} bytes in all.")

    def get(self, call: Call) -> Reply:
        """``GET /V/files/ID``."""
        return json_reply(self.find(f"files/{call.name}").message(call.incoming.origin))

    def list_all(self, call: Call) -> Reply:
        """``GET /V/files``: one page holds all."""
        with self._lock:
            live = [file for file in self._files.values() if self._clock() < file.created_s + LIFETIME_S]
        return json_reply({"files": [file.message(call.incoming.origin) for file in live]} if live else {})

    def delete(self, call: Call) -> Reply:
        """``DELETE /V/files/ID``."""
        name = self.find(f"files/{call.name}").name
        with self._lock:
            self._files.pop(name, None)
        return json_reply({})

    def download(self, call: Call) -> Reply:
        """``GET /V/files/ID:download``: generated files only, as the service has it."""
        stored = self.find(f"files/{call.name}")
        if not stored.generated:
            raise bad_argument("Only generated files can be downloaded.")
        return Reply(body=stored.data, content_type=stored.mime_type)


def _number(incoming: HttpRequest, header: str) -> int:
    """Return a header's whole number, 0 without it. Raises ``ApiError`` 400."""
    said = incoming.headers.get(header, "0")
    if not (said.isascii() and said.isdecimal() and len(said) <= 15):
        raise bad_argument(f"Invalid value of the header {header}: {said[:40]!r}.")
    return int(said)
