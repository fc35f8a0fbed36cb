"""What a Gemini endpoint knows of a model, and what time it has there: free of charge, for `evalkit doctor`."""

from __future__ import annotations

import datetime as dt
import email.utils
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evalkit.models.google.client import Endpoint, open_developer_endpoint, open_vertex_endpoint
from evalkit.models.http.calls import MISREAD, guarded

if TYPE_CHECKING:
    from evalkit.models.google.gemini import GeminiConfig

TIMEOUT_S = 20.0


async def describe(entry: GeminiConfig) -> tuple[str, float | None]:
    """Ask the endpoint what it knows of the model; return that and how far our clock is ahead, in seconds."""
    endpoint = _endpoint(entry)
    dates: list[str] = []

    async def keep_date(response: Any) -> None:
        dates.append(response.headers.get("date", ""))

    endpoint.transport.event_hooks["response"].append(keep_date)
    where = endpoint.address if entry.base_url else "Vertex AI" if entry.vertexai else "the Gemini API"
    try:
        model = await guarded(
            lambda: endpoint.client.aio.models.get(model=entry.model),
            connection=endpoint,
            model=entry.model,
            timeout_s=TIMEOUT_S,
            misread=MISREAD,
        )
    finally:
        await endpoint.close()
    return f"{where} knows {model.name or entry.model}", _skew_s(dates)


def _endpoint(entry: GeminiConfig) -> Endpoint:
    if entry.vertexai:
        return open_vertex_endpoint(
            entry.name,
            entry.base_url,
            project=entry.project,
            location=entry.location,
            connections=1,
            timeout_s=TIMEOUT_S,
            written=entry.written("base_url"),
        )
    return open_developer_endpoint(
        entry.name, entry.base_url, connections=1, timeout_s=TIMEOUT_S, written=entry.written("base_url")
    )


def _skew_s(dates: Sequence[str]) -> float | None:
    try:
        told = email.utils.parsedate_to_datetime(dates[-1])
    except (IndexError, ValueError):
        return None
    return (dt.datetime.now(dt.UTC) - told).total_seconds()
