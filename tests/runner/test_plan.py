"""Dated prices, what a run will cost, and that an unknown price is never zero."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit.cli.app import main
from evalkit.config.schema import RunConfig
from evalkit.errors import ConfigError
from evalkit.models.prices import cost_usd, find_price, price_table
from evalkit.runner.budget import require_prices
from evalkit.runner.plan import plan_run
from evalkit.types import GroundTruth, ImageRef, Polygons, Response, Sample, Usage

NOVEMBER, DECEMBER = dt.date(2026, 11, 30), dt.date(2026, 12, 1)


def config(*models: dict[str, Any], **changes: Any) -> RunConfig:
    """Return a run config."""
    return RunConfig.model_validate(
        {"name": "t", "datasets": [{"name": "d"}], "models": list(models)} | changes
    )


def gemini(model: str = "gemini-2.5-flash", **changes: Any) -> dict[str, Any]:
    """Return a Gemini entry."""
    return {"name": model, "provider": "gemini", "model": model} | changes


def samples(count: int, per_image: int = 2) -> list[Sample]:
    """Return samples on 800 x 600 images."""
    truth = GroundTruth(600, 800, (Polygons(((0.0, 0.0, 9.0, 0.0, 9.0, 9.0),)),))
    return [
        Sample("d", "val", f"s{n}", f"i{n // per_image}", ImageRef("x.jpg"), "the red cup", truth)
        for n in range(count)
    ]


def answer(body: str = "{}", **tokens: int | None) -> Response:
    """Return an answer with a usage."""
    return Response(body, "[]", usage=Usage(**tokens))


def test_thoughts_bill_as_output() -> None:
    """2.5 Flash: 0.30 in, 2.50 out per million."""
    entry = config(gemini()).models[0]
    cost = cost_usd(entry, answer(input_tokens=1000, output_tokens=200, thought_tokens=300), NOVEMBER)
    assert cost == pytest.approx(1000 * 0.30e-6 + 500 * 2.50e-6)


def test_prices_change_on_their_day() -> None:
    """4 Argon doubles on 1 December."""
    entry = config(gemini("gemini-4-argon")).models[0]
    usage = answer(input_tokens=1_000_000, output_tokens=0, thought_tokens=0)
    assert cost_usd(entry, usage, NOVEMBER) == pytest.approx(2.0)
    assert cost_usd(entry, usage, DECEMBER) == pytest.approx(4.0)


def test_half_price_is_for_what_came_in_a_job() -> None:
    """A batch model's live fall-back costs the full price."""
    entry = config(gemini(provider="gemini-batch")).models[0]
    tokens = {"input_tokens": 1_000_000, "output_tokens": 0, "thought_tokens": 0}
    assert cost_usd(entry, answer('{"key": "k", "response": {}}', **tokens), NOVEMBER) == pytest.approx(0.15)
    assert cost_usd(entry, answer("{}", **tokens), NOVEMBER) == pytest.approx(0.30)


def test_unknown_is_none_and_not_zero() -> None:
    """An unlisted model, and a listed one that tells no usage."""
    assert find_price(config(gemini("gemini-9")).models[0], NOVEMBER) is None
    assert cost_usd(config(gemini()).models[0], answer(), NOVEMBER) is None


def test_a_price_of_ones_own_wins() -> None:
    """Per million tokens and per image."""
    price = {"input_usd_per_million": 1.0, "output_usd_per_million": 2.0, "image_usd": 0.5}
    entry = config(gemini("gemini-9", price=price)).models[0]
    usage = answer(input_tokens=1_000_000, output_tokens=1_000_000, thought_tokens=0)
    assert cost_usd(entry, usage, NOVEMBER) == pytest.approx(3.5)


def test_a_budget_needs_every_price() -> None:
    """The error names the model and the way out."""
    entries = config(gemini("gemini-9")).models
    require_prices(entries, None, NOVEMBER)
    with pytest.raises(ConfigError, match=r"gemini-9.*price: \{"):
        require_prices(entries, 5.0, NOVEMBER)


def test_every_price_has_a_source_and_dates_do_not_overlap() -> None:
    """On no day do two rows of a model hold."""
    for rows in price_table().values():
        assert all(row.price.source for row in rows)
        for offset in range(0, 800, 5):
            day = dt.date(2026, 1, 1) + dt.timedelta(days=offset)
            assert sum(row.holds(day) for row in rows) == 1


def test_plan_multiplies_out() -> None:
    """Requests, tokens by the published rule, money, hours at the pace and the detectable difference."""
    run = config(
        gemini(generation={"thinking_budget": 0}, limits={"requests_per_minute": 10}),
        {"name": "floor", "provider": "python", "function": "whole-image"},
        {"name": "sam", "provider": "predictions", "path": "x.jsonl"},
        trials=3,
    )
    plan = plan_run(run, samples(100), today=NOVEMBER)
    flash, _, sam = plan.models
    assert flash.requests == 300
    assert flash.image_tokens == 300 * 2 * 2 * 258  # 800 x 600 in tiles of 400 px
    assert flash.usd == pytest.approx(flash.input_tokens * 0.30e-6 + flash.output_tokens * 2.50e-6)
    assert flash.hours == pytest.approx(0.5)
    assert sam.requests == 0
    assert plan.usd == pytest.approx(flash.usd)
    assert (plan.samples, plan.images, plan.hours) == (100, 50, flash.hours)
    usual, high = plan.detectable_difference["d"] or 0, plan.detectable_difference_of_high["d"] or 0
    assert 0 < usual < high < 0.3
    assert f"from {usual:.3f} on" in plan.text()
    assert f"{high:.3f} where mean IoU is about 0.95" in plan.text()


def test_reduced_images_are_planned_reduced() -> None:
    """image.max_side 384 makes 384 x 288: one tile."""
    plan = plan_run(config(gemini(), image={"max_side": 384}), samples(10), today=NOVEMBER)
    assert plan.models[0].image_tokens == 10 * 258


def test_plan_command_prints_one_json_document(tmp_path: Path) -> None:
    """And nothing else on stdout."""
    (tmp_path / "c.yaml").write_text(
        "name: t\ndatasets: [{name: everyday}]\nmodels: [{name: m, provider: gemini, model: gemini-3.8-flash}]\n"
    )
    result = CliRunner().invoke(main, ["plan", str(tmp_path / "c.yaml"), "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["models"][0]["requests"] == document["samples"] == document["requests"]
    assert document["usd"] > 0
