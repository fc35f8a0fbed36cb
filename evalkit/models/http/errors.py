"""Errors of chat and other HTTP services -> ``RetryLater``, ``GiveUp`` or ``StopModel``. Pure.

Bodies are ``{"error": {"message", "type", "code"}}`` (OpenAI, vLLM, OpenRouter), ``{"error": text}`` (Ollama),
``{"message"}`` or ``{"detail"}`` (FastAPI), or a page of a gateway. Sources: platform.openai.com/docs/guides/error-codes,
openrouter.ai/docs/api-reference/errors and .../limits, read 2026-11-25.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from evalkit.errors import GiveUp, RetryLater, StopModel, SystemFault
from evalkit.models.bodies import json_object, mapping

LONGEST_WAIT_S = 3600.0
"""A server that asks for more than an hour means a quota that this run cannot wait for."""

SHOWN_CHARACTERS = 400

WITHOUT_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
WITHOUT_ACCOUNT = frozenset({"account_deactivated", "access_terminated", "invalid_api_key"})

_NO_IMAGES = re.compile(
    r"image_url is only supported|not a multimodal model|at most 0 image|support image input|image input is not supported"
    r"|(?:not|n't) support (?:images?|vision)\b|no vision|missing data required for image input",
    re.IGNORECASE,
)
"""What OpenAI, vLLM, OpenRouter, llama.cpp and Ollama say of a model that takes no images."""

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_EPOCH_S, _EPOCH_MS = 1e9, 1e12


def fault_of_status(
    status: int, body: str, headers: Mapping[str, str], *, model: str, key_variable: str
) -> SystemFault:
    """Return the error that an HTTP status and its body stand for; ``key_variable``: how a key is given."""
    data = json_object(body)
    said = _said(data, body)
    words = error_words(data or {})
    if status == 402 or words & WITHOUT_MONEY:
        what = f"{model}: the account has no quota or credit left ({status}): {said}. What was answered is stored"
        return StopModel(
            f"{what}; run the same command again when there is some", http_status=status, body=body
        )
    if status == 429:
        return _rate_limited(data or {}, said, headers, model=model, body=body)
    if _NO_IMAGES.search(said):
        return StopModel(
            f"{model}: the model takes no images ({status}): {said}. Name one that sees, or ask it through another "
            "endpoint",
            http_status=status,
            body=body,
        )
    if status in (401, 407) or words & WITHOUT_ACCOUNT:
        return StopModel(
            f"{model}: the key was refused ({status}): {said}. Set {key_variable} to a key of this endpoint and run the "
            "same command again",
            http_status=status,
            body=body,
        )
    if status in (404, 405) or 300 <= status < 400:
        return StopModel(
            f"{model}: there is no such model or no such service at this address ({status}): {said}. Check `model:` and "
            "`base_url:`, which ends in /v1 at most services",
            http_status=status,
            body=body,
        )
    if status in (408, 409, 425) or status >= 500:
        return RetryLater(
            f"{model}: the endpoint answered {status}: {said}",
            delay_s=asked_delay_s(headers),
            http_status=status,
            body=body,
        )
    return GiveUp(f"{model}: the request was refused ({status}): {said}", http_status=status, body=body)


def no_answer(body: str, *, model: str, key_variable: str) -> SystemFault:
    """Return the error of a 200 body that holds no answer: the one that it tells, else one to ask again after."""
    data = json_object(body)
    if data is None:
        return RetryLater(
            f"{model}: the endpoint answered 200 with what is not a JSON object: {body[:80]!r}. Check `base_url:` where "
            "every request ends so: it ends in /v1 at most services",
            http_status=200,
            body=body,
        )
    code = mapping(data.get("error")).get("code")
    status = code if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600 else None
    if status is not None or error_words(data) & (WITHOUT_MONEY | WITHOUT_ACCOUNT):
        return fault_of_status(status or 200, body, {}, model=model, key_variable=key_variable)
    told = _said(data, body)
    return RetryLater(
        f"{model}: the endpoint answered 200 with a body that holds no answer: {told}",
        http_status=200,
        body=body,
    )


def error_words(data: Mapping[str, Any]) -> set[str]:
    """Return the codes and types of a body's error, those inside it (Azure, OpenRouter) too."""
    error = mapping(data.get("error"))
    inner = (
        error,
        mapping(error.get("innererror")),
        mapping(error.get("inner_error")),
        mapping(error.get("metadata")),
    )
    found = [one.get(name) for one in inner for name in ("code", "type", "error_type")]
    return {word.lower() for word in found if isinstance(word, str)}


def _rate_limited(
    data: Mapping[str, Any], said: str, headers: Mapping[str, str], *, model: str, body: str
) -> SystemFault:
    inner = mapping(mapping(mapping(data.get("error")).get("metadata")).get("headers"))
    given = {str(name).lower(): str(value) for name, value in inner.items()}
    delays = [delay for told in (headers, given) if (delay := asked_delay_s(told)) is not None]
    delay_s = max(delays, default=None)
    if delay_s is not None and delay_s > LONGEST_WAIT_S:
        return StopModel(
            f"{model}: the quota cannot be waited for ({delay_s / 3600:.1f} h): {said}. What was answered is stored; run "
            "the same command again when it is back",
            http_status=429,
            body=body,
        )
    return RetryLater(
        f"{model}: too many requests (429): {said}",
        delay_s=delay_s,
        rate_limited=True,
        http_status=429,
        body=body,
    )


def asked_delay_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a server asks to wait, None where it says nothing.

    ``retry-after-ms`` and ``retry-after`` say so; else the limits that are used up say when they are back.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    asked = None if milliseconds is None else milliseconds / 1000
    asked = retry_after_s(headers.get("retry-after")) if asked is None else asked
    return max(_resets_s(headers), default=None) if asked is None else asked


def _resets_s(headers: Mapping[str, str]) -> Iterator[float]:
    for suffix in ("", "-requests", "-tokens"):
        if headers.get(f"x-ratelimit-remaining{suffix}", "0").strip() == "0":
            reset = _seconds(headers.get(f"x-ratelimit-reset{suffix}"))
            if reset is not None:
                yield reset


def _seconds(value: str | None) -> float | None:
    """Read ``12``, ``1.5s``, ``6m0s``, ``20ms``, or a moment as Unix seconds or milliseconds; None otherwise."""
    text = (value or "").strip()
    if re.fullmatch(r"\d{1,15}(?:\.\d{1,9})?", text):
        number = float(text)
        moment = number / 1000 if number >= _EPOCH_MS else number
        return max(0.0, moment - dt.datetime.now(dt.UTC).timestamp()) if moment >= _EPOCH_S else number
    match = _DURATION.fullmatch(text) if len(text) < 40 else None
    if match is None or not text:
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def retry_after_s(value: str | None) -> float | None:
    """Read Retry-After: seconds, or an HTTP date."""
    if not value:
        return None
    if re.fullmatch(r"\d+(?:\.\d+)?", value.strip()):
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max(0.0, (moment - dt.datetime.now(dt.UTC)).total_seconds())


def _said(data: Mapping[str, Any] | None, body: str) -> str:
    error = (data or {}).get("error")
    found = (mapping(error).get("message"), error, *((data or {}).get(key) for key in ("message", "detail")))
    told = next((text for text in found if isinstance(text, str) and text), None)
    text = " ".join((told or (json.dumps(data) if data else body) or "an empty body").split()).rstrip(".")
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."
