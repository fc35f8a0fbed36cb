"""Writes the report: chunks of data, figures, tables, pages. Whole, beside the old one, then renamed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.comparison.objections import objections, today
from evalkit.errors import DataError
from evalkit.metrics.reading_words import suspect_results, what_was_found, yaml_to_set
from evalkit.report.audit import Suspect, strongest_first
from evalkit.report.changes import RunChange, find_changes
from evalkit.report.chunk_files import CHUNK_FOLDER, write_chunk, write_index
from evalkit.report.conventions import ceiling_tables, sensitivity_tables
from evalkit.report.data import ReportData, load_report
from evalkit.report.dataset_view import DatasetView, dataset_view, run_view
from evalkit.report.differences import page_comparison
from evalkit.report.environment import TEMPLATES, template_environment
from evalkit.report.gallery import (
    first_cards,
    gallery_index,
    sample_address,
    searched_characters,
    searched_texts,
)
from evalkit.report.sample_chunks import SamplePlan, Written, chunk_jobs, write_chunks
from evalkit.report.shown_masks import GRID_SIDE_PX
from evalkit.report.tables import write_tables
from evalkit.scoring.engine import map_chunks
from evalkit.storage.files import read_json, replaced_folder
from evalkit.storage.manifest import MANIFEST
from evalkit.storage.scoring_basis import digest_of_file, digest_of_folder, made_by

if TYPE_CHECKING:
    from jinja2 import Environment

    from evalkit.storage.run_folder import RunFolder

SCRIPTS = ("theme.js", "chunks.js", "masks.js", "pictures.js", "gallery.js", "sample.js")
STATIC = ("report.css", *SCRIPTS)

MARKER = "report.json"
"""Names the runs of a report and holds what its first screen says; a folder without it is no report, and is never replaced."""

REPORT_FILES = frozenset(
    {
        *(*STATIC, MARKER, "index.html", "sample.html", CHUNK_FOLDER, "figures", "tables"),
        *("gallery-data.js", "samples", "pictures", "overlays"),
    }
)
"""All that a report consists of, or consisted of in evalkit 0.1 (the second line)."""

SUSPECTS_SHOWN = 48

GRID_WORDS = (
    f"Masks keep every pixel; those of images over {GRID_SIDE_PX:,} pixels stand on a coarser grid, which the sample's "
    "page names."
)


def write_report(folders: Sequence[RunFolder], out: Path | None, *, conventions: bool = False) -> Path:
    """Write the report of these runs and return the path of its ``index.html``."""
    made_from = _made_from(folders)  # before anything is read: what changes meanwhile is seen the next time
    data = load_report(folders)
    target = out or _default_folder(data)
    if target != data.runs[0].folder.path / "report" or not _is_half_removed(target):
        _refuse_other_folder(target)
    with replaced_folder(target) as stage:
        said = _write_all(data, stage, conventions=conventions)
        _write_marker(data, stage, {"made_from": made_from, **said})
    return target / "index.html"


def standing_report(folder: RunFolder) -> Path | None:
    """Return the ``index.html`` of a run's own page where it is whole and would show the same; None where it is not."""
    page = folder.path / "report"
    try:
        marker = read_json(page / MARKER)
    except DataError:
        return None
    whole = marker.get("files") == digest_of_folder(page, without=MARKER)
    return page / "index.html" if whole and marker.get("made_from") == _made_from([folder]) else None


def _default_folder(data: ReportData) -> Path:
    first = data.runs[0].folder.path
    if len(data.runs) == 1:
        return first / "report"
    return first.parent / ("report-" + "-".join(run.name.replace(" ", "") for run in data.runs))


def _is_half_removed(target: Path) -> bool:
    """Tell whether a run's own ``report`` holds nothing but a report's files: evalkit 0.1 could be killed there."""
    return target.is_dir() and {entry.name for entry in target.iterdir()} <= REPORT_FILES


def _refuse_other_folder(target: Path) -> None:
    if target.exists() and not (target / MARKER).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(
            f"{target} exists and is not a report (it holds no {MARKER}): give another folder with --out, or remove it"
        )


def _write_all(data: ReportData, folder: Path, *, conventions: bool) -> dict[str, Any]:
    """Write every file but the marker; return what the first screen says, for the marker."""
    plan, written = _write_chunks(data, folder)
    environment = _environment(data)
    compared = page_comparison(data)
    changes = find_changes(data, compared)
    views = [dataset_view(data, name, folder / "figures", compared, changes) for name in data.datasets]
    measured = [sensitivity_tables(data), ceiling_tables(data)] if conventions else []
    costs = {name: [tables[name] for tables in measured] for name in data.datasets}
    shown = [table for view in views for table in [*view.tables, *costs[view.name]]]
    write_tables(shown, folder / "tables")
    index = gallery_index(data, plan, written)
    index["texts"] = write_chunk(folder, searched_texts(index, written))
    environment.globals["index_file"] = write_index(folder, index)
    for name in STATIC:
        shutil.copyfile(TEMPLATES / name, folder / name)
    against = objections(data.sides, today())
    page = environment.get_template("index.html").render(
        **_index_context(data, views, plan, written),
        objections=against,
        differing=differing(changes),
        costs=costs,
        cards=first_cards(index, written),
    )
    (folder / "index.html").write_text(page, encoding="utf-8", errors="replace")
    sample = environment.get_template("sample.html").render()
    (folder / "sample.html").write_text(sample, encoding="utf-8", errors="replace")
    return {"decisions": [view.verdict.to_json() for view in views], "objections": against}


