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


class BudgetProtocol(Protocol):
    """The budget of one run; ``runner.budget.Budget`` is one."""

    def fits(self, usd: float) -> bool:
        """Tell whether ``usd`` more can be set aside at once."""
        ...

    async def reserve(self, usd: float) -> None:
        """Set ``usd`` aside. Raises ``StopModel`` where it is used up."""
        ...

    async def settle(self, reserved_usd: float, cost_usd: float) -> None:
        """Give back what was set aside and count what it cost."""
        ...


class ModelBudgetProtocol(Protocol):
    """One model's part of the budget; ``runner.budget.ModelBudget`` is one."""

    @property
    def budget(self) -> BudgetProtocol:
        """What all models share."""
        ...

    def next_usd(self, question: Question) -> float:
        """Return what is to be set aside for a question."""
        ...

    async def settle(self, reserved_usd: float, response: Response | None) -> None:
        """Count what a request cost."""
        ...
