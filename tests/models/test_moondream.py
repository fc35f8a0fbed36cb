"""``provider: moondream`` over the real session: the request, the path, and what is no answer."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from evalkit.decoding.answer import decode_answer
from evalkit.errors import ConfigError, DataError, RetryLater, StopModel, SystemFault
from evalkit.masks import full_mask, truth_mask
from evalkit.models.base import Question
from evalkit.models.http.session import HttpAnswer
from evalkit.models.moondream import ASKED, PROVIDER, MoondreamConfig, open_moondream, read_segment_body
from evalkit.types import Response

SECRET = "a-moondream-key-of-real-length"


def moondream_entry(base_url: str | None, **changes: Any) -> MoondreamConfig:
    """Return an entry of the provider."""
    return MoondreamConfig.model_validate(
        {"name": "m", "provider": "moondream", "base_url": base_url} | changes
    )


def ask_once(entry: MoondreamConfig, question: Question) -> Response:
    """Ask about the expression once and close the model."""

    async def run() -> Response:
        model = open_moondream(entry)
        try:
            asked = Question(question.sample, model.prompt_for(question.sample), question.image)
            return await model.ask(asked)
        finally:
            await model.close()

    return asyncio.run(run())


def test_a_path_of_the_simulator_fits_the_truth(simulate: Callable[..., Any], question: Question) -> None:
    """It is strict, and the stored body reads the same."""
    simulator = simulate()
    response = ask_once(moondream_entry(simulator.url_for("svg-paths") + "/v1", model="moondream3"), question)
    truth = question.sample.truth
    decoded = decode_answer(response.text, height_px=truth.height_px, width_px=truth.width_px, asked=ASKED)
    assert decoded.mask is not None
    drawn_hw, truth_hw = full_mask(decoded.mask), truth_mask(truth)
    assert (drawn_hw & truth_hw).sum() / (drawn_hw | truth_hw).sum() > 0.7
    assert decoded.strict
    assert response.simulated
    assert PROVIDER.read_body(response.body) == response
    assert simulator.requests[0].path.endswith("/v1/segment")


def test_the_request_is_that_of_the_services_client(
    question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Header, address and members; what is not set is not sent."""
    monkeypatch.setenv("MOONDREAM_API_KEY", SECRET)
    sent: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    async def post(_: Any, url: str, headers: dict[str, str], body: bytes) -> HttpAnswer:
        sent.append((url, headers, json.loads(body)))
        return HttpAnswer(200, "OK", {}, '{"path": ""}')

    monkeypatch.setattr("evalkit.models.http.session.HttpSession.post", post)
    ask_once(moondream_entry(None), question)
    ask_once(moondream_entry("http://127.0.0.1:1/v1/", model="x", settings={"max_tokens": 9}), question)
    (url, headers, body), (local_url, local_headers, local_body) = sent
    assert (url, local_url) == ("https://api.moondream.ai/v1/segment", "http://127.0.0.1:1/v1/segment")
    assert headers["X-Moondream-Auth"] == SECRET
    assert "X-Moondream-Auth" not in local_headers
    picture = body.pop("image_url")
    assert question.image is not None
    assert base64.b64decode(picture.removeprefix("data:image/png;base64,")) == question.image.data
    assert body == {"object": question.sample.expression, "stream": False}
    assert (local_body["model"], local_body["settings"]) == ("x", {"max_tokens": 9})


@pytest.mark.parametrize(
    ("body", "outcome", "failure"),
    [
        ({"path": "M 0.1 0.1 L 0.5 0.1 L 0.5 0.5 Z"}, "format_failure", "box_missing"),
        ({"path": ""}, "no_target", None),
        (
            {"path": "", "bbox": {"x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1}},
            "format_failure",
            "mask_empty",
        ),
        (
            {"path": "M 0.1 0.1 L 0.5", "bbox": {"x_min": 0.1, "y_min": 0.1, "x_max": 1, "y_max": 1}},
            "format_failure",
            "wrong_shape",
        ),
        (
            {
                "path": "M 0.1 0.1 L 0.5 0.1 L 0.5 0.5 Z",
                "bbox": {"x_min": 0.1, "y_min": 0.1, "x_max": 0.5, "y_max": 0.5},
            },
            "decoded",
            None,
        ),
    ],
    ids=str,
)
def test_bodies_are_read_by_what_they_hold(body: dict[str, Any], outcome: str, failure: str | None) -> None:
    """A path without a box has no known frame."""
    text = read_segment_body(json.dumps(body)).text
    decoded = decode_answer(text, height_px=100, width_px=100, asked=ASKED)
    assert (decoded.outcome, decoded.failure) == (outcome, failure)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "unavailable"}, RetryLater),
        ({"kind": "rate_limit_minute", "retry_delay_s": 2}, RetryLater),
        ({"kind": "rate_limit_day"}, StopModel),
        ({"kind": "not_found"}, StopModel),
        ({"kind": "non_json_200"}, RetryLater),
        ({"kind": "empty_body"}, RetryLater),
        ({"kind": "error_200"}, RetryLater),
        ({"kind": "reset"}, RetryLater),
        ({"kind": "truncated_body"}, RetryLater),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_every_fault_has_its_error(
    fault: dict[str, Any], error: type[SystemFault], simulate: Callable[..., Any], question: Question
) -> None:
    """By what can be done about it, after one request."""
    simulator = simulate(fault)
    with pytest.raises(error) as caught:
        ask_once(moondream_entry(simulator.base_url + "/v1"), question)
    assert type(caught.value) is error
    assert len(simulator.requests) == 1


def test_the_key_is_told_where_it_is_missing_and_hidden_where_it_is_refused(
    simulate: Callable[..., Any], question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hosted service needs one, a local server none unless the config names a variable."""
    monkeypatch.delenv("MOONDREAM_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="MOONDREAM_API_KEY"):
        PROVIDER.access(moondream_entry(None))
    PROVIDER.access(moondream_entry("http://127.0.0.1:1/v1"))
    monkeypatch.setenv("MY_KEY", "invalid")
    with pytest.raises(StopModel, match="MY_KEY") as caught:
        ask_once(moondream_entry(simulate().base_url + "/v1", api_key_env="MY_KEY"), question)
    assert caught.value.http_status == 401
    monkeypatch.setenv("MY_KEY", SECRET)
    assert SECRET not in repr(
        vars(open_moondream(moondream_entry("http://127.0.0.1:1/v1", api_key_env="MY_KEY")))
    )


def test_a_damaged_stored_body_is_a_data_error() -> None:
    """It is no answer of the model."""
    with pytest.raises(DataError, match="not a JSON object"):
        read_segment_body("<html>")
