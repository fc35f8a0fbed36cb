"""What bodies of chat completions say: text, tokens, cost, who answered."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from evalkit.config.prompts import find_prompt
from evalkit.decoding.answer import decode_answer
from evalkit.errors import DataError
from evalkit.models.known_models import was_routed
from evalkit.models.openai_bodies import chat_usage, read_chat_body, response_format
from evalkit.models.openai_chat import ChatConfig
from evalkit.models.prices import cost_usd
from evalkit.types import Usage


def body(**choice: Any) -> str:
    """Return a body with one choice."""
    return json.dumps({"id": "x", "model": "m", "choices": [choice], "usage": {}})


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 5}, Usage(9, 5, None)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(9, 2, 3),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "total_tokens": 17,
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(9, 5, 3),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "completion_tokens_details": {"reasoning_tokens": 8},
            },
            Usage(9, 5, 8),
        ),
        ({}, Usage(all_counted=False)),
        ({"prompt_tokens": -1, "completion_tokens": 5}, Usage(None, 5, all_counted=False)),
        ({"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.25}, Usage(1, 1, cost_usd=0.25)),
        ({"prompt_tokens": 1, "completion_tokens": 1, "cost": -1}, Usage(1, 1)),
        ({"prompt_tokens": 1, "completion_tokens": 1, "cost": True}, Usage(1, 1)),
    ],
    ids=str,
)
def test_tokens_are_counted_once(usage: dict[str, Any], read: Usage) -> None:
    """Reasoning is part of ``completion_tokens`` unless the total shows that it is not."""
    assert chat_usage(usage) == read


@pytest.mark.parametrize(
    ("finish", "content", "outcome", "failure"),
    [
        ("length", '{"segmentations": [{"label": "a", "polygon": [1, 2', "format_failure", "truncated"),
        ("content_filter", None, "blocked", None),
        ("content_filter", "[]", "blocked", None),
        ("stop", None, "format_failure", "empty_response"),
        ("stop", '{"segmentations": []}', "no_target", None),
    ],
)
def test_finish_reasons_mean_what_geminis_mean(
    finish: str, content: str | None, outcome: str, failure: str | None
) -> None:
    """The service's word is kept, and decoding knows what it says."""
    response = read_chat_body(body(message={"content": content}, finish_reason=finish))
    assert response.finish_reason == finish
    decoded = decode_answer(
        response.text,
        height_px=10,
        width_px=10,
        asked=find_prompt("pixel-polygon").asked,
        finish_reason=response.finish_reason,
        block_reason=response.block_reason,
    )
    assert (decoded.outcome, decoded.failure) == (outcome, failure)


def test_thoughts_used_the_budget() -> None:
    """No text, ``length``, and reasoning tokens."""
    decoded = decode_answer(None, height_px=9, width_px=9, finish_reason="length", thought_tokens=9)
    assert decoded.failure == "thinking_used_budget"


def test_text_parts_are_joined_and_thoughts_left_out() -> None:
    """Some gateways answer in parts; ``reasoning_content`` is never decoded."""
    parts = [{"type": "text", "text": "[{"}, {"type": "text", "text": "}]"}]
    response = read_chat_body(body(message={"content": parts, "reasoning_content": "[1]"}))
    assert response.text == "[{}]"


def test_the_upstream_provider_is_told_beside_the_model() -> None:
    """A router's choice is a part of who answered, and no routing by itself."""
    read = read_chat_body(json.dumps({"model": "qwen/qwen3-vl-8b", "provider": "DeepInfra", "choices": []}))
    assert read.model_version == "qwen/qwen3-vl-8b via DeepInfra"
    assert not was_routed("Qwen/Qwen3-VL-8B:free", read.model_version)


@pytest.mark.parametrize(
    ("requested", "answered", "routed"),
    [
        ("gpt-6-astra", "gpt-6-astra-2026-08-07", False),
        ("Qwen/Qwen3-VL-8B-Instruct", "qwen/qwen3-vl-8b-instruct", False),
        ("qwen3-vl", "qwen3-vl:latest", False),
        ("qwen3-vl:8b", "qwen3-vl:4b", True),
        ("gpt-6-astra", "gpt-6-astra-mini", True),
        ("gpt-6-astra", "gpt-5.5 via Azure", True),
    ],
)
def test_another_model_is_told(requested: str, answered: str, routed: bool) -> None:
    """Case and the usual tags are no other model."""
    assert was_routed(requested, answered) is routed


def test_cost_is_the_configs_then_the_bodys_else_unknown() -> None:
    """Unknown is never zero."""
    entry = {"name": "m", "provider": "openai", "model": "some-model", "base_url": "http://127.0.0.1:1/v1"}
    told = {"prompt_tokens": 100, "completion_tokens": 10, "cost": 0.5}
    priced = entry | {"price": {"input_usd_per_million": 1e4, "output_usd_per_million": 0}}
    day = dt.date(2026, 11, 25)
    for given, usage, cost in (
        (priced, told, 1.0),
        (entry, told, 0.5),
        (entry, {"prompt_tokens": 100, "completion_tokens": 10}, None),
    ):
        answer = read_chat_body(json.dumps({"model": "some-model", "choices": [], "usage": usage}))
        assert cost_usd(ChatConfig.model_validate(given), answer, day) == cost


def test_a_schema_is_enforced_where_it_can_be() -> None:
    """``strict`` needs every object closed and every member required."""
    closed = find_prompt("pixel-polygon").response_schema
    opened = find_prompt("polygon-boxes-schema").response_schema
    assert closed is not None
    assert opened is not None
    for schema, strict in ((closed, True), (opened, False)):
        asked = response_format(schema, None)
        assert asked is not None
        assert asked["json_schema"]["strict"] is strict
    assert response_format(None, "application/json") == {"type": "json_object"}
    assert response_format(None, None) is None


def test_a_damaged_stored_body_is_a_data_error() -> None:
    """It is no answer of the model."""
    with pytest.raises(DataError, match="not a JSON object"):
        read_chat_body("<html>")