def _write_marker(data: ReportData, folder: Path, facts: Mapping[str, Any]) -> None:
    """Write what the page is of, what it is made from and says, and a digest of its files, so that a whole one is known again."""
    marker = {
        "runs": [run.name for run in data.runs],
        "simulated": data.simulated,
        **facts,
        "files": digest_of_folder(folder, without=MARKER),
    }
    (folder / MARKER).write_text(json.dumps(marker) + "\n", encoding="utf-8")


def _made_from(folders: Sequence[RunFolder]) -> dict[str, Any]:
    """Return what a page shows, as digests: evalkit's code, the scorings, and the runs beside that it lists as earlier."""
    beside = sorted(folders[0].path.resolve().parent.glob(f"*/{MANIFEST}"))
    own = folders[0].path.resolve()
    return {
        "made_by": made_by(),
        "scorings": [(folder.manifest.scoring or {}).get("id") for folder in folders],
        "beside": {path.parent.name: digest_of_file(path) for path in beside if path.parent != own},
    }


def _write_chunks(data: ReportData, folder: Path) -> tuple[SamplePlan, Written]:
    """Write what the page loads on demand, in as many processes as scoring takes."""
    (folder / CHUNK_FOLDER).mkdir()
    plan, written = chunk_jobs(data, folder), Written()
    for part in map_chunks(write_chunks, plan.jobs):
        written.add(part)
    return plan, written


def _environment(data: ReportData) -> Environment:
    """Return the templates' environment with what every page of the report shows."""
    finished = [str(run.manifest.finished_at or "")[:16].replace("T", " ") for run in data.runs]
    return template_environment(
        title=data.title,
        simulated=data.simulated,
        partial=data.partial,
        made_at=", ".join(filter(None, finished)),
        colours={model.label: model.colour for model in data.models},
    )


def _index_context(
    data: ReportData,
    views: Sequence[DatasetView],
    plan: SamplePlan,
    written: Written,
) -> dict[str, Any]:
    suspects = strongest_first(written.suspects)
    numbers = {key: number for number, key in enumerate(plan.keys)}
    return {
        "views": views,
        "runs": [run_view(run) for run in data.runs],
        "models": data.models,
        "has_tags": any(view.tags is not None for view in views),
        "suspect_readings": [
            {"model": result["model"], "found": what_was_found(result), "yaml": yaml_to_set(result)}
            for result in suspect_results(data.results)
        ],
        "suspects": [_suspect_card(data, one, numbers[one.key]) for one in suspects[:SUSPECTS_SHOWN]],
        "n_suspects": len(suspects),
        "shown_words": shown_words(data, plan, written),
    }


def shown_words(data: ReportData, plan: SamplePlan, written: Written) -> str:
    """Return what the gallery shows, and what of it is reduced, in words."""
    trials = int(data.scores["trial"].max()) + 1
    missing, n_answers = len(written.missing), len(data.first_trial())
    told = [
        f"Every answer to all {len(plan.keys):,} samples is here.",
        "" if trials == 1 else f"Of {trials} trials the first is shown.",
        f"Photographs are reduced to {plan.side_px} pixels on the longest side. {GRID_WORDS}",
        "" if not missing else f"{missing:,} photographs cannot be read: their masks stand on grey.",
        f"The text search looks at expressions, ids and the first {searched_characters(n_answers)} characters of each answer.",
    ]
    return " ".join(filter(None, told))


def differing(changes: Sequence[RunChange]) -> list[str]:
    """Return the settings that differ between the first run and the others, each once, as lines."""
    return list(
        dict.fromkeys(
            f"{change.run}, {change.name}: {setting.words()}"
            for change in changes
            for setting in change.settings
        )
    )


def _suspect_card(data: ReportData, suspect: Suspect, number: int) -> dict[str, Any]:
    labels = [model.label for model in data.models]
    rows = data.scores[
        (data.scores["dataset"] == suspect.key[0]) & (data.scores["sample_id"] == suspect.key[1])
    ]
    return {
        "href": sample_address(*suspect.key, suspect.labels[0]),
        "sample": number,
        "model": labels.index(suspect.labels[0]),
        "expression": str(rows["expression"].iloc[0]),
        "models": ", ".join(suspect.labels),
        "words": suspect.words,
        "agreement": f"{suspect.agreement:.2f}",
        "best_iou": f"{suspect.best_iou:.2f}",
    }
