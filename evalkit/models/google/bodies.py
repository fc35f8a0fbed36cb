"""Raw bodies of Google's services -> ``Response``. Pure and without the SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.errors import DataError
from evalkit.models.bodies import encodable, json_object, mapping, objects, token_count, word
from evalkit.types import SIMULATED_ID, Response, Usage


def holds_answer(data: Mapping[str, Any]) -> bool:
    """Tell whether a 200 body is an answer of the model, an empty or blocked one included.

    ``{}`` and an error object of a gateway are none: they are to be asked again, not scored. What the model says by
    saying nothing (no candidates) comes with the usage or the reason that the API gives beside it.
    """
    if objects(data.get("candidates")):
        return True
    return "error" not in data and any(mapping(data.get(key)) for key in ("promptFeedback", "usageMetadata"))


def read_gemini_body(body: str) -> Response:
    """Return the answer in a ``generateContent`` body (v1, v1beta or Vertex v1beta1).

    ``text`` joins the text parts of the first candidate that are not thoughts. Unknown fields and
    unknown reasons are kept as they are. Raises ``DataError`` where the body is no JSON object.
    """
    data = json_object(body)
    if data is None:
        raise DataError(f"a stored Gemini answer is not a JSON object: it begins {body[:60]!r}")
    return gemini_response(body, data)


def gemini_response(body: str, data: Mapping[str, Any]) -> Response:
    """Return the answer in an already parsed ``generateContent`` body."""
    candidates = objects(data.get("candidates"))
    candidate = candidates[0] if candidates else {}
    feedback = mapping(data.get("promptFeedback"))
    return Response(
        body=body,
        text=_answer_text(candidate),
        finish_reason=word(candidate.get("finishReason")),
        block_reason=word(feedback.get("blockReason")),
        model_version=word(data.get("modelVersion")),
        usage=_usage(mapping(data.get("usageMetadata")), wrote=bool(_answer_text(candidate))),
        simulated=(word(data.get("responseId")) or "").startswith(SIMULATED_ID),
    )


def read_batch_body(body: str) -> Response:
    """Return an answer of ``gemini-batch``: a job's JSONL line, or the body of a live call."""
    data = json_object(body) or {}
    inner = data.get("response")
    return gemini_response(body, inner) if isinstance(inner, dict) else read_gemini_body(body)


def is_batch_line(body: str) -> bool:
    """Tell whether an answer came in a job (half price) and not from a live call."""
    return isinstance((json_object(body) or {}).get("response"), dict)


def read_vertex_body(body: str) -> Response:
    """Return a Vertex ``:predict`` answer; the decoder reads its ``{"predictions": [...]}`` as it is.

    A body without predictions and without an error says that nothing was found: the service leaves out
    empty lists. ``{}`` says nothing at all.
    A prediction that was withheld (``raiFilteredReason`` and no mask at all) is a block.
    """
    data = json_object(body)
    if data is None:
        raise DataError(f"a stored Vertex answer is not a JSON object: it begins {body[:60]!r}")
    empty = bool(data) and data.get("predictions") is None and "error" not in data
    predictions = objects(data.get("predictions"))
    filtered = [word(item.get("raiFilteredReason")) for item in predictions]
    masks = any(item.get("bytesBase64Encoded") for item in predictions)
    reason = next((reason for reason in filtered if reason), None)
    return Response(
        body=body,
        text='{"predictions": []}' if empty else body,
        block_reason=None if masks else reason,
        model_version=word(data.get("modelVersionId")),
        simulated=(word(data.get("modelDisplayName")) or "").startswith(SIMULATED_ID),
    )


def _answer_text(candidate: Mapping[str, Any]) -> str | None:
    parts = objects(mapping(candidate.get("content")).get("parts"))
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str) and not part.get("thought")]
    return encodable("".join(texts)) if texts else None


def _usage(usage: Mapping[str, Any], *, wrote: bool) -> Usage:
    """Return the billed tokens; None where a count is not told, or is none (negative, absurd, no number).

    The service omits zeros: a missing count is 0 where others are told, unless the total (or an
    answer that stands there) shows that something was billed which no count names. Where all are told and the total
    is larger still, they stand as told, and what was billed is unknown.
    """
    names = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    told = [name in usage and usage[name] is not None for name in names]
    if not any(told):
        return Usage(all_counted=False)
    counts = [token_count(usage.get(name)) if given else 0 for name, given in zip(names, told, strict=True)]
    unnamed = [name for name, given in zip(names, told, strict=True) if not given]
    known = None not in counts
    total = token_count(usage.get("totalTokenCount"))
    by_tools = usage.get("toolUsePromptTokenCount")
    # Whether these are billed depends on the tool (pages fetched are, search results are not).
    tools = by_tools is not None and token_count(by_tools) != 0
    explained = sum(count or 0 for count in counts) + (token_count(by_tools) or 0)
    hidden = total is not None and total > explained
    impossible = names[0] in unnamed or (names[1] in unnamed and wrote)
    lost = bool(unnamed) and (hidden or impossible)
    shown = [None if lost and not given else count for count, given in zip(counts, told, strict=True)]
    return Usage(shown[0], shown[1], shown[2], all_counted=known and not (lost or hidden or tools))
