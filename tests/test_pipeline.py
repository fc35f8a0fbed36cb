"""A whole run as one function: what it shows, when it asks for a yes, what it says of an incomplete run."""

import json
from dataclasses import replace

import pytest

from evalkit import pipeline
from evalkit.cli.app import main
from evalkit.config.schema import RunConfig
from evalkit.errors import ConfigError


@pytest.fixture
def config(tmp_path):
    """Return the config of one floor model on two samples of the bundled dataset."""
    return RunConfig.model_validate(
        {
            "name": "small",
            "datasets": [{"name": "everyday", "sample": {"size": 2}}],
            "models": [{"name": "floor", "provider": "python", "function": "whole-image"}],
            "directory": str(tmp_path),
        }
    )


def test_the_plan_is_shown_before_anything_is_written(config, tmp_path):
    """Whoever shows the plan can still stop the run, and no folder is left then."""
    out = tmp_path / "out"

    def refuse(plan):
        assert "floor" in plan
        raise ConfigError("not today")

    with pytest.raises(ConfigError, match="not today"):
        pipeline.run(config, show=refuse, confirm=pytest.fail, out=out, quiet=True)
    assert not out.exists()


def test_a_run_ends_with_folder_scores_and_page(config, tmp_path):
    """The result names all three, and nothing is short."""
    shown = []
    result = pipeline.run(config, show=shown.append, confirm=pytest.fail, out=tmp_path / "out", quiet=True)
    assert len(shown) == 1
    assert result.report.is_file()
    assert len(result.folder.scores()) == result.folder.n_samples()
    assert result.shortfall() is None


def test_command_and_notebook_make_the_same_scores(tmp_path, monkeypatch):
    """`evalkit run` and ``ek.run`` are one pipeline: the same config gives the same rows and summary."""
    from click.testing import CliRunner

    import evalkit as ek

    monkeypatch.chdir(tmp_path)
    text = json.dumps(
        {
            "name": "same",
            "datasets": [{"name": "everyday", "sample": {"size": 2}}],
            "models": [{"name": "floor", "provider": "python", "function": "centre-box"}],
        }
    )
    (tmp_path / "same.yaml").write_text(text, "utf-8")
    told = CliRunner().invoke(main, ["run", "same.yaml", "--out", "command"])
    assert told.exit_code == 0, told.output
    ek.run("same.yaml", out="notebook", quiet=True)
    first, second = (
        (tmp_path / name / "summary.json").read_text("utf-8") for name in ("command", "notebook")
    )
    # How long the floor took is measured, and differs between any two runs.
    results = [json.loads(text)["results"] for text in (first, second)]
    for result in [*results[0], *results[1]]:
        result.pop("latency_s")
    assert results[0] == results[1]


def test_a_dear_run_is_told_with_its_key(config):
    """One cent above the bound is enough."""
    _, plan = pipeline.rehearse(config)
    assert pipeline.high_cost(replace(plan, billed_usd=5.0), config) is None
    said = pipeline.high_cost(replace(plan, billed_usd=5.01), config)
    assert said == "This run costs about 5.01 USD (limits.confirm_above_usd: 5.0)."
