"""The page and `evalkit compare` give one verdict: the same measure, differences, intervals and p-values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.comparison_fixtures import answers, fabricate

from evalkit.comparison.compare import compare_runs
from evalkit.comparison.words import comparison_json
from evalkit.report.changes import find_changes
from evalkit.report.data import load_report
from evalkit.report.differences import leads, page_comparison, pair_table, ranked, tag_table
from evalkit.report.headline import headline_table
from evalkit.report.words import verdict

N = 60
TAGS = [{"kind": "text" if k % 3 else "colour"} for k in range(N)]
IMAGES = [k // 4 for k in range(N)]


def model(name: str, shift: float, *, seed: int, failures: int = 0) -> pd.DataFrame:
    """Return the answers of a model whose IoU is ``shift`` above the others', with noise of its own."""
    base = np.random.default_rng(0).uniform(0.3, 0.8, N)
    iou = np.clip(base + shift + np.random.default_rng(seed).normal(0, 0.1, N), 0, 1)
    failed = ["no_json" if k < failures else None for k in range(N)]
    return answers(name, iou, images=IMAGES, tags=TAGS, failures=failed)


def models() -> list[pd.DataFrame]:
    """Return three models: a clear last one, and two that are close."""
    return [
        model("b", 0.0, seed=1, failures=6),
        model("a", 0.03, seed=2),
        model("c", -0.2, seed=3, failures=15),
    ]


def boxes_alone(rows: pd.DataFrame, masks: str | None = None) -> pd.DataFrame:
    """Return the answers without masks, but on the rows of one tag value."""
    blank = ~rows["tags"].str.contains(masks) if masks else pd.Series(data=True, index=rows.index)
    rows = rows.astype({"iou": float, "intersection": float, "union": float, "boundary_iou": float})
    rows.loc[blank, ["iou", "intersection", "union", "boundary_iou"]] = np.nan
    return rows


