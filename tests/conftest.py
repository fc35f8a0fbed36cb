"""Settings of every test: no proxy stands between a test and its own server."""

import os
import tempfile
from collections import Counter

import pytest
from support.random_search import register_profiles

os.environ["NO_PROXY"] = "127.0.0.1,localhost"
os.environ["no_proxy"] = "127.0.0.1,localhost"
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="evalkit-state-")
for key in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GEMINI_BASE_URL"):
    os.environ.pop(key, None)


WITHOUT_FIGURES = {"runner", "models", "notebook", "cli", "test_extensions.py", "test_pipeline.py"}
"""Tests whose runs build pages that nobody looks at; those of the report draw every figure."""


@pytest.fixture(autouse=True)
def _figures_where_they_are_looked_at(request, monkeypatch):
    """Drawing the figures takes a second a page."""
    if WITHOUT_FIGURES & set(request.path.relative_to(request.config.rootpath / "tests").parts):
        monkeypatch.setattr("evalkit.report.dataset_view.draw_figures", lambda *_: {})


def pytest_report_header():
    """Print the versions that can change a number at the head of every test run."""
    from evalkit.version import installed_versions

    return "evalkit stands on " + ", ".join(
        f"{name} {version}" for name, version in installed_versions().items()
    )


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter):
    """Say in one line how many tests were skipped, and what each group of them lacks."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", ())
    )
    if reasons:
        groups = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common())
        terminalreporter.write_line(f"{reasons.total()} skipped: {groups}")


register_profiles()
