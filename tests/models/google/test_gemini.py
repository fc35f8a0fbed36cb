"""What is sent: the same JSON that google-genai writes for the same settings, seen by a server of our own."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from evalkit.config.models import PromptConfig
from evalkit.config.prompts import Prompt, find_prompt
from evalkit.models.base import Question
from evalkit.models.google.gemini import GeminiConfig, open_gemini
from evalkit.types import Response

ANSWER = json.dumps(
    {
        "candidates": [
            {
                "content": {"parts": [{"text": "thinking", "thought": True}, {"text": "[]"}]},
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2, "thoughtsTokenCount": 3},
        "modelVersion": "gemini-2.5-flash-001",
        "somethingNew": {"kept": True},
    }
)


@pytest.fixture
def recorder() -> Iterator[Any]:
    """Return a server that keeps each request's path and parsed body and answers ``ANSWER``."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            server.seen.append((self.path, json.loads(body), dict(self.headers)))
            self.send_response(200)
            self.send_header("content-length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER.encode())

        def log_message(self, *args: Any) -> None:
            pass

    server: Any = HTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(entry: GeminiConfig, prompt: Prompt, question: Question, directory: Path = Path()) -> Response:
    """Ask once."""

    async def run() -> Response:
        model = open_gemini(entry, prompt, directory=directory, state=None)
        try:
            return await model.ask(question)
        finally:
            await model.close()

    return asyncio.run(run())


def folded(value: Any) -> Any:
    """Return JSON with camelCase keys as snake_case and inline bytes decoded, as a server reads it."""
    if isinstance(value, list):
        return [folded(item) for item in value]
    if not isinstance(value, dict):
        return value
    result = {
        "".join(f"_{c.lower()}" if c.isupper() else c for c in key): folded(item)
        for key, item in value.items()
    }
    if "data" in result:
        result["data"] = base64.urlsafe_b64decode(result["data"].replace("+", "-").replace("/", "_"))
    return result


def test_the_request_is_what_the_sdk_would_write(
    recorder: Any, gemini_entry: Callable[..., GeminiConfig], question: Question
) -> None:
    """Every generation setting, image and text: equal to the SDK's own conversion, field by field."""
    from google import genai
    from google.genai import types

    schema = {"type": "object", "properties": {"boxes": {"type": "array"}}}
    generation = {
        "thinking_budget": 0,
        "include_thoughts": True,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3.0,
        "seed": 11,
        "max_output_tokens": 77,
        "media_resolution": "high",
        "response_schema": schema,
        "system_instruction": "Be exact.",
        "safety_settings": {"harassment": "block_none"},
        "service_tier": "flex",
    }
    ask(gemini_entry(recorder.url, generation=generation), find_prompt("google-mask"), question)
    client = genai.Client(
        vertexai=False,
        api_key="x",
        http_options=types.HttpOptions(base_url=recorder.url, api_version="v1beta"),
    )
    assert question.image is not None
    part = types.Part.from_bytes(data=question.image.data, mime_type="image/png")
    client.models.generate_content(
        model="gemini-2.5-flash",
        contents=[types.Content(role="user", parts=[part, types.Part(text=question.prompt)])],
        config=types.GenerateContentConfig(
            thinking_config=types.ThinkingConfig(thinking_budget=0, include_thoughts=True),
            temperature=0.5,
            top_p=0.9,
            top_k=3,
            seed=11,
            max_output_tokens=77,
            media_resolution=types.MediaResolution.MEDIA_RESOLUTION_HIGH,
            response_mime_type="application/json",
            response_json_schema=schema,
            system_instruction="Be exact.",
            safety_settings=[
                types.SafetySetting(
                    category=types.HarmCategory.HARM_CATEGORY_HARASSMENT,
                    threshold=types.HarmBlockThreshold.BLOCK_NONE,
                )
            ],
            service_tier=types.ServiceTier("flex"),
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        ),
    )
    client.close()
    (our_path, ours, _), (their_path, theirs, _) = recorder.seen
    assert our_path == their_path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert ours.pop("store") is False, "the one field that the SDK has no word for"
    assert folded(ours) == folded(theirs)


def test_the_answer_keeps_its_raw_body(
    recorder: Any, gemini_entry: Callable[..., GeminiConfig], question: Question
) -> None:
    """Thoughts are left out of the text; the body is kept to the byte, unknown fields included."""
    response = ask(gemini_entry(recorder.url), find_prompt("google-mask"), question)
    assert response.body == ANSWER
    assert response.text == "[]"
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.thought_tokens) == (
        7,
        2,
        3,
    )
    assert response.model_version == "gemini-2.5-flash-001"


