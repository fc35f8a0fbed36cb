"""An endpoint that takes JSON and answers JSON, asked over our own session: all that a service without an SDK needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evalkit.errors import SystemFault
from evalkit.models.http.errors import fault_of_status
from evalkit.models.http.session import HttpSession
from evalkit.models.http.transport import Secrets


@dataclass(frozen=True, slots=True)
class JsonConnection:
    """An open way to one endpoint; see ``models.http.calls.Connection``.

    ``headers``: sent with every request, the key among them. ``address``: ``base_url`` without its secrets.
    ``key_words``: how a key is given, for messages.
    """

    session: HttpSession = field(repr=False)
    base_url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    address: str
    secrets: Secrets
    key_words: str

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """Nothing is raised for an answer that is an error but the fault itself."""
        return ()

    def fault_of(self, error: Exception, model: str) -> SystemFault:
        """Never called, as there is no exception of a client."""
        raise AssertionError(f"{model}: {error!r} is no error of a client") from error

    async def post(self, path: str, body: Mapping[str, Any], model: str) -> str:
        """Send exactly one request; return the raw answer. Raises the fault that its status stands for."""
        headers = {"Content-Type": "application/json", "Accept": "application/json", **self.headers}
        url = self.base_url.rstrip("/") + path
        answer = await self.session.post(url, headers, json.dumps(body).encode())
        told = self.secrets.redact_body(answer.text)
        if answer.status != 200:
            fault = fault_of_status(
                answer.status, told, answer.headers, model=model, key_variable=self.key_words
            )
            raise fault.with_text(self.secrets.redact(str(fault)))
        return told

    async def close(self) -> None:
        """Close every connection."""
        await self.session.close()
