"""``limits.budget_usd``: money is set aside before a request is sent, so that a run stops in time.

What is set aside is the dearest answer the settings allow, wherever that is small beside the budget
(5 %): then the budget cannot be passed. Where it is not (a tiny budget, or no ``max_output_tokens``),
twice the dearest answer so far is set aside, and one freak answer can pass it by what it costs more.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalkit.config.prompts import Prompt, prompt_of
from evalkit.errors import ConfigError, StopModel
from evalkit.models import find_provider, read_body, requested_model
from evalkit.models.base import Question
from evalkit.models.prices import Price, cost_usd, find_price
from evalkit.models.token_estimates import TokenEstimate
from evalkit.types import Response, Usage

if TYPE_CHECKING:
    from evalkit.config.models import ModelEntry
    from evalkit.config.schema import RunConfig
    from evalkit.storage.ledger import Ledger

CERTAIN_SHARE = 0.05
CAUTION = 2.0
INPUT_CAUTION = 1.5
"""The input estimate is good to tens of percent; the worst case takes half as much again."""


class Budget:
    """The money of one run, shared by its models; USD."""

    def __init__(self, limit_usd: float, spent_usd: float = 0.0) -> None:
        self.limit_usd = limit_usd
        self.spent_usd = spent_usd
        self.reserved_usd = 0.0
        self._settled = asyncio.Condition()

    async def reserve(self, usd: float) -> None:
        """Set ``usd`` aside, waiting for what is in flight where needed. Raises ``StopModel`` at the end."""
        async with self._settled:
            await self._settled.wait_for(lambda: self.fits(usd) or self.reserved_usd <= 0)
            if not self.fits(usd):
                raise StopModel(
                    f"the budget is used up: {self.spent_usd:.4f} of limits.budget_usd {self.limit_usd:g} USD are "
                    f"spent and the next answer may cost {usd:.4f}. Raise it and run the same command again"
                )
            self.reserved_usd += usd

    async def settle(self, reserved_usd: float, cost_usd: float) -> None:
        """Give back what was set aside and count what it cost."""
        async with self._settled:
            self.reserved_usd = max(0.0, self.reserved_usd - reserved_usd)
            if self.reserved_usd < 1e-12:
                self.reserved_usd = 0.0
            self.spent_usd += cost_usd
            self._settled.notify_all()

    def fits(self, usd: float) -> bool:
        """Tell whether ``usd`` more can be set aside at once."""
        return self.spent_usd + self.reserved_usd + usd <= self.limit_usd


class ModelBudget:
    """One model's share of the budget: what its next answer may cost, what its answers did cost."""

    def __init__(self, budget: Budget, entry: ModelEntry, price: Price, prompt: Prompt | None) -> None:
        self.budget = budget
        self.entry = entry
        self.price = price
        self.prompt = prompt
        self.dearest_usd = 0.0

    async def reserve(self, question: Question) -> float:
        """Set money aside for one request; return how much. Raises ``StopModel`` where it is used up."""
        usd = self.next_usd(question)
        await self.budget.reserve(usd)
        return usd

    def counted_usd(self, reserved_usd: float, response: Response | None) -> float:
        """Return what a request counts for; an answer whose cost is unknown counts for all that was set aside.

        Where nothing was (the results of a batch job of an earlier session), for the dearest answer so far.
        """
        today = dt.datetime.now(dt.UTC).date()
        cost = 0.0 if response is None else cost_usd(self.entry, response, today)
        counted = (reserved_usd or self.dearest_usd) if cost is None else cost
        self.dearest_usd = max(self.dearest_usd, counted)
        return counted

    async def settle(self, reserved_usd: float, response: Response | None) -> None:
        """Give back what was set aside and count what the request counts for."""
        await self.budget.settle(reserved_usd, self.counted_usd(reserved_usd, response))

    def next_usd(self, question: Question) -> float:
        """Return what is to be set aside for a question."""
        estimate_tokens = find_provider(self.entry.provider).estimate_tokens
        if self.prompt is None or estimate_tokens is None:
            return self.price.image_usd
        image = question.image
        size_px = (1024, 1024) if image is None else (image.width_px, image.height_px)
        estimate = estimate_tokens(self.entry, self.prompt, question.prompt, *size_px)
        worst = self._usd(
            Usage(round(INPUT_CAUTION * (estimate.image + estimate.text)), estimate.most_output, 0)
        )
        if worst <= CERTAIN_SHARE * self.budget.limit_usd:
            return worst
        return min(worst, CAUTION * max(self.dearest_usd, self._likely_usd(estimate)))

    def _likely_usd(self, estimate: TokenEstimate) -> float:
        return 0.0 if self.dearest_usd > 0 else self._usd(estimate.usage)

    def _usd(self, usage: Usage) -> float:
        return self.price.cost_usd(usage) or 0.0


def require_prices(entries: Sequence[ModelEntry], budget_usd: float | None, day: dt.date) -> None:
    """Raise ``ConfigError`` where a budget is set and a model has no price: unknown is not zero."""
    if budget_usd is None:
        return
    unpriced = [entry for entry in entries if find_price(entry, day) is None]
    if unpriced:
        first = unpriced[0]
        raise ConfigError(
            f"limits.budget_usd is {budget_usd:g} but model '{first.name}' ({requested_model(first)}) has no price on {day}: "
            "write `price: {input_usd_per_million: ..., output_usd_per_million: ...}` at the model, or leave out the "
            "budget"
        )


def open_model_budgets(
    entries: Sequence[ModelEntry], run: RunConfig, ledger: Ledger
) -> dict[str, ModelBudget]:
    """Return a model_budget for each model that is billed, by name; none where the run has no budget.

    What the ledger's answers cost in earlier sessions counts as spent.
    """
    if run.limits.budget_usd is None:
        return {}
    today = dt.datetime.now(dt.UTC).date()
    require_prices(entries, run.limits.budget_usd, today)
    budget = Budget(run.limits.budget_usd, spent_usd(run, ledger))
    model_budgets = {}
    for entry in entries:
        price = find_price(entry, today)
        if price is not None and find_provider(entry.provider).priced:
            setting = entry.prompt_setting()
            prompt = None if setting is None else prompt_of(setting, run)
            model_budgets[entry.name] = ModelBudget(budget, entry, price, prompt)
    return model_budgets


def spent_usd(run: RunConfig, ledger: Ledger) -> float:
    """Return what the ledger's answers count for, in USD.

    What a session counted is counted again, of models that the config has no longer too. Answers of a session without
    a budget cost what they cost on their day; one whose cost is unknown counts for the dearest of its model.
    """
    entries = {entry.name: entry for entry in run.models}
    counted = ledger.counted_usd()
    total, unknown = 0.0, Counter[str]()
    dearest_usd: dict[str, float] = defaultdict(float)
    for row in ledger.rows():
        name, cost = row.key.model, counted.get((row.key, row.started_at))
        entry = entries.get(name)
        if row.status != "answered" or (cost is None and entry is None):
            continue
        if cost is None and entry is not None:
            day = dt.datetime.fromtimestamp(row.started_at, dt.UTC).date()
            cost = cost_usd(entry, read_body(entry.provider, row.body or ""), day)
        if cost is None:
            unknown[name] += 1
        else:
            total += cost
            dearest_usd[name] = max(dearest_usd[name], cost)
    return total + sum(n * dearest_usd[name] for name, n in unknown.items())