def twice(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the answers of two trials; the second differs a little."""
    again = rows.assign(trial=1, iou=(rows["iou"] * 0.97), box_iou=rows["box_iou"] * 0.97)
    return pd.concat([rows, again], ignore_index=True)


RUNS = {
    "two models": lambda: models()[:2],
    "three models": models,
    "two trials": lambda: [twice(rows) for rows in models()],
    "boxes": lambda: [boxes_alone(rows) for rows in models()],
    "boxes, masks on one tag value": lambda: [boxes_alone(rows, "colour") for rows in models()],
    "one model of boxes alone": lambda: [*models()[:2], boxes_alone(models()[2])],
    "two datasets": lambda: [
        *models(),
        *(rows.assign(dataset="second", iou=rows["iou"] * 0.9) for rows in models()),
    ],
    "one model that never answered": lambda: [
        *models()[:2],
        answers("c", [0.5] * N, images=IMAGES, not_run=N),
    ],
}


@pytest.mark.parametrize("case", RUNS)
def test_the_page_holds_the_figures_of_compare(case, tmp_path):
    """Every pair of the page's table, and every lead its verdict speaks of, is that of `compare --json`."""
    run = fabricate(tmp_path / "run", RUNS[case]())
    document = comparison_json(compare_runs([run]), 0.02)
    data = load_report([run])
    compared = page_comparison(data)
    assert compared.tests == document["tests"]
    for pair in document["pairs"]:
        name = pair["verdict"]["metric"]
        assert data.measure(pair["dataset"]).name == name
        expected = pair["metrics"][name]
        table = pair_table(data, pair["dataset"], compared)
        labels = pair["a"]["label"], pair["b"]["label"]
        row = next(row for row in table.rows if row.label == f"{labels[1]} against {labels[0]}")
        gap = row.cells["difference"]
        assert (gap.value, gap.low, gap.high) == tuple(
            expected["difference"][k] for k in ("value", "low", "high")
        )
        shown = [row.cells[key].value for key in ("first", "second", "p", "p_holm", "n")]
        assert shown == [
            *(expected[side]["value"] for side in ("a", "b")),
            *(expected[key] for key in ("p", "p_holm", "n")),
        ]
        assert ("difference" in row.best) == (pair["verdict"]["code"] != "no_difference")


@pytest.mark.parametrize("case", RUNS)
def test_the_verdict_of_the_page_is_that_of_compare(case, tmp_path):
    """The page names a best model exactly where compare calls it better than every other one."""
    run = fabricate(tmp_path / "run", RUNS[case]())
    document = comparison_json(compare_runs([run]), 0.02)
    data = load_report([run])
    compared = page_comparison(data)
    for dataset in data.datasets:
        measure = data.measure(dataset)
        values = {
            m.label: None if found is None else found["value"]
            for m in data.models
            for found in [measure.of(data.result(dataset, m.label))]
        }
        order = ranked(values)
        beats = {m: set() for m in order}
        for pair in (p for p in document["pairs"] if p["dataset"] == dataset):
            a, b = pair["a"]["label"], pair["b"]["label"]
            if pair["verdict"]["code"] != "no_difference":
                better, worse = (b, a) if pair["verdict"]["code"] == "better" else (a, b)
                beats[better].add(worse)
        headline = verdict(data, dataset, compared).headline
        assert (" best." in headline) == (beats[order[0]] == set(order[1:]))
        for gap in leads(compared, dataset, order):
            assert gap.real == (gap.other in beats[order[0]])
            assert f"after Holm over {document['tests']} verdicts" in gap.p or document["tests"] == 1


def test_a_tag_value_is_marked_where_compare_calls_its_slice_real(tmp_path):
    """The family of a tag's marks is the one in which `compare` adjusts the slices."""
    run = fabricate(tmp_path / "run", models()[::2])
    data = load_report([run])
    compared = page_comparison(data)
    marked = {f"{row.group}={row.label}": row.best for row in tag_table(data, "everyday", compared).rows}
    pair = comparison_json(compare_runs([run]), 0.02)["pairs"][0]
    for part in pair["slices"]:
        found = part["metrics"]["giou"]
        real = found["p_holm"] < 0.05 and found["difference"]["low"] * found["difference"]["high"] > 0
        better = pair["b" if found["difference"]["value"] > 0 else "a"]["label"]
        assert marked[part["slice"]] == ({better} if real else set())
    assert any(marked.values())


def test_one_tag_value_with_masks_leaves_the_box_task_its_numbers(tmp_path):
    """Boxes are ranked by boxes though some answers were masks; the terminal shows the same measure."""
    run = fabricate(tmp_path / "run", [boxes_alone(rows, "colour") for rows in models()])
    data = load_report([run])
    found = verdict(data, "everyday", page_comparison(data))
    assert found.headline != "No model has a score yet."
    assert "box accuracy at 0.5" in found.details[0]
    best = max(r["box_accuracy_0.5"]["value"] for r in run.summary().results if r["slice"] == "all")
    assert f"{best:.3f}" in found.details[0]
    assert f"{best:.3f}" in headline_table(run.summary())


def test_two_trials_count_answers_on_page_and_in_compare(tmp_path):
    """Both count every answer of both trials, on the images they are on."""
    run = fabricate(tmp_path / "run", [twice(rows) for rows in models()[:2]])
    row = pair_table(data := load_report([run]), "everyday", page_comparison(data)).rows[0]
    assert (row.cells["n"].value, row.cells["n"].range_text) == (2 * N, f"on {N // 4} images")


def test_two_runs_change_as_compare_says(tmp_path):
    """What changed between two runs is compare's verdict on them, word for word but for the runs' names."""
    before = fabricate(tmp_path / "before", models(), name="before")
    after = fabricate(
        tmp_path / "after", [rows.assign(iou=rows["iou"] * 0.8) for rows in models()], name="after"
    )
    compared = compare_runs([before, after])
    sentences = [pair["verdict"]["sentence"] for pair in comparison_json(compared, 0.02)["pairs"]]
    data = load_report([before, after])
    found = page_comparison(data)
    assert [change.sentence for change in find_changes(data, found)] == sentences
    p_holm = [pair.whole.primary.p_holm for pair in compared.pairs]
    assert [row.cells["p_holm"].value for row in pair_table(data, "everyday", found).rows] == p_holm


def test_two_runs_of_different_models_are_compared_as_compare_does(tmp_path):
    """Without a namesake the models of two runs are compared with each other."""
    one, two, three = models()
    before, after = fabricate(tmp_path / "x", [one], name="x"), fabricate(tmp_path / "y", [two], name="y")
    pair = comparison_json(compare_runs([before, after]), 0.02)["pairs"][0]
    data = load_report([before, after])
    found = page_comparison(data)
    assert not find_changes(data, found)
    row = pair_table(data, "everyday", found).rows[0]
    assert row.cells["difference"].value == pair["metrics"]["giou"]["difference"]["value"]
    assert row.cells["p_holm"].value == pair["metrics"]["giou"]["p_holm"]
    other = fabricate(tmp_path / "z", [three.assign(dataset="other")], name="z")
    data = load_report([before, other])
    assert verdict(data, "everyday", page_comparison(data)).headline.startswith("b @ x reaches gIoU")


def test_models_without_a_common_answer_are_not_called_level(tmp_path):
    """What was not compared is said to be so."""
    one, two, _ = models()
    rows = [one[one.index < 30], two[two.index >= 30]]
    run = fabricate(tmp_path / "run", rows)
    data = load_report([run])
    found = verdict(data, "everyday", page_comparison(data))
    assert "it is not compared with every other model here" in found.headline


def test_a_pair_chosen_by_name_rests_on_the_measure_of_the_page(tmp_path):
    """Two models of masks beside one of boxes alone are judged by what all three can be compared by."""
    run = fabricate(tmp_path / "run", RUNS["one model of boxes alone"]())
    chosen = comparison_json(compare_runs([run], ["a", "b"]), 0.02)["pairs"][0]
    assert chosen["verdict"]["metric"] == load_report([run]).judged_by["everyday"] == "box_accuracy_0.5"
