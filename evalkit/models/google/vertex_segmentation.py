"""Vertex AI's image-segmentation-001: the expression is the prompt, the answer full-image masks.

On an allow-list: a 404 is to be expected on most projects (reported 2026-09-26).
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from evalkit.config.address import Address
from evalkit.config.models import ModelEntry
from evalkit.models.base import Question
from evalkit.models.bodies import json_object
from evalkit.models.google.api_errors import no_answer
from evalkit.models.google.bodies import read_vertex_body
from evalkit.models.google.client import Endpoint, open_vertex_endpoint, require_access
from evalkit.models.http.calls import ServiceModel
from evalkit.models.provider import Provider, ProviderContext
from evalkit.types import AskedFormat, Response, Sample

if TYPE_CHECKING:
    import httpx2


ASKED = AskedFormat(wire_format="vertex_png", keys=())

_last_body: ContextVar[str] = ContextVar("last_body", default="")
"""The raw body of this task's own call: the SDK drops ``raiFilteredReason`` and unknown fields."""


async def keep_body(response: httpx2.Response) -> None:
    """Remember the raw body before the SDK reads it (an httpx2 response hook)."""
    await response.aread()
    _last_body.set(response.text)


class VertexSegmentationConfig(ModelEntry):
    """Vertex image-segmentation-001 through segment_image."""

    provider: Literal["vertex-segmentation"] = Field(description="Vertex image segmentation")
    model: str = Field(default="image-segmentation-001", description="the API's model id")
    base_url: Address = Field(default=None, description="another endpoint")
    project: str | None = Field(default=None, description="the Google Cloud project")
    location: str | None = Field(default=None, description="the region")
    mode: Literal["prompt", "semantic", "foreground"] = Field(
        default="prompt", description="what is segmented: the expression, a class, the foreground"
    )
    max_predictions: int | None = Field(default=None, description="masks per answer at most")
    confidence_threshold: float | None = Field(
        default=None, description="masks below it are left out by the service"
    )
    mask_dilation: float | None = Field(
        default=None, description="share of the image by which the service grows masks"
    )
    binary_color_threshold: float | None = Field(
        default=None, description="grey value that the service cuts masks at; negative = none"
    )


class VertexSegmentation(ServiceModel):
    """``segment_image`` in one of its modes; see ``evalkit.models.base.Model``."""

    def __init__(self, entry: VertexSegmentationConfig, endpoint: Endpoint) -> None:
        from google.genai import types

        super().__init__(entry.name, entry.model, endpoint, entry.limits.timeout_s)
        self.entry = entry
        self.endpoint = endpoint
        endpoint.transport.event_hooks["response"].append(keep_body)
        self.config = types.SegmentImageConfig(
            mode=types.SegmentMode(entry.mode.upper()),
            max_predictions=entry.max_predictions,
            confidence_threshold=entry.confidence_threshold,
            mask_dilation=entry.mask_dilation,
            binary_color_threshold=entry.binary_color_threshold,
        )

    def prompt_for(self, sample: Sample) -> str:
        """Return the expression itself."""
        return sample.expression

    async def _send(self, question: Question) -> Response:
        """Send one ``:predict`` request."""
        from google.genai import types

        image = question.image
        assert image is not None, "segmentation needs the image"
        source: dict[str, Any] = {
            "image": types.Image(image_bytes=image.data, mime_type=image.mime_type),
            "prompt": None if self.entry.mode == "foreground" else question.prompt,
        }
        await self.endpoint.client.aio.models.segment_image(
            model=self.requested_model, source=types.SegmentImageSource(**source), config=self.config
        )
        body = self.endpoint.secrets.redact_body(_last_body.get())
        data = json_object(body) or {}
        if not data or ("error" in data and not data.get("predictions")):
            raise no_answer(body, data, self.requested_model)
        return read_vertex_body(body)


def open_vertex_segmentation(
    entry: VertexSegmentationConfig, context: ProviderContext | None = None
) -> VertexSegmentation:
    """Return the model. Raises ``ConfigError`` without credentials or a project."""
    del context
    endpoint = open_vertex_endpoint(
        entry.name,
        entry.base_url,
        project=entry.project,
        location=entry.location or "us-central1",
        connections=entry.limits.concurrency,
        timeout_s=entry.limits.timeout_s,
        written=entry.written("base_url"),
    )
    return VertexSegmentation(entry, endpoint)


def check_access(entry: VertexSegmentationConfig) -> None:
    """Raise ``ConfigError`` without credentials."""
    require_access(entry.name, entry.base_url, vertexai=True)


PROVIDER = Provider(
    entry=VertexSegmentationConfig,
    open=open_vertex_segmentation,
    read_body=read_vertex_body,
    asked=lambda entry, run: ASKED,  # noqa: ARG005
    access=check_access,
    background=lambda entry, model, run: {"endpoint": model.endpoint.address} | model.endpoint.place,  # noqa: ARG005
)
