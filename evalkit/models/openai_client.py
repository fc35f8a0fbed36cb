"""The openai client, with every hidden behaviour pinned.

Its own retries are off, it follows no redirect, and none of its environment variables (key, admin key, organization,
project, headers, address, log level) reaches a request: a key meant for one service goes to no other.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from evalkit.config.shown import secrets_of, shown_address
from evalkit.errors import ConfigError, SystemFault
from evalkit.models.http.calls import connection_failed
from evalkit.models.http.errors import fault_of_status
from evalkit.models.http.keys import key_words
from evalkit.models.http.transport import Secrets, open_transport

if TYPE_CHECKING:
    import openai

OPENAI_BASE_URL = "https://api.openai.com/v1"
PATH = "/chat/completions"

NO_KEY = "no-key-configured"
"""What is sent where no key is known, as the client sends none at all only by an error."""


class ChatConnection:
    """An open openai client; see ``models.http.calls.Connection``."""

    def __init__(self, client: openai.AsyncOpenAI, address: str, secrets: Secrets, key_words: str) -> None:
        self.client = client
        self.address = address
        self.secrets = secrets
        self.key_words = key_words

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the client raises for an answer that is an error, and for a connection that fails."""
        from openai import OpenAIError

        return (OpenAIError,)

    def fault_of(self, error: Any, model: str) -> SystemFault:
        """Return the fault that an error of the client stands for."""
        from openai import APIStatusError

        cause = error.__cause__
        if isinstance(cause, SystemFault):
            return cause  # a body without end, see ``open_transport``
        if not isinstance(error, APIStatusError):
            # "Connection error." says nothing of what happened; its cause does.
            return connection_failed(cause or error, self, model)
        body = self.secrets.redact_body(error.response.text)
        return fault_of_status(
            error.status_code, body, error.response.headers, model=model, key_variable=self.key_words
        )

    async def complete(self, body: dict[str, Any]) -> str:
        """Send exactly one request with this JSON body; return the raw answer. Raises what the client raises."""
        import httpx2

        answer = await self.client.post(PATH, body=body, cast_to=httpx2.Response)
        return self.secrets.redact_body(answer.text)

    async def close(self) -> None:
        """Close every connection."""
        await self.client.close()


def open_connection(
    base_url: str,
    *,
    key: str | None,
    key_variable: str | None,
    connections: int,
    timeout_s: float,
    written: str | None = None,
) -> ChatConnection:
    """Return an open client for ``base_url``; ``written``: how that stands in the config.

    Raises ``ConfigError`` where the openai package is missing or the environment's proxy cannot be used.
    """
    try:
        from openai import AsyncOpenAI
    except ImportError as error:
        raise ConfigError(
            "`provider: openai` needs the openai package: pip install 'evalkit-segmentation[openai]'"
        ) from error
    # At DEBUG (OPENAI_LOG=debug) it logs whole requests.
    logging.getLogger("openai").setLevel(logging.WARNING)
    client = AsyncOpenAI(
        api_key=key or NO_KEY,
        base_url=base_url,
        timeout=timeout_s,
        max_retries=0,
        http_client=open_transport(base_url, connections, timeout_s),
    )
    client.organization = client.project = client.admin_api_key = None
    client._custom_headers = {}  # noqa: SLF001  (OPENAI_CUSTOM_HEADERS)
    secrets = Secrets(key, secrets_of(base_url, written))
    return ChatConnection(client, shown_address(base_url, written), secrets, key_words(key_variable))
