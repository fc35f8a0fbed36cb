"""What the report shows, read from one or several run folders; nothing is drawn or written here.

With several runs every model is labelled ``model @ run``, so that no two share a name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evalkit.comparison.compare import judging_measures
from evalkit.comparison.sides import Side, run_sides
from evalkit.errors import DataError
from evalkit.metrics.names import metric_of
from evalkit.metrics.table import Metric
from evalkit.storage.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.storage.manifest import Manifest
    from evalkit.storage.summary import Summary

SampleKey = tuple[str, str]
"""(dataset, sample_id)."""

MODEL_COLOURS = (
    "#3f78c1",
    "#d9822b",
    "#2a9d8f",
    "#a457a0",
    "#8c8a2e",
    "#b5534f",
    "#5b6fa8",
    "#7c7f86",
)
"""One colour per model, the same everywhere; readable on white and on near-black (contrast >= 3)."""


@dataclass(frozen=True, slots=True)
class RunSource:
    """One run folder with what was read of it: ``name`` is unique among the runs of the page."""

    name: str
    folder: RunFolder
    manifest: Manifest
    summary: Summary


@dataclass(frozen=True, slots=True)
class ReportModel:
    """One column of the comparison: a model of one run, with what answered in its name.

    ``routed``: (version, answers) of every version that is not the requested model, as the summary says;
    ``unasked_thinking``: (answers, tokens) that thought although thinking was off, None where none did.
    """

    label: str
    name: str
    run: int
    provider: str
    requested: str
    versions: tuple[tuple[str, int], ...]
    colour: str
    config: Mapping[str, Any]
    routed: tuple[tuple[str, int], ...]
    unasked_thinking: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything the page shows. ``scores`` has one row per answer, ``model`` holding the label.

    Its column ``quality`` is the IoU of masks, or of boxes where models are judged by those. ``sides``: the models as a
    comparison takes them, in the order of ``models``; ``judged_by``: dataset -> the metric that verdicts rest on.
    """

    title: str
    runs: tuple[RunSource, ...]
    models: tuple[ReportModel, ...]
    datasets: tuple[str, ...]
    scores: pd.DataFrame
    results: tuple[Mapping[str, Any], ...]
    sides: tuple[Side, ...]
    judged_by: Mapping[str, str]

    @property
    def simulated(self) -> bool:
        """True where any run's answers were simulated."""
        return any(run.summary.simulated for run in self.runs)

    @property
    def partial(self) -> tuple[str, ...]:
        """Names of the runs that did not finish."""
        return tuple(run.name for run in self.runs if not run.summary.complete)

    @property
    def seed(self) -> int:
        """The first run's seed: what is drawn at random is the same on every rebuild."""
        return self.runs[0].manifest.seed

    def result(self, dataset: str, label: str, part: str = "all") -> Mapping[str, Any] | None:
        """Return the summary of one model on one slice of a dataset, None where there is none."""
        for entry in self.results:
            if (entry["dataset"], entry["model"], entry["slice"]) == (dataset, label, part):
                return entry
        return None

    def measure(self, dataset: str) -> Metric:
        """Return what models are ranked by on a dataset: gIoU, or the accuracy of boxes where one gave boxes alone."""
        return metric_of(self.judged_by[dataset])

    def first_trial(self) -> pd.DataFrame:
        """Return the score rows that the gallery shows."""
        return self.scores[self.scores["trial"] == 0]

    def slices(self, dataset: str) -> list[str]:
        """Return the slices of a dataset other than ``all``, in the summary's order."""
        return list(
            dict.fromkeys(r["slice"] for r in self.results if r["dataset"] == dataset and r["slice"] != "all")
        )

    def rows(self, dataset: str, label: str | None = None) -> pd.DataFrame:
        """Return the score rows of one dataset, of one model or of all."""
        chosen = self.scores["dataset"] == dataset
        if label is not None:
            chosen &= self.scores["model"] == label
        return self.scores[chosen]


