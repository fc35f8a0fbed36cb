"""Large images through the Files API, image-segmentation-001 and Gemini on Vertex, against the simulator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.config.prompts import find_prompt
from evalkit.decoding import decode_answer
from evalkit.errors import ConfigError, StopModel
from evalkit.models.base import Question
from evalkit.models.google import uploads as uploads_module
from evalkit.models.google.bodies import read_vertex_body
from evalkit.models.google.gemini import GeminiConfig, GeminiModel, open_gemini
from evalkit.models.google.vertex_segmentation import VertexSegmentationConfig, open_vertex_segmentation
from evalkit.types import AskedFormat, Response


def ask_times(entry: GeminiConfig, question: Question, times: int, state: Path) -> list[Response]:
    """Ask the same question several times at once in one session."""

    async def run() -> list[Response]:
        model: GeminiModel = open_gemini(entry, find_prompt("google-mask"), directory=Path(), state=state)
        try:
            return list(await asyncio.gather(*(model.ask(question) for _ in range(times))))
        finally:
            await model.close()

    return asyncio.run(run())


def test_a_large_image_is_uploaded_once(
    simulate: Callable[..., Any],
    gemini_entry: Callable[..., GeminiConfig],
    question: Question,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three questions at once and a second session share one upload; after 48 hours it is made anew."""
    simulator = simulate()
    entry = gemini_entry(simulator.url_for("perfect"), files_api_above_mb=0.001)
    small = gemini_entry(simulator.url_for("perfect"))
    uploaded = ask_times(entry, question, 3, tmp_path)
    inline = ask_times(small, question, 1, tmp_path)
    assert {answer.text for answer in uploaded} == {inline[0].text}
    files = [request.path for request in simulator.requests if request.operation == "files"]
    first_session = len(files)
    assert first_session > 0
    ask_times(entry, question, 1, tmp_path)
    assert sum(request.operation == "files" for request in simulator.requests) == first_session
    monkeypatch.setattr(uploads_module, "KEPT_S", 0.0)
    ask_times(entry, question, 1, tmp_path)
    assert sum(request.operation == "files" for request in simulator.requests) == 2 * first_session


def vertex_entry(simulator: Any, **changes: Any) -> VertexSegmentationConfig:
    """Return an entry for image-segmentation-001 at the simulator."""
    given = {
        "name": "v",
        "provider": "vertex-segmentation",
        "base_url": simulator.url_for("perfect"),
    } | changes
    return VertexSegmentationConfig.model_validate(given)


def segment(entry: VertexSegmentationConfig, question: Question) -> Response:
    """Ask once."""

    async def run() -> Response:
        model = open_vertex_segmentation(entry)
        try:
            return await model.ask(question)
        finally:
            await model.close()

    return asyncio.run(run())


def test_vertex_segmentation_keeps_the_raw_predictions(
    simulate: Callable[..., Any], question: Question
) -> None:
    """The body is the service's own JSON, read back to the same answer."""
    simulator = simulate()
    response = segment(vertex_entry(simulator), question)
    assert json.loads(response.body)["predictions"][0]["bytesBase64Encoded"]
    assert read_vertex_body(response.body) == response
    assert simulator.requests[0].path.endswith("/publishers/google/models/image-segmentation-001:predict")


def test_vertex_404_says_what_is_known(simulate: Callable[..., Any], question: Question) -> None:
    """The model is on an allow-list: the error says so and stops the model."""
    with pytest.raises(StopModel, match="allow-list"):
        segment(vertex_entry(simulate({"kind": "not_found"})), question)


def test_filtered_predictions_are_a_block() -> None:
    """RaiFilteredReason without a mask is a policy's answer, not a missing one."""
    body = json.dumps({"predictions": [{"raiFilteredReason": "blocked by policy 7"}]})
    assert read_vertex_body(body).block_reason == "blocked by policy 7"


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({}, "format_failure"),
        ({"deployedModelId": "1", "model": "m"}, "no_target"),
        ({"predictions": []}, "no_target"),
        ({"predictions": None}, "no_target"),
        ({"error": {"code": 404, "message": "no such model"}}, "format_failure"),
    ],
)
def test_a_body_without_predictions_says_that_nothing_was_found(body: dict[str, Any], outcome: str) -> None:
    """The service leaves out empty lists; an error is no answer."""
    text = read_vertex_body(json.dumps(body)).text
    asked = AskedFormat(wire_format="vertex_png", keys=())
    assert decode_answer(text, height_px=48, width_px=64, asked=asked).outcome == outcome


def test_gemini_on_vertex_uses_project_and_location(
    simulate: Callable[..., Any],
    gemini_entry: Callable[..., GeminiConfig],
    question: Question,
    tmp_path: Path,
) -> None:
    """The path names both; on a local endpoint no credentials are needed."""
    simulator = simulate()
    entry = gemini_entry(simulator.url_for("perfect"), vertexai=True, project="p1", location="europe-west4")
    answers = ask_times(entry, question, 1, tmp_path)
    assert answers[0].text
    assert (
        "/v1beta1/projects/p1/locations/europe-west4/publishers/google/models/" in simulator.requests[0].path
    )


def test_vertex_without_credentials_is_a_config_error(
    gemini_entry: Callable[..., GeminiConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One paragraph says how to log in; nothing is sent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    with pytest.raises(ConfigError, match="application default credentials"):
        open_gemini(
            gemini_entry(None, vertexai=True), find_prompt("google-mask"), directory=Path(), state=None
        )
