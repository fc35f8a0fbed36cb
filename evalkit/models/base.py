"""What every model is: one question in, one ``Response`` out, errors typed by whose fault they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from evalkit.images import ImageBytes
from evalkit.models.attempts import Attempt
from evalkit.types import Response, Sample


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
    """

    name: str
    requested_model: str

    def prompt_for(self, sample: Sample) -> str:
        """Return the text of the question about one sample."""
        ...

    async def ask(self, question: Question) -> Response:
        """Send exactly one request. Raises ``RetryLater``, ``GiveUp`` or ``StopModel``."""
        ...

    async def close(self) -> None:
        """Close connections and worker processes."""
        ...


LoadQuestion = Callable[[Sample, int], Awaitable[Question | None]]
"""Returns the question of (sample, trial), None where its image cannot be read (and says so itself)."""
RecordAttempt = Callable[[Sample, int, str | None, Attempt], None]
"""Stores one attempt of (sample, trial) with the SHA-256 of its image."""


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

    def counted_usd(self, reserved_usd: float, response: Response | None) -> float:
        """Return what a request counts for, USD."""
        ...

    async def settle(self, reserved_usd: float, response: Response | None) -> None:
        """Give back what was set aside and count what a request counts for."""
        ...