def load_report(folders: Sequence[RunFolder]) -> ReportData:
    """Read the runs of a report. Raises ``DataError`` where a folder is not a scored run."""
    import pandas as pd

    runs = _named_runs(folders)
    several = len(runs) > 1
    frames: list[pd.DataFrame] = []
    results: list[Mapping[str, Any]] = []
    models: list[ReportModel] = []
    sides: list[Side] = []
    for index, run in enumerate(runs):
        of_run = {side.model: side for side in run_sides(run.folder, run.name if several else None)}
        for config in run.manifest.entries:
            if config["name"] not in of_run:
                continue
            side = of_run[config["name"]]
            sides.append(side)
            label, own = side.label, side.rows
            colour = MODEL_COLOURS[len(models) % len(MODEL_COLOURS)]
            models.append(_model_entry(label, index, config, own, colour=colour, summary=run.summary))
            frames.append(own.assign(model=label, run=index))
            results += [{**r, "model": label} for r in run.summary.results if r["model"] == config["name"]]
    if not frames:
        raise DataError(f"{folders[0].path} holds no scores of any of its models: nothing to report")
    scores = pd.concat(frames, ignore_index=True)
    datasets = tuple(dict.fromkeys(scores["dataset"]))
    title = " and ".join(run.name for run in runs)
    data = ReportData(
        title,
        tuple(runs),
        tuple(models),
        datasets,
        scores,
        tuple(results),
        tuple(sides),
        judging_measures(sides),
    )
    return replace(data, scores=_with_quality(data))


def _with_quality(data: ReportData) -> pd.DataFrame:
    """Return the scores with the value that each row is ranked by, missing where there is none."""
    import pandas as pd

    quality = pd.Series(float("nan"), index=data.scores.index)
    for dataset in data.datasets:
        rows = data.rows(dataset)
        quality[rows.index] = pd.to_numeric(rows[data.measure(dataset).answer_column])
    return data.scores.assign(quality=quality)


def _named_runs(folders: Sequence[RunFolder]) -> list[RunSource]:
    """Give each run a name of its own: the config's, the folder's where two configs share one."""
    names = [folder.manifest.name for folder in folders]
    counts = Counter(names)
    unique = [
        name if counts[name] == 1 else folder.path.resolve().name
        for name, folder in zip(names, folders, strict=True)
    ]
    if len(set(unique)) < len(unique):
        unique = [f"{name} ({number})" for number, name in enumerate(unique, 1)]
    return [
        RunSource(name, folder, folder.manifest, folder.summary())
        for name, folder in zip(unique, folders, strict=True)
    ]


def _model_entry(
    label: str,
    run: int,
    config: Mapping[str, Any],
    rows: pd.DataFrame,
    *,
    colour: str,
    summary: Summary,
) -> ReportModel:
    requested = rows["requested_model"].dropna()
    versions = Counter(rows["model_version"].dropna())
    routed, thinking = (
        [entry for entry in entries if entry["model"] == config["name"]]
        for entries in (summary.routed, summary.unasked_thinking)
    )
    return ReportModel(
        label=label,
        name=str(config["name"]),
        run=run,
        provider=str(config["provider"]),
        requested=str(requested.iloc[0]) if len(requested) else str(config["name"]),
        versions=tuple(versions.most_common()),
        colour=colour,
        config=config,
        routed=tuple((str(entry["model_version"]), int(entry["n"])) for entry in routed),
        unasked_thinking=(thinking[0]["n"], thinking[0]["thought_tokens"]) if thinking else None,
    )


def tags_of(text: str) -> dict[str, str]:
    """Return the tags of a score row, kept there as JSON text."""
    tags = json.loads(text) if text else {}
    return {str(name): str(value) for name, value in tags.items()}


def plain_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row of a data frame as plain data: None for what is missing, lists for arrays."""
    return {str(name): _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    import pandas as pd

    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return value
    return None if pd.isna(value) else value
