"""``image-segmentation-001`` on Vertex: ``:predict`` with full-image PNG masks."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from evalkit.simulator import gemini_wire, personas
from evalkit.simulator.answer_builder import SimulatedObject
from evalkit.simulator.answering import Responder, TimedMessage
from evalkit.simulator.http import Call
from evalkit.simulator.model_table import SEGMENTATION_MODEL
from evalkit.simulator.personas import PERSONAS, question_rng
from evalkit.simulator.sample_index import IndexedSample
from evalkit.simulator.wire_errors import bad_argument, unknown_model
from evalkit.types import SIMULATED_ID

PROMPT_MODES = ("PROMPT", "SEMANTIC")

WHOLE_MODES = ("FOREGROUND", "BACKGROUND")

DEFAULT_PERSONA = "png-masks"

WITHOUT_PREDICTIONS: dict[str, dict[str, Any]] = {
    "empty": {},
    "blocked_prompt": {"predictions": [{"raiFilteredReason": "The prompt was filtered."}]},
}
"""What the answer faults that have a meaning here make of the body."""


def predict(responder: Responder, call: Call, request: dict[str, Any]) -> TimedMessage:
    """Return the answer to a ``:predict`` body (camelCase). Raises ``ApiError``.

    Prompt and semantic modes give one mask per object; foreground and background give one mask
    made of every annotated object of the photograph.
    """
    if call.model != SEGMENTATION_MODEL:
        raise unknown_model(call.model or "", call.version, "predict")
    call.persona = call.persona or DEFAULT_PERSONA
    instances, parameters = request.get("instances") or [{}], request.get("parameters") or {}
    image, prompt = instances[0].get("image") or {}, instances[0].get("prompt") or ""
    mode = str(parameters.get("mode") or "PROMPT").upper()
    if mode not in (*PROMPT_MODES, *WHOLE_MODES):
        raise bad_argument(f"Mode {mode} is not supported here.")
    if mode in PROMPT_MODES and not prompt:
        raise bad_argument(f"A prompt is required in mode {mode}.")
    data = gemini_wire.decode_base64(image.get("bytesBase64Encoded", ""))
    gemini_wire.image_size_px(data)
    entries = _entries(responder, mode, prompt, data)
    call.sample_id = entries[0].sample.sample_id if len(entries) == 1 else None
    question = "\x1f".join((SEGMENTATION_MODEL, call.persona, mode, *(_name(entry) for entry in entries)))
    injected = responder.inject_fault(call, question)
    rng = question_rng(responder.seed, question)
    if injected is not None and injected.kind in WITHOUT_PREDICTIONS:
        return TimedMessage(WITHOUT_PREDICTIONS[injected.kind], injected, responder.latency(rng))
    drawn = _unique([one for entry in entries for one in _draw(call.persona, entry, rng)])
    masks = _whole(drawn, mode) if mode in WHOLE_MODES else [one.mask_hw for one in drawn]
    label = prompt or mode.lower()
    predictions = [_prediction(mask_hw, label, parameters, rng) for mask_hw in masks]
    threshold = float(parameters.get("confidenceThreshold") or 0.0)
    kept = [one for one in predictions if one["labels"][0]["score"] >= threshold]
    kept = kept[: int(parameters.get("maxPredictions") or len(kept))]
    identity = {"modelDisplayName": f"{SIMULATED_ID}image-segmentation"}
    return TimedMessage(({"predictions": kept} if kept else {}) | identity, injected, responder.latency(rng))


def _entries(responder: Responder, mode: str, prompt: str, image: bytes) -> list[IndexedSample]:
    if mode in WHOLE_MODES:
        return responder.index.of_image(image)
    entry = responder.index.find([prompt], image)
    return [entry] if entry else []


def _name(entry: IndexedSample) -> str:
    return f"{entry.sample.dataset}/{entry.sample.split}/{entry.sample.sample_id}"


def _draw(persona: str, entry: IndexedSample, rng: np.random.Generator) -> tuple[SimulatedObject, ...]:
    return personas.draw_objects(PERSONAS[persona], entry.sample, rng)


def _unique(drawn: list[SimulatedObject]) -> list[SimulatedObject]:
    """Return the objects without repeats, best known by their boxes."""
    return list({one.box: one for one in drawn}.values())


def _whole(drawn: list[SimulatedObject], mode: str) -> list[np.ndarray[Any, np.dtype[np.bool_]]]:
    if not drawn:
        return []
    foreground_hw = np.logical_or.reduce([one.mask_hw for one in drawn])
    return [~foreground_hw if mode == "BACKGROUND" else foreground_hw]


def _prediction(
    mask_hw: np.ndarray[Any, np.dtype[np.bool_]],
    label: str,
    parameters: dict[str, Any],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return one prediction; ``binaryColorThreshold`` -1 asks for soft grey values."""
    from PIL import Image, ImageFilter

    image = Image.fromarray(np.where(mask_hw, 255, 0).astype(np.uint8))
    if float(parameters.get("binaryColorThreshold") or 96) < 0:
        image = image.filter(ImageFilter.GaussianBlur(2))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return {
        "bytesBase64Encoded": base64.b64encode(stream.getvalue()).decode("ascii"),
        "mimeType": "image/png",
        "labels": [{"label": label, "score": round(float(rng.uniform(0.6, 0.99)), 4)}],
    }
