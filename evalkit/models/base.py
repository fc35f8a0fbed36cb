"""What every model is: one question in, one ``Response`` out, errors typed by whose fault they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from evalkit.images import ImageBytes
from evalkit.types import AskedFormat, Response, Sample


@dataclass(frozen=True, slots=True)
class Question:
    """One sample as it is put to a model.

    ``prompt``: the whole text, the expression filled in. ``image``: None for models that need none.
    ``trial`` counts from 0; ``seed`` is the trial's own.
    """

    sample: Sample
    prompt: str
    image: ImageBytes | None
    trial: int = 0
    seed: int = 0


class Model(Protocol):
    """One entry of ``models:`` that is ready to be asked.

    ``requested_model``: the id the endpoint is asked for, compared with ``Response.model_version``.
    ``asked``: what the prompt asks for. ``needs_image``: whether ``Question.image`` must be given.
    """

    name: str
    requested_model: str
    asked: AskedFormat
    needs_image: bool

    def prompt_for(self, sample: Sample) -> str:
        """Return the text of the question about one sample."""
        ...

    async def ask(self, question: Question) -> Response:
        """Send exactly one request. Raises ``RetryLater``, ``GiveUp`` or ``StopModel``."""
        ...

    def read_body(self, body: str) -> Response:
        """Return what ``ask`` returned, from the raw body that the ledger keeps. Pure."""
        ...

    async def close(self) -> None:
        """Close connections and worker processes."""
        ...