def test_examples_come_before_the_question(
    recorder: Any, gemini_entry: Callable[..., GeminiConfig], question: Question, tmp_path: Path
) -> None:
    """A prompt's example is a turn with its picture and the wanted answer; ultra_high stands at the part."""
    Image.new("RGB", (20, 10), "red").save(tmp_path / "example.png")
    config = PromptConfig(
        text="Segment {expression}.",
        examples=[{"image": "example.png", "expression": "red", "answer": "[1]"}],
    )
    entry = gemini_entry(recorder.url, generation={"media_resolution": "ultra_high"})
    ask(entry, find_prompt(config), question, tmp_path)
    contents = recorder.seen[0][1]["contents"]
    assert [turn["role"] for turn in contents] == ["user", "model", "user"]
    assert contents[0]["parts"][1] == {"text": "Segment red."}
    assert contents[1]["parts"] == [{"text": "[1]"}]
    assert (
        base64.b64decode(contents[0]["parts"][0]["inlineData"]["data"])
        == (tmp_path / "example.png").read_bytes()
    )
    assert contents[2]["parts"][0]["mediaResolution"] == {"level": "MEDIA_RESOLUTION_ULTRA_HIGH"}


def test_extra_body_is_laid_over_the_request(
    recorder: Any, gemini_entry: Callable[..., GeminiConfig], question: Question
) -> None:
    """It reaches into nested settings and leaves their neighbours alone."""
    extra = {"generationConfig": {"newSetting": 1}, "labels": {"a": "b"}}
    entry = gemini_entry(recorder.url, generation={"temperature": 0.0, "extra_body": extra})
    ask(entry, find_prompt("google-mask"), question)
    body = recorder.seen[0][1]
    assert body["generationConfig"] == {"temperature": 0.0, "newSetting": 1}
    assert body["labels"] == {"a": "b"}


def test_stray_environment_changes_nothing(
    recorder: Any,
    gemini_entry: Callable[..., GeminiConfig],
    question: Question,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Vertex, another base URL, another version or a proxy in the environment do not redirect a request."""
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY")
    assert ask(gemini_entry(recorder.url), find_prompt("google-mask"), question).text == "[]"
    assert recorder.seen[0][0].startswith("/v1beta/")


def test_a_schema_goes_under_the_key_of_its_dialect(
    recorder: Any, gemini_entry: Callable[..., GeminiConfig], question: Question
) -> None:
    """Type names in capitals are the API's own Schema; each field refuses the other's words."""
    for kind in ("OBJECT", "object"):
        entry = gemini_entry(recorder.url, generation={"response_schema": {"type": kind}})
        ask(entry, find_prompt("google-mask"), question)
    own, standard = (body["generationConfig"] for _, body, _ in recorder.seen)
    assert own == {"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}}
    assert standard == {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}}


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("models/gemini-2.5-pro", "/v1beta/models/gemini-2.5-pro:generateContent"),
        ("tunedModels/mine-1", "/v1beta/tunedModels/mine-1:generateContent"),
        ("odd?name&x=1", "/v1beta/models/odd%3Fname%26x%3D1:generateContent"),
    ],
)
def test_a_model_id_becomes_a_resource_name(
    recorder: Any, gemini_entry: Callable[..., GeminiConfig], question: Question, model: str, path: str
) -> None:
    """Whole names stay, bare ids get their folder, and no id can change the address."""
    ask(gemini_entry(recorder.url, model=model), find_prompt("google-mask"), question)
    assert recorder.seen[0][0] == path


@pytest.mark.parametrize("kept", [False, True])
def test_requests_are_kept_only_where_the_config_says_so(
    recorder: Any, gemini_entry: Callable[..., GeminiConfig], question: Question, *, kept: bool
) -> None:
    """`store` stands at the top of every request: false unless `generation: {store: true}`."""
    generation = {"store": True} if kept else {}
    ask(gemini_entry(recorder.url, generation=generation), find_prompt("google-mask"), question)
    assert recorder.seen[0][1]["store"] is kept


def test_keeping_requests_changes_no_answer(run_config: Callable[..., Any]) -> None:
    """A run is resumed with `store` changed: its digest and its questions stay."""
    entry = {"name": "m", "provider": "gemini", "model": "gemini-2.5-flash"}
    plain, kept = run_config(entry), run_config(entry | {"generation": {"store": True}})
    assert plain.answers_fingerprint() == kept.answers_fingerprint()
    assert kept.questions_changed_since(plain.model_dump(mode="json"), {"m"}) == []
