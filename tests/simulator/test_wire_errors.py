"""Errors have the shape, the class and the details that the real client shows."""

import json
import urllib.error
import urllib.request

import pytest
from google.genai import errors
from google.genai import types as genai_types


def failure(wire, base_url, sample, model="gemini-2.5-flash", **settings):
    """Return the APIError that asking raises."""
    with pytest.raises(errors.APIError) as caught:
        wire.ask(base_url, sample, model, **settings)
    return caught.value


def test_a_bad_key_is_400_with_error_info(start, wire, samples):
    """Not 401: the reason stands in an ErrorInfo."""
    error = failure(wire, start().base_url, samples[0], client_settings={"api_key": "invalid"})
    assert isinstance(error, errors.ClientError)
    assert (error.code, error.status) == (400, "INVALID_ARGUMENT")
    assert error.details["error"]["details"][0]["reason"] == "API_KEY_INVALID"


def test_no_credential_at_all_is_403(start):
    """The client cannot be built without a key, so the request is made by hand."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{start().base_url}/v1beta/models")
    assert caught.value.code == 403
    caught.value.close()


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("gemini-9-neon", "is not found for API version v1beta"),
        ("gemini-robotics-er-1.5-preview", "no longer available to new users"),
    ],
)
def test_unknown_and_retired_models_are_404(start, wire, samples, model, says):
    """Both are NOT_FOUND, with different words."""
    error = failure(wire, start().base_url, samples[0], model)
    assert (error.code, error.status) == (404, "NOT_FOUND")
    assert says in error.message


def test_preview_models_need_v1beta(start, wire, samples):
    """The stable version does not know them."""
    settings = {"api_version": "v1"}
    assert (
        failure(wire, start().base_url, samples[0], "gemini-3-flash-preview", client_settings=settings).code
        == 404
    )


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("gemini-2.5-pro", {"thinking_budget": 0}),
        ("gemini-2.5-flash", {"thinking_budget": 99999}),
        ("gemini-2.5-flash", {"thinking_level": "LOW"}),
        ("gemini-3.8-flash", {"thinking_level": "MINIMAL"}),
        ("gemini-4-argon", {"thinking_budget": 1024}),
        ("gemini-3.6-flash", {"thinking_budget": 0, "thinking_level": "LOW"}),
    ],
)
def test_thinking_settings_that_a_model_refuses_are_400(start, wire, samples, model, thinking):
    """The client validates nothing; the service does."""
    config = genai_types.ThinkingConfig(**thinking)
    error = failure(wire, start().base_url, samples[0], model, thinking_config=config)
    assert (error.code, error.status) == (400, "INVALID_ARGUMENT")


def test_a_server_deadline_below_ten_seconds_is_400(start, wire, samples):
    """The client's time-out travels as X-Server-Timeout."""
    options = genai_types.HttpOptions(timeout=5000)
    assert failure(wire, start().base_url, samples[0], http_options=options).code == 400


def test_an_image_that_is_none_is_400(start, wire, samples):
    """Damaged bytes are the caller's error."""
    assert failure(wire, start().base_url, samples[0], image=b"not an image").code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"[]",
        b"{}",
        b'{"contents": ["text"]}',
        b'{"contents": [{"parts": ["text"]}]}',
        b'{"contents": [{"parts": [{"inlineData": {"data": "%%%"}}]}]}',
    ],
)
def test_a_malformed_body_is_400(start, body):
    """Each wrong shape is INVALID_ARGUMENT, never a dropped connection."""
    request = urllib.request.Request(
        f"{start().base_url}/v1beta/models/gemini-2.5-flash:generateContent",
        data=body,
        headers={"x-goog-api-key": "x"},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 400
    assert json.load(caught.value)["error"]["status"] == "INVALID_ARGUMENT"


def test_an_unknown_persona_is_404_and_names_the_nearest(start, wire, samples):
    """A typing error in a base_url is told."""
    error = failure(wire, f"{start().base_url}/persona/polygon", samples[0])
    assert error.code == 404
    assert "Did you mean 'polygons'?" in error.message


def test_quota_per_minute_is_429_with_retry_info_below_error_details(start, wire, samples):
    """RetryInfo and QuotaFailure stand in details["error"]["details"]; the client drops neither."""
    simulator = start(faults=[{"kind": "rate_limit_minute", "retry_delay_s": 23.5}])
    error = failure(wire, simulator.base_url, samples[0])
    assert isinstance(error, errors.ClientError)
    assert (error.code, error.status) == (429, "RESOURCE_EXHAUSTED")
    details = {detail["@type"].rpartition(".")[2]: detail for detail in error.details["error"]["details"]}
    assert details["RetryInfo"]["retryDelay"] == "23.5s"
    violation = details["QuotaFailure"]["violations"][0]
    assert violation["quotaId"] == "GenerateRequestsPerMinutePerProjectPerModel"
    assert violation["quotaDimensions"]["model"] == "gemini-2.5-flash"


def test_quota_per_day_is_429_without_a_delay(start, wire, samples):
    """Two a day: the third is refused, with PerDay in the quota's id."""
    simulator = start(faults=[{"kind": "rate_limit_day", "requests_per_day": 2}])
    for _ in range(2):
        wire.ask(simulator.base_url, samples[0])
    error = failure(wire, simulator.base_url, samples[0])
    details = error.details["error"]["details"]
    assert len(details) == 1
    assert "PerDay" in details[0]["violations"][0]["quotaId"]
    assert [entry.status for entry in simulator.requests] == [200, 200, 429]


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("internal", 500, "INTERNAL"),
        ("unavailable", 503, "UNAVAILABLE"),
        ("deadline", 504, "DEADLINE_EXCEEDED"),
    ],
)
def test_server_errors(start, wire, samples, kind, code, status):
    """500, 503 and 504 are ServerErrors."""
    error = failure(wire, start(faults=[{"kind": kind}]).base_url, samples[0])
    assert isinstance(error, errors.ServerError)
    assert (error.code, error.status) == (code, status)
