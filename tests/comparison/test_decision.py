"""The decision: who leads and how surely, what breaks a tie, and what stands against the candidates."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.comparison_fixtures import answers, fabricate

from evalkit.comparison.compare import compare_runs
from evalkit.comparison.decision import decide, times
from evalkit.comparison.evidence import why_apart
from evalkit.comparison.objections import objections
from evalkit.comparison.words import comparison_json, comparison_text, verdict
from evalkit.storage.files import write_json
from evalkit.storage.run_folder import RunFolder
from evalkit.types import Interval

N = 60


def rows(name: str, shift: float, *, seed: int, failures: int = 0, **given: float) -> pd.DataFrame:
    """Return the answers of a model whose IoU lies about ``shift`` above the others'."""
    base = np.random.default_rng(0).uniform(0.3, 0.8, N)
    iou = np.clip(base + shift + np.random.default_rng(seed).normal(0, 0.1, N), 0, 1)
    return answers(name, iou, failures=["no_json" if k < failures else None for k in range(N)], **given)


def decision_of(run: RunFolder):
    """Return the decision on the one dataset of a run."""
    compared = compare_runs([run])
    return decide(compared.sides, compared, "everyday")


def with_floor(run: RunFolder, name: str) -> RunFolder:
    """Make one model of a run a shipped floor."""
    manifest = run.manifest.to_json()
    for entry in manifest["config"]["models"]:
        if entry["name"] == name:
            entry |= {"provider": "python", "function": "whole-image"}
    write_json(run.path / "manifest.json", manifest)
    return RunFolder(run.path)


def test_a_clear_lead_is_named_with_its_size(tmp_path):
    """Quality decides where its lead is real: by how much, how sure, and what the two cost."""
    run = fabricate(tmp_path / "run", [rows("a", 0.2, seed=1), rows("b", 0, seed=2, cost_usd=0.004)])
    found = decision_of(run)
    gap = compare_runs([run]).pairs[0].whole.primary.difference
    assert found.headline == "a segments best."
    assert (
        f"ahead of b, the next, by {-gap.value:+.3f}, {-gap.high:+.3f} to {-gap.low:+.3f}" in found.details[0]
    )
    assert found.details[1].startswith("a: $1.00 per 1,000 answers; 1.00 s each")
    assert (found.chosen, found.level) == ("a", ("a",))


def test_what_breaks_a_tie_is_said(tmp_path):
    """Of two level models the cheaper one that is more often on format is named, with the factor."""
    run = fabricate(
        tmp_path / "run", [rows("a", 0, seed=1), rows("b", 0.03, seed=2, failures=6, cost_usd=0.0024)]
    )
    found = decision_of(run)
    assert found.headline.startswith("a and b cannot be told apart in gIoU (")
    assert found.headline.endswith("; a is 2.4x cheaper and on format every time, the other 9 in 10 times.")
    assert found.chosen == "a"


def test_reasons_for_both_sides_choose_nobody(tmp_path):
    """Where one is cheaper and the other faster, both are said and the choice is left to the reader."""
    run = fabricate(
        tmp_path / "run", [rows("a", 0, seed=1, latency_s=3.0), rows("b", 0.01, seed=2, cost_usd=0.002)]
    )
    found = decision_of(run)
    assert "a is 2.0x cheaper" in found.headline
    assert "b is 3.0x faster" in found.headline
    assert found.chosen is None


def test_a_tie_in_everything_is_left_standing(tmp_path):
    """Nothing is made up to part what is level."""
    run = fabricate(tmp_path / "run", [rows("a", 0, seed=1), rows("b", 0.01, seed=2)])
    assert decision_of(run).headline.endswith("; neither cost nor format nor time parts them.")


def test_a_floor_is_no_candidate(tmp_path):
    """A floor with the highest score is not chosen; that nobody beats it stands against the others."""
    run = fabricate(tmp_path / "run", [rows("a", 0, seed=1), rows("floor", 0.2, seed=2)])
    found = decision_of(with_floor(run, "floor"))
    assert found.headline.startswith("a reaches gIoU")
    assert "a is not shown to beat the floor floor, which understands nothing." in found.against


def test_compare_says_the_decision_in_text_and_json(tmp_path):
    """The sentences of the engine come out unchanged."""
    run = fabricate(tmp_path / "run", [rows("a", 0, seed=1), rows("b", 0.02, seed=2, cost_usd=0.003)])
    found = decision_of(run)
    document = comparison_json(compare_runs([run]), 0.02)
    assert document["decisions"] == [found.to_json()]
    assert f"everyday: {found.headline}" in comparison_text(compare_runs([run]), 0.02)


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, "every time"), (0.0, "never"), (0.91, "9 in 10 times"), (0.996, "99 in 100 times"), (0.55, "55 in 100 times")],
)  # fmt: skip
def test_shares_as_people_say_them(share, words):
    """Nothing short of all is called every time."""
    assert times(share) == words


def test_an_end_within_90_days_stands_against_a_model(tmp_path):
    """The day of the decision counts; a simulated answer says nothing of the model's end."""
    rows_2_5 = rows("a", 0, seed=1)
    run = fabricate(tmp_path / "run", [rows_2_5, rows("b", 0.1, seed=2)])
    sides = compare_runs([run]).sides
    assert objections(sides, dt.date(2020, 1, 1)) == []
    told = objections(sides, dt.date(2099, 1, 1))
    assert told[0].startswith("a: gemini-2.5-flash ")
    simulated = fabricate(tmp_path / "other", [rows_2_5, rows("b", 0.1, seed=2)], simulated=True)
    assert objections(compare_runs([simulated]).sides, dt.date(2099, 1, 1)) == []


def test_p_and_interval_that_seem_to_disagree_are_explained(tmp_path):
    """What makes a clear interval no difference is named: the adjustment, or the test itself."""
    pair = compare_runs([fabricate(tmp_path / "run", [rows("a", 0, seed=1), rows("b", 0.2, seed=2)])]).pairs[
        0
    ]
    found = pair.whole.primary
    assert why_apart(found, 1) == ""
    adjusted = replace(found, p=0.03, p_holm=0.3)
    assert why_apart(adjusted, 10) == (
        "The interval leaves out zero and is of this pair alone, as is p = 0.030; Holm's adjustment for 10 verdicts "
        "makes it 0.300."
    )
    assert (
        why_apart(adjusted, 10)
        in verdict(replace(pair, whole=replace(pair.whole, measured=(adjusted,))), 10)["sentence"]
    )
    assert "before any adjustment" in why_apart(replace(found, p=0.06, p_holm=0.6), 10)
    assert "holds zero" in why_apart(replace(found, difference=Interval(0.1, -0.01, 0.2)), 10)
