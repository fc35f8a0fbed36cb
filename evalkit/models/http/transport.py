"""Our own connection pool, bounded bodies, and the secrets that leave the process in a header alone."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from evalkit.config.shown import HIDDEN, LEAST_KEY_CHARACTERS, masked_text
from evalkit.errors import ConfigError
from evalkit.models.http.session import MOST_BODY_BYTES, HttpSession, proxy_of, too_large, unusable_proxy

if TYPE_CHECKING:
    import ssl

    import httpx2


@dataclass(frozen=True, slots=True)
class Secrets:
    """The key of one endpoint and what its address hides; never shown."""

    key: str | None = field(default=None, repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)

    def redact(self, text: str) -> str:
        """Return a text of our own (an error, a log line) without secrets; a short one only as a whole word."""
        for secret, shown in self._all():
            if len(secret) >= LEAST_KEY_CHARACTERS:
                text = text.replace(secret, shown)
            elif secret in text:
                text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", shown, text)
        return masked_text(text)

    def redact_body(self, body: str) -> str:
        """Return an answer as it came; one that echoes a key of real length without it.

        A shorter one (``GEMINI_API_KEY=x``) is no real key, and blanking it out would destroy the answer.
        """
        for secret, shown in self._all():
            if len(secret) >= LEAST_KEY_CHARACTERS:
                body = body.replace(secret, shown)
        return body

    def _all(self) -> list[tuple[str, str]]:
        """Return each secret and what stands in its place."""
        key = [(self.key, "[key]")] if self.key else []
        return [*key, *((secret, HIDDEN) for secret in self.hidden)]


def is_loopback(base_url: str | None) -> bool:
    """Tell whether a base URL names this very machine, where no key is needed."""
    host = urlsplit(base_url or "").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def trusted_certificates() -> ssl.SSLContext:
    """Return the certificates that connections are checked by: those of certifi and of the environment.

    Raises ``ConfigError`` where the environment names a file or folder that holds none.
    """
    import httpx2

    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        named = {name: os.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)}
        said = ", ".join(f"{name}={value}" for name, value in named.items()) or "those of certifi"
        raise ConfigError(
            f"the certificates that connections are checked by cannot be read ({said}: {error.strerror or error}): "
            "name a PEM file that exists, or unset the variable. Nothing was sent"
        ) from error


def proxy_for(base_url: str) -> str | None:
    """Return the proxy of the environment; None for a local endpoint. Raises ``ConfigError``, see ``proxy_of``."""
    return None if is_loopback(base_url) else proxy_of(base_url)


def open_session(base_url: str, connections: int, tls: ssl.SSLContext | None = None) -> HttpSession:
    """Return our own session; proxies of the environment are not used for a local endpoint.

    Raises ``ConfigError`` where one cannot be used.
    """
    return HttpSession(connections=connections, tls=tls or trusted_certificates(), proxy=proxy_for(base_url))


def open_transport(
    base_url: str, connections: int, timeout_s: float, tls: ssl.SSLContext | None = None
) -> httpx2.AsyncClient:
    """Return the connection pool of a client that brings its own request function; it follows no redirect.

    Proxies of the environment are not used for a local endpoint. Raises ``ConfigError`` where one cannot be used.
    """
    import httpx2

    # It logs the whole address of each request, with what may be a password in it.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    try:
        transport = httpx2.AsyncClient(
            verify=tls or trusted_certificates(),
            limits=limits,
            timeout=timeout_s,
            proxy=proxy_for(base_url),
            trust_env=False,  # else it would look for proxies of its own, and for password files
        )
    except (httpx2.InvalidURL, ValueError):
        raise unusable_proxy("it is no address of a host and port") from None
    transport.event_hooks["response"].append(read_within_bounds)
    return transport


async def read_within_bounds(response: httpx2.Response) -> None:
    """Read a body whole, up to ``MOST_BODY_BYTES`` after unpacking, as the encoding that its JSON shows.

    Raises ``RetryLater`` where the body goes on beyond the bound.
    """
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > MOST_BODY_BYTES:
            raise too_large(response.url.host, response.status_code)
    content = b"".join(parts)
    response._content = content  # noqa: SLF001  (as aread() does, which has no bound)
    response.encoding = json.detect_encoding(content)
