"""Saved bodies of every service say what their text says; what is no body is read as the answer it is."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from evalkit.decoding import decode_answer
from evalkit.decoding.api_body import read_api_body
from evalkit.masks import full_mask
from evalkit.types import AskedFormat

ANSWER = json.dumps(
    [{"box_2d": [100, 600, 300, 800], "mask": [[600, 100], [800, 100], [800, 300], [600, 300]]}]
)
HALVES = (ANSWER[:40], ANSWER[40:])
PAIRS = AskedFormat(wire_format="polygon_pairs")


def gemini(text: str | None, finish: str = "STOP") -> dict:
    """Return a generateContent body."""
    parts = [] if text is None else [{"text": "let me see", "thought": True}, {"text": text}]
    return {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish}]}


def dumped(text: str) -> dict:
    """Return what google-genai's model_dump makes of the same body."""
    return {
        "sdk_http_response": {"headers": {"content-type": "application/json"}, "body": None},
        "candidates": [
            {
                "content": {"parts": [{"text": text, "thought": None}], "role": "model"},
                "finish_reason": "STOP",
            }
        ],
        "prompt_feedback": None,
        "usage_metadata": {"thoughts_token_count": 3},
        "parsed": None,
    }


def chat(text: str, finish: str | None = "stop", part: str = "message") -> dict:
    """Return an OpenAI chat completion, or a chunk of one (``part="delta"``)."""
    return {"id": "c", "choices": [{"index": 0, part: {"content": text}, "finish_reason": finish}]}


def responses(text: str) -> dict:
    """Return a body of OpenAI's Responses API."""
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "[1]"}]}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    return {"id": "r", "object": "response", "status": "completed", "output": [thought, said]}


def interaction(text: str) -> dict:
    """Return a body of Google's Interactions API."""
    return {
        "id": "v1",
        "status": "completed",
        "outputs": [{"type": "thought"}, {"type": "text", "text": text}],
    }


def events(chunks: list[dict], *, named: bool = False, done: bool = False, end: str = "\n\n") -> str:
    """Return chunks as server-sent events."""
    lines = [
        (f"event: {chunk.get('type', 'message')}\n" if named else "") + f"data: {json.dumps(chunk)}"
        for chunk in chunks
    ]
    return end.join([*lines, *(["data: [DONE]"] if done else [])]) + end


BODIES = {
    "generateContent": json.dumps(gemini(ANSWER), indent=2),
    "a list of streamed bodies": json.dumps([gemini(half) for half in HALVES]),
    "server-sent events": events([gemini(half) for half in HALVES]),
    "server-sent events of Windows": events([gemini(half) for half in HALVES], end="\r\n\r\n"),
    "events after a comment": ": ping\n\n" + events([gemini(half) for half in HALVES]),
    "JSON lines of a stream": "\n".join(json.dumps(gemini(half)) for half in HALVES),
    "batch line of Gemini": json.dumps({"key": "s1", "response": gemini(ANSWER)}),
    "batch line of Vertex": json.dumps({"status": "", "request": {"contents": []}, "response": gemini(ANSWER)}),
    "batch line of OpenAI": json.dumps(
        {"id": "b", "custom_id": "s1", "response": {"status_code": 200, "body": chat(ANSWER)}, "error": None}
    ),
    "batch line of Anthropic": json.dumps(
        {"custom_id": "s", "result": {"type": "succeeded", "message": {"type": "message", "content": [{"type": "text", "text": ANSWER}]}}}
    ),
    "dumped SDK response": json.dumps(dumped(ANSWER)),
    "chat completion": json.dumps(chat(ANSWER)),
    "chat completion in parts": json.dumps(
        {"choices": [{"message": {"content": [{"type": "text", "text": half} for half in HALVES]}}]}
    ),
    "chat stream": events([chat(half, None, "delta") for half in HALVES] + [chat("", "stop", "delta")], done=True),
    "responses": json.dumps(responses(ANSWER)),
    "responses stream": events(
        [{"type": "response.created", "response": {"output": []}}]
        + [{"type": "response.output_text.delta", "delta": half} for half in HALVES]
        + [{"type": "response.completed", "response": responses(ANSWER)}],
        named=True,
    ),
    "interaction": json.dumps(interaction(ANSWER)),
    "interaction stream": events(
        [{"event_type": "interaction.start", "interaction": {"id": "v"}}]
        + [{"event_type": "content.delta", "index": 0, "delta": {"type": "text", "text": half}} for half in HALVES]
        + [{"event_type": "interaction.complete", "interaction": {"outputs": []}}]
    ),
    "message of Anthropic": json.dumps(
        {"type": "message", "content": [{"type": "text", "text": ANSWER}], "stop_reason": "end_turn"}
    ),
    "chat of Ollama": json.dumps({"model": "qwen3-vl", "message": {"content": ANSWER}, "done": True}),
    "generation of Ollama": json.dumps({"model": "qwen3-vl", "response": ANSWER, "done": True, "done_reason": "stop"}),
    "a body in a body": json.dumps(chat(json.dumps(gemini(ANSWER)))),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_saved_body_says_what_its_text_says(name):
    """The verdict is that of the bare answer, strictness included."""
    got = decode_answer(BODIES[name], height_px=480, width_px=640, asked=PAIRS)
    plain = decode_answer(ANSWER, height_px=480, width_px=640, asked=PAIRS)
    assert (got.outcome, got.strict, got.repairs) == ("decoded", True, ())
    assert np.array_equal(full_mask(got.mask), full_mask(plain.mask))


@pytest.mark.parametrize(
    ("body", "outcome", "failure"),
    [
        (gemini(None, "MAX_TOKENS"), "format_failure", "empty_response"),
        (gemini("[{", "MAX_TOKENS"), "format_failure", "truncated"),
        (gemini(None, "SAFETY"), "blocked", None),
        ({"promptFeedback": {"blockReason": "OTHER"}}, "blocked", None),
        (chat('[{"box', "length"), "format_failure", "truncated"),
        (chat("", "content_filter"), "blocked", None),
        ({"choices": [{"message": {"content": None, "refusal": "no"}}]}, "blocked", None),
        ({"choices": []}, "format_failure", "empty_response"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"},
          "output": [{"type": "reasoning"}]}, "format_failure", "empty_response"),
        (interaction("[]"), "no_target", None),
        ({"deployedModelId": "1", "model": "m"}, "no_target", None),
    ],
)  # fmt: skip
def test_what_a_body_says_beside_its_text_counts(body, outcome, failure):
    """Finish reasons, blocks and empty bodies, in each service's own words."""
    got = decode_answer(json.dumps(body), height_px=480, width_px=640)
    assert (got.outcome, got.failure) == (outcome, failure)


