"""One call of the SDK within its total timeout: every way it can go wrong becomes a ``SystemFault``."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from evalkit.errors import RetryLater, SystemFault
from evalkit.models.google.api_errors import classify
from evalkit.models.known_models import availability

if TYPE_CHECKING:
    from google.genai.errors import APIError

    from evalkit.models.google.client import Endpoint

AnswerT = TypeVar("AnswerT")


async def guarded(
    send: Callable[[], Awaitable[AnswerT]], *, endpoint: Endpoint, model: str, timeout_s: float
) -> AnswerT:
    """Return what ``send`` returns. Raises ``RetryLater``, ``GiveUp`` or ``StopModel``, never the SDK's own.

    The transports' own timeouts hold for each read at most, so a body that trickles in is cut by the total one here.
    The SDK's errors hold the request with its key: nothing raised here refers to them.
    """
    import aiohttp
    import httpx2
    from google.genai.errors import APIError

    try:
        async with asyncio.timeout(timeout_s):
            return await send()
    except TimeoutError:
        raise RetryLater(f"{model}: no complete answer within {timeout_s:g} s") from None
    except APIError as error:
        raise api_fault(error, endpoint, model) from None
    except (aiohttp.ClientError, httpx2.HTTPError, httpx2.StreamError) as error:
        said = endpoint.redact(f"{type(error).__name__}: {error}")
        raise RetryLater(f"{model}: the connection to {endpoint.address} failed ({said})") from None
    except (json.JSONDecodeError, UnicodeError, RecursionError) as error:
        # The SDK reads error bodies itself: damaged, endlessly nested and wrongly labelled ones end here.
        raise RetryLater(
            f"{model}: the endpoint answered with what cannot be read ({type(error).__name__})"
        ) from None


def no_answer(body: str, data: Mapping[str, Any], model: str) -> SystemFault:
    """Return the typed error of a 200 body that is no answer: the error that it holds, else one to ask again after."""
    error = data.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, int) and 400 <= code < 600:
        return classify(code, dict(data), None, model=model)
    return RetryLater(
        f"{model}: the endpoint answered 200 with a body that holds no answer: {body[:80]!r}",
        http_status=200,
        body=body,
    )


def api_fault(error: APIError, endpoint: Endpoint, model: str) -> SystemFault:
    """Return the typed error of an SDK error, the key blanked out of all that it says."""
    details = json.loads(endpoint.redact_body(json.dumps(error.details, default=str)))
    fault = classify(
        error.code,
        details,
        getattr(error.response, "headers", None),
        model=model,
        availability=availability(model, dt.datetime.now(dt.UTC).date()),
    )
    return fault.with_text(endpoint.redact(str(fault)))
