"""``POST /v1/segment`` as moondream serves it: an image and a phrase in, one SVG path and its box out."""

from __future__ import annotations

from typing import Any

from evalkit.simulator import gemini_wire, personas
from evalkit.simulator.answer_builder import SimulatedObject
from evalkit.simulator.answering import Responder, TimedMessage
from evalkit.simulator.chat_wire import data_url_bytes
from evalkit.simulator.encoders import svg_path, unit_box
from evalkit.simulator.http import Call
from evalkit.simulator.personas import PERSONAS, question_rng
from evalkit.simulator.wire_errors import bad_argument
from evalkit.types import SIMULATED_ID

DEFAULT_PERSONA = "svg-paths"

DEFAULT_MODEL = "moondream3"


def segment(responder: Responder, call: Call, request: dict[str, Any]) -> TimedMessage:
    """Return the answer to a body of ``/segment`` (camelCase). Raises ``ApiError``.

    All objects of an answer stand in one path; where nothing is seen, the path is empty and there is no box.
    """
    phrase = request.get("object")
    if not isinstance(phrase, str) or not phrase:
        raise bad_argument("object: field required")
    call.persona = call.persona or DEFAULT_PERSONA
    call.model = str(request.get("model") or DEFAULT_MODEL)
    image = data_url_bytes(request.get("imageUrl"))
    gemini_wire.image_size_px(image)
    entry = responder.index.find([phrase], image)
    call.sample_id = entry.sample.sample_id if entry else None
    sample = None if entry is None else entry.sample
    about = phrase if sample is None else f"{sample.dataset}/{sample.split}/{sample.sample_id}"
    question = f"{call.model}\x1f{call.persona}\x1fsegment\x1f{about}"
    injected = responder.inject_fault(call, question)
    rng = question_rng(responder.seed, question)
    unseen = sample is None or (injected is not None and injected.kind == "empty")
    drawn = () if unseen or sample is None else personas.draw_objects(PERSONAS[call.persona], sample, rng)
    identity = {"request_id": f"{SIMULATED_ID}{rng.bytes(8).hex()}"}
    return TimedMessage(_path_of(drawn) | identity, injected, responder.latency(rng))


def _path_of(drawn: tuple[SimulatedObject, ...]) -> dict[str, Any]:
    if not drawn:
        return {"path": ""}
    rings = [one.points() for one in drawn]
    everything = [point for ring in rings for point in ring]
    return {"path": " ".join(svg_path(ring) for ring in rings), "bbox": unit_box(everything)}
