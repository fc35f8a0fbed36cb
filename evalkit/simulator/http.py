"""One HTTP exchange as the simulated service sees it, free of sockets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

ReplyMode = Literal["whole", "hang", "trickle", "reset", "truncated"]
"""How a reply travels: in one piece, never, byte by byte, connection cut before or within the body."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request: ``path`` without its query, ``headers`` with lower-case names."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent back, after ``wait_s`` seconds, in a ``manner`` (``pause_s``: hang, or between bytes)."""

    http_status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json; charset=UTF-8"
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    manner: ReplyMode = "whole"
    pause_s: float = 0.0


def json_reply(message: dict[str, Any], **changes: Any) -> Reply:
    """Return a 200 with a JSON body."""
    return Reply(body=json.dumps(message, ensure_ascii=False).encode(), **changes)


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One line of the request log; a key's value never enters it.

    ``time_s``: Unix time of arrival. ``status``: the HTTP status sent, None where the connection
    was cut or held instead. ``fault``: the scripted fault that happened.
    """

    time_s: float
    method: str
    path: str
    operation: str
    persona: str | None
    model: str | None
    status: int | None
    sample_id: str | None
    fault: str | None


@dataclass(slots=True)
class Call:
    """What is known about a request while it is being answered."""

    incoming: HttpRequest
    operation: str
    version: str
    model: str | None = None
    persona: str | None = None
    sample_id: str | None = None
    fault: str | None = None
    name: str = ""
