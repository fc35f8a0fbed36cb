"""One request, sent exactly once, over an own aiohttp session: no re-send, redirect, cookie or password file.

One answer asked, stored and decoded costs 1.82 ms of CPU over it, and cost 2.86 ms over httpx2
(``docs/performance.md``). Its own re-send is for methods that may be repeated only, which POST is none of.
"""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from evalkit.config.address import fault_of_address
from evalkit.errors import ConfigError, RetryLater

if TYPE_CHECKING:
    import ssl

    import aiohttp

MOST_BODY_BYTES = 64_000_000
"""The largest answer that is read: thirty times the largest on record, a full-image PNG for each of many objects."""

PART_BYTES = 65_536

COPIED_BELOW_BYTES = 1_000_000
"""aiohttp takes a body up to here as it is; a larger one is to come in parts, so that others get their turn."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back: ``text`` is the body, decoded as the JSON that it should be; ``reason`` the status in words."""

    status: int
    reason: str
    headers: Mapping[str, str]
    text: str


class HttpSession:
    """Connections to one endpoint, ``connections`` at most, through ``proxy`` where one is given."""

    def __init__(self, *, connections: int, tls: ssl.SSLContext, proxy: str | None) -> None:
        self.connections = connections
        self.tls = tls
        self.proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Send one request and read its whole answer, whatever its status.

        The caller bounds the time. Raises ``aiohttp.ClientError`` where the connection fails, ``RetryLater`` where
        the body goes on beyond ``MOST_BODY_BYTES``.
        """
        from yarl import URL

        data = body if len(body) < COPIED_BELOW_BYTES else io.BytesIO(body)
        request = self._opened().post(
            URL(url, encoded=True),  # as it was percent-encoded, not anew
            data=data,
            headers=headers,
            allow_redirects=False,
            proxy=self.proxy,
            ssl=self.tls,
        )
        async with request as response:
            content = await _read_within_bounds(response)
            return HttpAnswer(response.status, response.reason or "", response.headers, decoded(content))

    def _opened(self) -> aiohttp.ClientSession:
        """Return the session, opened in the event loop that it is first used in."""
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()


async def _read_within_bounds(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_chunked(PART_BYTES):
        parts.append(part)
        size += len(part)
        if size > MOST_BODY_BYTES:
            raise too_large(response.url.host or "the endpoint", response.status)
    return b"".join(parts)


def too_large(host: str, status: int) -> RetryLater:
    """Return the fault of an answer that goes on beyond ``MOST_BODY_BYTES``."""
    return RetryLater(
        f"the answer of {host} is larger than {MOST_BODY_BYTES / 1e6:g} MB and was cut off",
        http_status=status,
    )


def decoded(content: bytes) -> str:
    """Return a body as text, in the encoding that its JSON shows.

    JSON says its encoding by its first bytes (RFC 8259 section 8.1, RFC 4627 section 3); the header's charset is
    wrong where a gateway adds one.
    """
    return content.decode(json.detect_encoding(content), "replace")


def proxy_of(address: str) -> str | None:
    """Return the proxy that the environment names for an address, None where it names none or exempts the host.

    Raises ``ConfigError`` where it is no address of a host, or of a scheme that is not supported; the text holds
    nothing else of it, as there may be a password in it.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(host if parts.port is None else f"{host}:{parts.port}"):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    fault = fault_of_address(proxy)
    if fault is not None:
        raise unusable_proxy(f"it {fault}")
    return proxy


def unusable_proxy(why: str) -> ConfigError:
    """Return the fault of a proxy that cannot be used."""
    return ConfigError(
        f"the proxy that the environment names cannot be used ({why}): correct HTTPS_PROXY, HTTP_PROXY or "
        "ALL_PROXY, or exempt the endpoint with NO_PROXY. Proxies of the schemes http and https are supported"
    )
