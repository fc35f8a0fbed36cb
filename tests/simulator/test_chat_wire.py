"""Chat completions of the simulator: the answers of generateContent, written as chat services write them."""

import base64
import io
import json

import httpx2
import pytest
from PIL import Image

from evalkit.config.prompts import find_prompt
from evalkit.decoding.answer import decode_answer
from evalkit.masks import full_mask, truth_mask
from evalkit.models.google.bodies import read_gemini_body
from evalkit.models.openai_bodies import read_chat_body


def chat_body(sample, **changes):
    """Return a chat request about a sample."""
    url = "data:image/png;base64," + base64.b64encode(sample.image.inline).decode()
    content = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": f"Segment {sample.expression}."},
    ]
    return {"model": "gemini-3.8-flash", "messages": [{"role": "user", "content": content}]} | changes


def gemini_body(sample):
    """Return the same question for generateContent."""
    image = {"mimeType": "image/png", "data": base64.b64encode(sample.image.inline).decode()}
    return {"contents": [{"parts": [{"inlineData": image}, {"text": f"Segment {sample.expression}."}]}]}


def post(url, body, **headers):
    """Send one request with a key."""
    return httpx2.post(url, json=body, headers={"authorization": "Bearer k"} | headers, verify=False)


@pytest.mark.parametrize("persona", ["pixel-polygons", "x-first-boxes", "png-masks", "mixed-failures"])
def test_the_answers_are_those_of_generate_content(start, samples, persona):
    """Same text and tokens, and the same verdict, through either wire format."""
    url = start().url_for(persona)
    for sample in samples:
        path = "/v1beta/models/gemini-3.8-flash:generateContent"
        theirs = read_gemini_body(post(url + path, gemini_body(sample)).text)
        ours = read_chat_body(post(url + "/v1/chat/completions", chat_body(sample)).text)
        assert ours.text == theirs.text
        assert ours.simulated
        assert ours.model_version == theirs.model_version
        for counts in (ours.usage, theirs.usage):
            assert (counts.input_tokens, counts.output_tokens) == (
                theirs.usage.input_tokens,
                theirs.usage.output_tokens,
            )
        verdicts = [
            decode_answer(
                one.text,
                height_px=120,
                width_px=160,
                finish_reason=one.finish_reason,
                block_reason=one.block_reason,
                thought_tokens=one.usage.thought_tokens,
            )
            for one in (ours, theirs)
        ]
        assert len({(verdict.outcome, verdict.failure) for verdict in verdicts}) == 1


def test_pixels_are_those_of_the_image_as_sent(start, samples):
    """A polygon of a photograph sent at half its size fits the truth, read as pixels of that."""
    sample = samples[0]
    small = io.BytesIO()
    Image.open(io.BytesIO(sample.image.inline)).resize((80, 60)).save(small, "PNG")
    body = chat_body(sample)
    url = "data:image/png;base64," + base64.b64encode(small.getvalue()).decode()
    body["messages"][0]["content"][0]["image_url"]["url"] = url
    answer = read_chat_body(post(start().url_for("pixel-polygons") + "/v1/chat/completions", body).text)
    asked = find_prompt("pixel-polygon").sent_at(80).asked
    decoded = decode_answer(answer.text, height_px=120, width_px=160, asked=asked)
    assert decoded.strict
    drawn_hw, truth_hw = full_mask(decoded.mask), truth_mask(sample.truth)
    assert (drawn_hw & truth_hw).sum() / (drawn_hw | truth_hw).sum() > 0.7


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "rate_limit_minute", "retry_delay_s": 3}, 429, "rate_limit_exceeded"),
        ({"kind": "rate_limit_day"}, 429, "insufficient_quota"),
        ({"kind": "not_found"}, 404, "model_not_found"),
        ({"kind": "content_filter"}, 400, "content_filter"),
        ({"kind": "no_images"}, 400, "invalid_argument"),
        ({"kind": "unavailable"}, 503, "unavailable"),
        ({"kind": "error_200"}, 200, 503),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_errors_have_the_shape_of_chat_services(start, samples, fault, status, code):
    """``{"error": {"message", "type", "code"}}``, and the wait in a header."""
    reply = post(start([fault]).base_url + "/v1/chat/completions", chat_body(samples[0]))
    assert reply.status_code == status
    assert reply.json()["error"]["code"] == code
    assert (reply.headers.get("retry-after") == "3") == ("retry_delay_s" in fault)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"model": "x"}, 400),
        ({"model": "x", "messages": ["hello"]}, 400),
        (
            {
                "model": "x",
                "messages": [{"content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}],
            },
            400,
        ),
        ({"model": "gemini-robotics-er-1.5-preview", "messages": [{"content": "x"}]}, 404),
        ({"model": "any-id-of-a-gateway", "messages": [{"content": "x"}]}, 200),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_bad_requests_are_refused(start, body, status):
    """As a service refuses them, never with a broken connection."""
    assert post(start().base_url + "/v1/chat/completions", body).status_code == status


def test_a_wrong_key_is_refused(start, samples):
    """401, as chat services answer it; no key at all is refused too."""
    url = start().base_url + "/v1/chat/completions"
    assert post(url, chat_body(samples[0]), authorization="Bearer invalid").status_code == 401
    assert httpx2.post(url, json=chat_body(samples[0]), verify=False).status_code == 403
