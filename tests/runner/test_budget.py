"""The budget: never passed where that can be promised, counting what is in flight."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.config.prompts import find_prompt
from evalkit.config.schema import RunConfig
from evalkit.errors import StopModel
from evalkit.models.base import Question
from evalkit.models.google.gemini import GeminiConfig
from evalkit.models.prices import Price
from evalkit.runner.budget import Budget, ModelBudget, spent_usd
from evalkit.storage.ledger import AttemptRow, Key, Ledger
from evalkit.types import GroundTruth, ImageRef, Response, Sample, Usage

QUESTION = Question(Sample("d", "v", "s", "i", ImageRef("x"), "it", GroundTruth(10, 10)), "Segment it.", None)


def model_budget(budget: Budget, max_output_tokens: int | None) -> ModelBudget:
    """Return a model_budget at 1 USD per million input and 10 per million output tokens."""
    entry = GeminiConfig.model_validate(
        {
            "name": "m",
            "provider": "gemini",
            "model": "gemini-x",
            "generation": {"max_output_tokens": max_output_tokens},
            "price": {"input_usd_per_million": 1.0, "output_usd_per_million": 10.0},
        }
    )
    return ModelBudget(budget, entry, Price(1.0, 10.0), find_prompt("google-mask"))


async def spend(model_budget: ModelBudget, tokens: list[int], workers: int) -> int:
    """Answer questions of so many output tokens side by side; return how many were asked."""
    pending, asked = iter(tokens), 0

    async def work() -> None:
        nonlocal asked
        for count in pending:
            try:
                reserved = await model_budget.reserve(QUESTION)
            except StopModel:
                return
            asked += 1
            await asyncio.sleep(0.001)
            await model_budget.settle(reserved, Response("{}", "[]", usage=Usage(1000, count, 0)))

    await asyncio.gather(*(work() for _ in range(workers)))
    return asked


@pytest.mark.parametrize("workers", [1, 16, 64])
def test_a_budget_is_never_passed_where_answers_are_bounded(workers: int) -> None:
    """Even when every answer is as long as the settings allow; and nearly all of it is used."""
    budget = Budget(1.0)
    asked = asyncio.run(spend(model_budget(budget, 1000), [1000] * 500, workers))
    assert budget.spent_usd <= 1.0
    assert budget.spent_usd >= 0.97
    assert asked == pytest.approx(1.0 / 0.011, abs=3)
    assert budget.reserved_usd == 0


def test_a_small_budget_goes_by_what_answers_cost_so_far() -> None:
    """A cent is less than one answer of 65,536 tokens could cost; usual answers are asked all the same."""
    budget = Budget(0.1)
    asked = asyncio.run(spend(model_budget(budget, None), [300] * 500, 8))
    assert asked > 10
    assert budget.spent_usd <= 0.1


def test_an_answer_without_usage_costs_what_was_set_aside() -> None:
    """Missing telemetry is not free."""

    async def run() -> Budget:
        budget = Budget(1.0)
        share = model_budget(budget, 1000)
        reserved = await share.reserve(QUESTION)
        await share.settle(reserved, Response("{}", None))
        assert reserved > 0
        assert budget.spent_usd == pytest.approx(reserved)
        return budget

    asyncio.run(run())


def test_a_resumed_run_counts_what_the_session_counted(tmp_path: Path) -> None:
    """An answer without usage counts for what was set aside then; without a record, for the dearest of its model."""
    entry = {
        "name": "m",
        "provider": "gemini",
        "model": "gemini-2.5-flash",
        "price": {"input_usd_per_million": 1.0, "output_usd_per_million": 0.0},
    }
    run = RunConfig.model_validate({"name": "r", "datasets": [{"name": "d"}], "models": [entry]})
    known = json.dumps({"usageMetadata": {"promptTokenCount": 30_000, "candidatesTokenCount": 5}})
    told = json.dumps({"usageMetadata": {"totalTokenCount": 500}})

    def row(number: int, body: str, counted_usd: float | None) -> AttemptRow:
        key = Key("m", "d", f"s{number}", 0)
        return AttemptRow(key, 1, "answered", 1_790_000_000.0, body=body, counted_usd=counted_usd)

    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.add_all([row(1, known, 0.03), row(2, told, 0.2)])
        assert spent_usd(run, ledger) == pytest.approx(0.23)
        ledger.add_all([row(3, told, None)])
        assert spent_usd(run, ledger) == pytest.approx(0.23 + 0.2)
        gone = Key("renamed", "d", "s1", 0)
        ledger.add(AttemptRow(gone, 1, "answered", 1_790_000_000.0, body=known, counted_usd=0.5))
        assert spent_usd(run, ledger) == pytest.approx(0.23 + 0.2 + 0.5), "it was paid under another name"
        ledger.set_aside([row(1, known, None).key, gone])
        assert spent_usd(run, ledger) == pytest.approx(0.23 + 0.2 + 0.5), "and stays paid"


def test_a_ledger_without_counted_money_is_read(tmp_path: Path) -> None:
    """One of an older evalkit gets the column when it is opened to be written, and needs none to be read."""
    path = tmp_path / "l.sqlite"
    with Ledger(path) as ledger:
        ledger.connection.execute("ALTER TABLE attempts DROP COLUMN counted_usd")
    with Ledger(path, read_only=True) as ledger:
        assert ledger.counted_usd() == {}
    with Ledger(path) as ledger:
        ledger.add(AttemptRow(Key("m", "d", "s", 0), 1, "answered", 5.0, body="{}", counted_usd=0.5))
        assert ledger.counted_usd() == {(Key("m", "d", "s", 0), 5.0): 0.5}


def test_a_failed_request_costs_nothing() -> None:
    """An error body bills no tokens."""

    async def run() -> None:
        budget = Budget(1.0)
        share = model_budget(budget, 1000)
        await share.settle(await share.reserve(QUESTION), None)
        assert (budget.spent_usd, budget.reserved_usd) == (0.0, 0.0)

    asyncio.run(run())


def test_the_error_says_how_to_go_on() -> None:
    """Spent, the limit, and the same command."""

    async def run() -> Any:
        await Budget(1.0, spent_usd=0.9999).reserve(0.01)

    with pytest.raises(StopModel, match=r"0\.9999 of limits\.budget_usd 1 USD.*same command"):
        asyncio.run(run())
