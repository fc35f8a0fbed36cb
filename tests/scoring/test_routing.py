"""Which model answered: routing and unasked thinking, counted from the rows."""

import pandas as pd

from evalkit.comparison.objections import routed_costs
from evalkit.config.schema import RunConfig
from evalkit.scoring.routing import routed_answers, unasked_thinking


def rows(**columns):
    return pd.DataFrame({"model": ["a", "a", "b"]} | columns)


def test_routed_answers_are_counted_by_version():
    """Another family answering is listed; a dated version of the same model is not."""
    scores = rows(
        requested_model=["gemini-2.5-flash", "gemini-2.5-flash", "gemini-2.5-flash"],
        model_version=["gemini-3.5-flash-lite", "gemini-2.5-flash-001", None],
    )
    (found,) = routed_answers(scores)
    assert {key: found[key] for key in ("model", "requested_model", "model_version", "n")} == {
        "model": "a",
        "requested_model": "gemini-2.5-flash",
        "model_version": "gemini-3.5-flash-lite",
        "n": 1,
    }
    assert (found["cost_usd"], found["requested_cost_usd"]) == (None, None)


def test_routed_answers_cost_two_figures():
    """At the answering model's price and at the asked one's, with how many answers each sum leaves out."""
    scores = rows(
        requested_model=["gemini-2.5-flash"] * 3,
        model_version=["gemini-3.5-flash-lite"] * 3,
        cost_usd=[0.25, 0.5, None],
        requested_cost_usd=[0.125, None, None],
    )
    first, second = routed_answers(scores)
    assert (first["cost_usd"], first["n_cost_unknown"]) == (0.75, 0)
    assert (first["requested_cost_usd"], first["n_requested_cost_unknown"]) == (0.125, 1)
    assert second["cost_usd"] is None
    assert "not documented" in first["billing"]
    words = routed_costs([first])
    assert "0.7500 USD" in words
    assert "0.1250 USD and 1 of unknown cost" in words


def test_thinking_that_was_asked_off_and_billed_is_listed():
    """Only models asked with a budget of 0 can be surprised by thinking."""
    models = [
        {
            "name": "a",
            "provider": "gemini",
            "model": "gemini-2.5-flash",
            "generation": {"thinking_budget": 0},
        },
        {"name": "b", "provider": "gemini", "model": "gemini-3.6-flash"},
    ]
    config = RunConfig.model_validate({"name": "x", "datasets": [{"name": "everyday"}], "models": models})
    scores = rows(thought_tokens=[None, 40, 99])
    assert unasked_thinking(scores, config) == [{"model": "a", "n": 1, "thought_tokens": 40}]
    assert unasked_thinking(rows(thought_tokens=[0, None, 99]), config) == []
