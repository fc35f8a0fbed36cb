"""What went wrong on the wire -> ``RetryLater``, ``GiveUp`` or ``StopModel``. Pure.

The classes follow the Gemini API's documented errors: a refused key is a 400 with
``API_KEY_INVALID``; 429 names its quota (``...PerDay...`` cannot be waited for) and its delay
(``RetryInfo``); an unknown or retired model is a 404 for every request.
Source: ai.google.dev/gemini-api/docs/troubleshooting and .../rate-limits, read 2026-11-21.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from evalkit.errors import GiveUp, RetryLater, StopModel, SystemFault
from evalkit.models.http.errors import LONGEST_WAIT_S, SHOWN_CHARACTERS, retry_after_s

KEY_REASONS = {"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED", "CONSUMER_SUSPENDED"}
PROJECT_REASONS = {"SERVICE_DISABLED", "CONSUMER_INVALID", "BILLING_DISABLED", "ACCESS_TOKEN_EXPIRED"}


def classify(
    status: int,
    details: Any,
    headers: Mapping[str, str] | None = None,
    *,
    model: str,
    availability: str = "",
) -> SystemFault:
    """Return the error that an HTTP status and its JSON body stand for.

    ``details``: the whole parsed body. ``availability``: what is known of the model, told on a 404.
    """
    error = details.get("error", details) if isinstance(details, dict) else {}
    error = error if isinstance(error, dict) else {}
    said = _said(error, details)
    body = json.dumps(details, ensure_ascii=False, default=str)
    facts = [item for item in _list(error.get("details")) if isinstance(item, dict)]
    reasons = {str(item.get("reason")) for item in facts if item.get("reason")}

    if status == 429:
        return _rate_limited(facts, said, headers, model=model, body=body)
    if status in (304, 408) or status >= 500 or 200 < status < 300:
        return RetryLater(
            f"{model}: the endpoint answered {status}: {said}",
            delay_s=server_delay_s(facts, headers),
            http_status=status,
            body=body,
        )
    if status == 404:
        known = f" {availability}" if availability else ""
        return StopModel(
            f"{model}: the endpoint knows no such model (404): {said}.{known} Check `model:` and `base_url:`",
            http_status=status,
            body=body,
        )
    if status == 401 or reasons & KEY_REASONS or "api key" in said.lower():
        return StopModel(
            f"{model}: the key was refused ({status}): {said}. Set GEMINI_API_KEY to a key that is valid "
            "for this endpoint and run the same command again",
            http_status=status,
            body=body,
        )
    project = reasons & PROJECT_REASONS or error.get("status") == "FAILED_PRECONDITION"
    if project:
        return StopModel(
            f"{model}: the endpoint refuses this project ({status}): {said}", http_status=status, body=body
        )
    return GiveUp(f"{model}: the request was refused ({status}): {said}", http_status=status, body=body)


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


def _rate_limited(
    facts: list[dict[str, Any]], said: str, headers: Mapping[str, str] | None, *, model: str, body: str
) -> SystemFault:
    violations = [violation for item in facts for violation in _list(item.get("violations"))]
    quotas = [str(item.get("quotaId", "")) for item in violations if isinstance(item, dict)]
    per_day = next((quota for quota in quotas if "perday" in quota.lower()), None)
    none_at_all = _quota_is_zero(facts, violations, said)
    delay_s = server_delay_s(facts, headers)
    too_long = delay_s is not None and delay_s > LONGEST_WAIT_S
    if per_day or none_at_all or too_long:
        why = (
            "the quota is zero, which no waiting changes" if none_at_all else "the quota cannot be waited for"
        )
        why = f"the day's quota is used up ({per_day})" if per_day and not none_at_all else why
        return StopModel(
            f"{model}: {why}: {said}. What was answered is stored; run the same command again when the "
            "quota is back (a day's quota returns at midnight Pacific time)",
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


def _quota_is_zero(facts: list[dict[str, Any]], violations: list[Any], said: str) -> bool:
    """Tell whether nothing at all may be asked: by QuotaFailure, by ErrorInfo's metadata, or by the message's end."""
    values = [item.get("quotaValue") for item in violations if isinstance(item, dict)]
    metadata = [item.get("metadata") for item in facts]
    values += [item.get("quota_limit_value") for item in metadata if isinstance(item, dict)]
    return any(str(value) == "0" for value in values) or re.search(r"\blimit: 0\b(?!\.\d)", said) is not None


def server_delay_s(facts: list[dict[str, Any]], headers: Mapping[str, str] | None) -> float | None:
    """Return the seconds the server asks to wait: the larger of RetryInfo and Retry-After, or None."""
    asked = [_duration_s(item.get("retryDelay")) for item in facts]
    if headers is not None:
        asked.append(retry_after_s(headers.get("retry-after")))
    given = [delay for delay in asked if delay is not None]
    return max(given) if given else None


def _duration_s(value: Any) -> float | None:
    """Read a protobuf duration: ``"53s"``, ``"0.25s"``, or ``{"seconds": 53, "nanos": 0}``."""
    if isinstance(value, dict):
        try:
            delay_s = float(value.get("seconds") or 0) + float(value.get("nanos") or 0) / 1e9
        except (TypeError, ValueError, OverflowError):
            return None
        return delay_s if 0 <= delay_s < math.inf else None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)s", value) if isinstance(value, str) else None
    return float(match.group(1)) if match else None


def _said(error: Mapping[str, Any], details: Any) -> str:
    message = error.get("message")
    text = message if isinstance(message, str) and message else json.dumps(details, default=str)
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
