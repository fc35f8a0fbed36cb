"""One request within its total timeout: every way it can go wrong becomes a ``SystemFault``."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from evalkit.errors import RetryLater, SystemFault
from evalkit.models.base import Question
from evalkit.models.http.transport import Secrets
from evalkit.types import Response

AnswerT = TypeVar("AnswerT")

MISREAD = (ValueError, TypeError, AttributeError, LookupError)
"""What a client raises that makes objects of its own of a body (a job, a file, a model) of another shape."""


class Connection(Protocol):
    """An open way to one endpoint.

    ``address``: where it connects to, without secrets. ``errors``: what its client raises for an answer
    that is an error; ``fault_of`` makes a fault of such an exception.
    """

    @property
    def address(self) -> str:
        """Where it connects to, for messages and files."""
        ...

    @property
    def secrets(self) -> Secrets:
        """What is blanked out of every text and body."""
        ...

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What its client raises for an answer that is an error."""
        ...

    def fault_of(self, error: Exception, model: str) -> SystemFault:
        """Return the fault that an exception of ``errors`` stands for."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


async def guarded(
    send: Callable[[], Awaitable[AnswerT]],
    *,
    connection: Connection,
    model: str,
    timeout_s: float,
    misread: tuple[type[Exception], ...] = (),
) -> AnswerT:
    """Return what ``send`` returns. Raises ``RetryLater``, ``GiveUp`` or ``StopModel``, never a client's own.

    ``misread``: what ``send`` raises where it is a client alone that reads the body; see ``MISREAD``.

    The transports' own timeouts hold for each read at most, so a body that trickles in is cut by the total one here.
    Errors of clients hold the request with its key: nothing raised here refers to them.
    """
    import aiohttp
    import httpx2

    unreadable: tuple[type[Exception], ...] = (json.JSONDecodeError, UnicodeError, RecursionError, *misread)
    try:
        async with asyncio.timeout(timeout_s):
            return await send()
    except TimeoutError:
        raise RetryLater(f"{model}: no complete answer within {timeout_s:g} s") from None
    except connection.errors as error:
        raise _fault_of(error, connection, model) from None
    except (aiohttp.ClientError, httpx2.HTTPError, httpx2.StreamError) as error:
        raise connection_failed(error, connection, model) from None
    except unreadable as error:
        # Clients read error bodies themselves: damaged, endlessly nested and wrongly labelled ones end here.
        raise _unreadable(error, model) from None


def _fault_of(error: Exception, connection: Connection, model: str) -> SystemFault:
    """Return the fault of an answer that is an error, without secrets."""
    try:
        fault = connection.fault_of(error, model)
    except RecursionError as too_deep:  # nested just less than what can be read is more than can be written
        return _unreadable(too_deep, model)
    return fault.with_text(connection.secrets.redact(str(fault)))


def _unreadable(error: Exception, model: str) -> RetryLater:
    """Return the fault of a body that cannot be read."""
    return RetryLater(f"{model}: the endpoint answered with what cannot be read ({type(error).__name__})")


def connection_failed(error: Exception, connection: Connection, model: str) -> RetryLater:
    """Return the fault of a connection that could not be made, or ended too early."""
    told = re.sub(
        r" ssl:<[^>]*>", "", str(error)
    )  # an address in memory, where aiohttp names the certificates
    said = connection.secrets.redact(f"{type(error).__name__}: {told}")
    return RetryLater(f"{model}: the connection to {connection.address} failed ({said})")


class ServiceModel:
    """A model whose questions are one request each: a subclass says what ``_send`` sends and reads.

    See ``evalkit.models.base.Model``, which a subclass with ``prompt_for`` is.
    """

    def __init__(self, name: str, requested_model: str, connection: Connection, timeout_s: float) -> None:
        self.name = name
        self.requested_model = requested_model
        self.connection = connection
        self.timeout_s = timeout_s

    async def ask(self, question: Question) -> Response:
        """Send exactly one request. Raises ``RetryLater``, ``GiveUp`` or ``StopModel``."""
        return await guarded(
            lambda: self._send(question),
            connection=self.connection,
            model=self.requested_model,
            timeout_s=self.timeout_s,
        )

    async def _send(self, question: Question) -> Response:
        """Send one request and read its answer; may raise what ``guarded`` turns into faults."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close the connections."""
        await self.connection.close()
