"""A metric is one entry with its function: every reader of the table takes up a new one."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from evalkit.metrics.table import FAMILIES, METRICS, find_metric, quality_metric

ENTRY = """
    Metric(
        "quick_share",
        "quick answers",
        "share of answered rows below one second",
        lambda rows: share(rows.numbers("latency_s") < 1, rows.answered),
        ("quick_share",),
        better="lower",
        aliases=("quick",),
        shown=("compare", "slices", "page", "terminal", "history"),
    ),
"""
ADDED = """
import importlib.util
import sys
from pathlib import Path

spec = importlib.util.find_spec("evalkit.metrics.table")
table = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
source = Path(spec.origin).read_text()
before = '    Metric(\\n        "cost_usd_per_answer"'
assert source.count(before) == 1
exec(compile(source.replace(before, sys.argv[2] + before), spec.origin, "exec"), vars(table))

sys.path[:0] = sys.argv[3:]
from support.comparison_fixtures import answers, fabricate
from build_reference import metrics_page
from evalkit.comparison.compare import compare_runs
from evalkit.comparison.gate.verdict import gate_run
from evalkit.comparison.history import history_json, read_history
from evalkit.comparison.words import comparison_json, comparison_text
from evalkit.report.data import load_report
from evalkit.report.headline import headline_table as terminal_table
from evalkit.report.tables import headline_table as page_table

folder = Path(sys.argv[1])
models = [answers(name, [0.5] * 12, latency_s=seconds) for name, seconds in (("a", 0.5), ("b", 2.0))]
run = fabricate(folder / "run", models, gate=[{"metric": "quick", "max": 0.5}])
results = {r["model"]: r["quick_share"]["value"] for r in run.summary().results}
assert results == {"a": 1.0, "b": 0.0}, results
compared = compare_runs([run])
assert comparison_json(compared, 0.02)["pairs"][0]["metrics"]["quick_share"]["difference"]["value"] == -1
assert "quick answers" in comparison_text(compared, 0.02)
checks = [check for check in gate_run(run).checks if check.metric == "quick_share"]
assert [check.status for check in checks] == ["fail", "pass"], checks
column = next(c for c in page_table(load_report([run]), "everyday").columns if c.key == "quick_share")
assert (column.heading, column.better) == ("Quick answers", "down")
assert "quick answers" in terminal_table(run.summary())
series = history_json(folder, read_history(folder))["series"]
assert series[0]["runs"][0]["metrics"]["quick_share"]["value"] == 1
assert "| `quick_share` | quick answers | lower | `quick` |" in metrics_page()
"""


def test_a_new_entry_reaches_every_reader(tmp_path: Path) -> None:
    """summary.json, compare, gate, page, terminal, history and the reference show a metric that one entry adds."""
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", ADDED, str(tmp_path), ENTRY, str(tests), str(tests.parent / "docs")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tests.parent,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_no_name_means_two_metrics() -> None:
    """Every name and alias is one metric's alone, and every place in summary.json too."""
    names = Counter(name for metric in METRICS for name in (metric.name, *metric.aliases))
    places = Counter(metric.path for metric in METRICS if metric.path)
    assert max(names.values()) == max(places.values()) == 1
    assert not {family.name for family in FAMILIES} & set(names)


def test_only_codes_are_members_of_a_family() -> None:
    """A family without a code is no metric."""
    assert find_metric("failures.no_json").better == "lower"
    assert find_metric("outcomes.decoded").better == "higher"
    assert find_metric("failures.") is None
    assert find_metric("failures") is None


def test_models_are_judged_by_what_all_can_be_compared_by() -> None:
    """Masks where all drew masks; boxes where one gave boxes alone; models without answers do not count."""
    masks, boxes = {"giou", "box_accuracy_0.5"}, {"box_accuracy_0.5"}
    assert quality_metric([masks, masks]) == "giou"
    assert quality_metric([masks, boxes]) == "box_accuracy_0.5"
    assert quality_metric([masks, set()]) == "giou"
    assert quality_metric([]) == "giou"
