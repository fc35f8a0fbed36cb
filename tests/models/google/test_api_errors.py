"""HTTP status and body -> whose fault it is and what may be done; bodies as Google's pages show them."""

from __future__ import annotations

import datetime as dt
import email.utils
from typing import Any

import pytest

from evalkit.errors import GiveUp, RetryLater, StopModel, SystemFault
from evalkit.models.google.api_errors import classify, server_delay_s


def body(code: int, status: str, message: str = "said", **detail: Any) -> dict[str, Any]:
    """Return an error body with one detail."""
    return {
        "error": {"code": code, "status": status, "message": message, "details": [detail] if detail else []}
    }


def quota(quota_id: str, value: str = "10") -> dict[str, Any]:
    """Return a QuotaFailure detail."""
    return {"violations": [{"quotaId": quota_id, "quotaValue": value}]}


@pytest.mark.parametrize(
    ("status", "details", "expected"),
    [
        (400, body(400, "INVALID_ARGUMENT", "API key not valid", reason="API_KEY_INVALID"), StopModel),
        (400, body(400, "INVALID_ARGUMENT", "Unable to process input image"), GiveUp),
        (400, body(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), StopModel),
        (401, body(401, "UNAUTHENTICATED"), StopModel),
        (403, body(403, "PERMISSION_DENIED", "You do not have permission to access the File"), GiveUp),
        (403, body(403, "PERMISSION_DENIED", "Your API key was reported as leaked"), StopModel),
        (
            403,
            body(403, "PERMISSION_DENIED", "Generative Language API", reason="SERVICE_DISABLED"),
            StopModel,
        ),
        (404, body(404, "NOT_FOUND", "models/x is no longer available to new users"), StopModel),
        (408, body(408, "CANCELLED"), RetryLater),
        (
            429,
            body(429, "RESOURCE_EXHAUSTED", **quota("GenerateRequestsPerMinutePerProjectPerModel")),
            RetryLater,
        ),
        (
            429,
            body(429, "RESOURCE_EXHAUSTED", **quota("GenerateRequestsPerDayPerProjectPerModel")),
            StopModel,
        ),
        (
            429,
            body(429, "RESOURCE_EXHAUSTED", **quota("GenerateRequestsPerMinutePerProjectPerModel", "0")),
            StopModel,
        ),
        (429, {"message": "slow down", "status": "Too Many Requests"}, RetryLater),
        (500, body(500, "INTERNAL"), RetryLater),
        (502, {"message": "<html>", "status": "Bad Gateway"}, RetryLater),
        (503, body(503, "UNAVAILABLE", "The model is overloaded."), RetryLater),
        (504, body(504, "DEADLINE_EXCEEDED"), RetryLater),
        (204, {}, RetryLater),
        (302, {"message": "moved"}, GiveUp),
        (400, ["not", "a", "mapping"], GiveUp),
    ],
)
def test_each_status_has_its_class(status: int, details: Any, expected: type[SystemFault]) -> None:
    """Retry what may pass, give up what cannot, stop a model that nobody can ask any more."""
    fault = classify(status, details, model="gemini-x")
    assert type(fault) is expected
    assert fault.http_status == status
    assert "gemini-x" in str(fault)
    assert fault.body


def test_the_longer_of_two_delays_counts() -> None:
    """RetryInfo and Retry-After (seconds or a date) are both read."""
    facts = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "23.5s"}]
    assert server_delay_s(facts, None) == 23.5
    assert server_delay_s(facts, {"retry-after": "53"}) == 53
    later = email.utils.format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=90), usegmt=True)
    assert server_delay_s([], {"retry-after": later}) == pytest.approx(90, abs=2)
    assert server_delay_s([], {"retry-after": "soon"}) is None
    assert server_delay_s([{"retryDelay": {"seconds": 3, "nanos": 5e8}}], None) == 3.5


def test_a_delay_of_hours_stops_the_model() -> None:
    """Nobody waits ten hours for one request."""
    fault = classify(429, body(429, "RESOURCE_EXHAUSTED", retryDelay="36000s"), model="m")
    assert isinstance(fault, StopModel)


def test_what_is_known_of_a_model_is_told_on_404() -> None:
    """The data file's sentence stands in the error."""
    assert "shut down" in str(classify(404, {}, model="m", availability="was shut down on 2026-08-31."))