def test_a_dump_of_vertex_masks_covers_the_full_image():
    """google-genai writes bytes in the URL-safe alphabet; the mask is not laid into a box."""
    values = np.random.default_rng(1).integers(0, 2, (48, 64)).astype(np.uint8) * 255
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    encoded = base64.urlsafe_b64encode(stream.getvalue()).decode("ascii")
    body = {
        "generated_masks": [
            {"mask": {"image_bytes": encoded, "mime_type": "image/png"}, "labels": [{"label": "x"}]}
        ]
    }
    got = decode_answer(
        json.dumps(body), height_px=48, width_px=64, asked=AskedFormat(wire_format="vertex_png", keys=())
    )
    assert np.array_equal(full_mask(got.mask), values > 0)
    assert got.items[0].repairs == ("urlsafe_base64",)


@pytest.mark.parametrize(
    "text",
    [
        ANSWER, "[]", "{}", '{"outputs": []}', '{"output": [{"box_2d": [1, 2, 3, 4]}]}', '{"content": "[]"}',
        '{"result": [{"box_2d": [1, 2, 3, 4]}]}', '{"message": "none", "boxes": []}', "data:image/png;base64,AAAA",
        '{"key": "a", "response": {"candidates": []}}\n{"key": "b", "response": {"candidates": []}}',
        '{"response":' * 3000, '{"type": "response.x", "response":' * 3000, 'data: {"a": 1}\n\n', "data: {\n\n",
    ],
)  # fmt: skip
def test_what_is_no_body_is_left_alone(text):
    """Answers with members of the same names, two lines of a batch, noise."""
    assert read_api_body(text) is None


@pytest.mark.parametrize("task", ["box", "mask"])
def test_paligemma_s_places_are_boxes(task):
    """ymin, xmin, ymax, xmax in 1024ths; segment tokens stay tokens."""
    asked = AskedFormat(wire_format="box_only" if task == "box" else None, task=task)
    text = "<loc0256><loc0128><loc0512><loc0768> red cup ; <loc0000><loc0000><loc1023><loc1023> table"
    got = decode_answer(text, height_px=512, width_px=1024, asked=asked)
    assert [item.label for item in got.items] == ["red cup", "table"]
    assert got.items[0].box_px_xyxy == (128, 128, 768, 256)
    assert got.outcome == ("decoded" if task == "box" else "format_failure")
    tokens = text.split(" ", maxsplit=1)[0] + "<seg012>" * 16 + " cup"
    masks = decode_answer(tokens, height_px=512, width_px=1024)
    assert (masks.failure, masks.items[0].box_px_xyxy) == ("mask_tokens", (128, 128, 768, 256))
