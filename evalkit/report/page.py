"""Writes the report: pictures, figures, tables, data, pages. Whole, beside the old one, then renamed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import DataError
from evalkit.metrics.reading_words import suspect_results, what_was_found, yaml_to_set
from evalkit.report.answers import DrawnSample, drawn_samples
from evalkit.report.audit import Suspect, find_suspects
from evalkit.report.changes import RunChange, find_changes
from evalkit.report.choose import ChosenSamples, SampleKey, choose_samples
from evalkit.report.conventions import ceiling_tables, sensitivity_tables
from evalkit.report.data import ReportData, load_report
from evalkit.report.dataset_view import DatasetView, dataset_view, run_view
from evalkit.report.differences import page_comparison
from evalkit.report.environment import TEMPLATES, template_environment
from evalkit.report.gallery import as_script, excerpt, first_cards, gallery_data, safe_json
from evalkit.report.overlays import Drawing, OverlayWriter
from evalkit.report.sample_view import answer_views, sample_json, sample_view
from evalkit.report.tables import write_tables
from evalkit.report.words import who_answered
from evalkit.storage.files import replaced_folder

if TYPE_CHECKING:
    from jinja2 import Environment

    from evalkit.storage.run_folder import RunFolder

STATIC = ("report.css", "theme.js", "gallery.js", "sample.js")

MARKER = "report.json"
"""Names the runs of a report; a folder without it is not one, and is never replaced."""

REPORT_FILES = frozenset(
    (*STATIC, MARKER, "index.html", "gallery-data.js", "figures", "samples", "tables", "pictures", "overlays")
)
"""All that a report consists of."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """What was drawn: the files of each sample and the beginning of each raw answer."""

    drawings: Mapping[SampleKey, Drawing]
    excerpts: Mapping[tuple[str, str, str], str]


def write_report(folders: Sequence[RunFolder], out: Path | None, *, conventions: bool = False) -> Path:
    """Write the report of these runs and return the path of its ``index.html``."""
    data = load_report(folders)
    target = out or _default_folder(data)
    if target != data.runs[0].folder.path / "report" or not _is_half_removed(target):
        _refuse_other_folder(target)
    with replaced_folder(target) as stage:
        _write_all(data, stage, conventions=conventions)
    return target / "index.html"


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


def _write_all(data: ReportData, folder: Path, *, conventions: bool) -> None:
    suspects = find_suspects(data)
    chosen = choose_samples(data, first=[suspect.key for suspect in suspects])
    environment = _environment(data)
    gallery = _write_samples(data, chosen, environment, folder)
    compared = page_comparison(data)
    changes = find_changes(data, compared)
    views = [dataset_view(data, name, folder / "figures", compared, changes) for name in data.datasets]
    measured = [sensitivity_tables(data), ceiling_tables(data)] if conventions else []
    costs = {name: [tables[name] for tables in measured] for name in data.datasets}
    shown = [table for view in views for table in [*view.tables, *costs[view.name]]]
    write_tables(shown, folder / "tables")
    columns = gallery_data(data, chosen, gallery.drawings, gallery.excerpts)
    (folder / "gallery-data.js").write_text(as_script("EVALKIT_GALLERY", columns), encoding="utf-8")
    for name in STATIC:
        shutil.copyfile(TEMPLATES / name, folder / name)
    page = environment.get_template("index.html").render(
        **_index_context(data, views, chosen, suspects, gallery),
        differing=differing(changes),
        costs=costs,
        cards=first_cards(columns),
    )
    (folder / "index.html").write_text(page, encoding="utf-8")
    marker = {"runs": [run.name for run in data.runs], "simulated": data.simulated}
    (folder / MARKER).write_text(json.dumps(marker) + "\n", encoding="utf-8")


def _environment(data: ReportData) -> Environment:
    """Return the templates' environment with what every page of the report shows."""
    finished = [str(run.manifest.finished_at or "")[:16].replace("T", " ") for run in data.runs]
    return template_environment(
        title=data.title,
        simulated=data.simulated,
        partial=data.partial,
        made_at=", ".join(filter(None, finished)),
        colours={model.label: model.colour for model in data.models},
        root="",
    )


def _write_samples(
    data: ReportData, chosen: ChosenSamples, environment: Environment, folder: Path
) -> Gallery:
    """Draw every chosen sample and write its page; answers are in memory a few samples at a time."""
    painter = OverlayWriter(folder)
    numbers = {model.label: number for number, model in enumerate(data.models)}
    names = neighbours(chosen)
    (folder / "samples").mkdir()
    prompts = _Prompts(data)
    template = environment.get_template("sample.html")
    drawings: dict[SampleKey, Drawing] = {}
    excerpts: dict[tuple[str, str, str], str] = {}
    for drawn in drawn_samples(data, chosen.keys):
        key = (drawn.sample.dataset, drawn.sample.sample_id)
        drawing = painter.draw(drawn, numbers)
        drawings[key] = drawing
        for answer in drawn.answers:
            text = None if answer.response is None else answer.response.text
            excerpts[*key, answer.label] = excerpt(text)
        head = sample_view(drawn)
        answers = answer_views(data, drawn, drawing, prompts.of(drawn))
        before, after = names[key]
        text = template.render(
            root="../",
            s=head,
            d=drawing,
            answers=answers,
            before=before,
            after=after,
            reasons=chosen.reasons.get(key, ()),
            json=safe_json(sample_json(head, answers, drawn.answers)),
        )
        (folder / "samples" / f"{drawing.slug}.html").write_text(text, encoding="utf-8", errors="replace")
    return Gallery(drawings, excerpts)


def neighbours(chosen: ChosenSamples) -> dict[SampleKey, tuple[str | None, str | None]]:
    """Return the file names (without ending) of the samples before and after each."""
    from evalkit.report.overlays import slug

    slugs = [None, *(slug(*key) for key in chosen.keys), None]
    return {key: (slugs[place], slugs[place + 2]) for place, key in enumerate(chosen.keys)}


class _Prompts:
    """The text that each model was asked, from the run's configuration."""

    def __init__(self, data: ReportData) -> None:
        from evalkit.config.prompts import prompt_of

        self.prompts = {}
        configs = [run.folder.config() for run in data.runs]
        for model in data.models:
            config = configs[model.run]
            entry = next(entry for entry in config.models if entry.name == model.name)
            prompt = entry.prompt_setting()
            self.prompts[model.label] = None if prompt is None else prompt_of(prompt, config)

    def of(self, drawn: DrawnSample) -> dict[str, str | None]:
        """Return label -> text for one sample, None where the provider takes no prompt."""
        return {
            label: None if prompt is None else prompt.question_about(drawn.sample)
            for label, prompt in self.prompts.items()
        }


def _index_context(
    data: ReportData,
    views: Sequence[DatasetView],
    chosen: ChosenSamples,
    suspects: Sequence[Suspect],
    gallery: Gallery,
) -> dict[str, Any]:
    return {
        "views": views,
        "runs": [run_view(run) for run in data.runs],
        "models": data.models,
        "has_tags": any(view.tags is not None for view in views),
        "chosen": chosen,
        "who_answered": who_answered(data.models),
        "suspect_readings": [
            {"model": result["model"], "found": what_was_found(result), "yaml": yaml_to_set(result)}
            for result in suspect_results(data.results)
        ],
        "suspects": [
            _suspect_card(data, suspect, gallery) for suspect in suspects if suspect.key in gallery.drawings
        ],
        "legend_words": "Bright outline: truth. Blue: prediction. Cards are enlarged around both; point at one to see all of it.",
    }


def differing(changes: Sequence[RunChange]) -> list[str]:
    """Return the settings that differ between the first run and the others, each once, as lines."""
    return list(
        dict.fromkeys(
            f"{change.run}, {change.name}: {setting.words()}"
            for change in changes
            for setting in change.settings
        )
    )


def _suspect_card(data: ReportData, suspect: Suspect, gallery: Gallery) -> dict[str, Any]:
    drawing = gallery.drawings[suspect.key]
    layers = drawing.layers.get(suspect.labels[0])
    rows = data.scores[
        (data.scores["dataset"] == suspect.key[0]) & (data.scores["sample_id"] == suspect.key[1])
    ]
    return {
        "href": f"samples/{drawing.slug}.html",
        "picture": drawing.thumbnail,
        "layer": drawing.truth if layers is None else layers.prediction,
        "width": drawing.width_px,
        "height": drawing.height_px,
        "expression": str(rows["expression"].iloc[0]),
        "models": ", ".join(suspect.labels),
        "words": suspect.words,
        "agreement": f"{suspect.agreement:.2f}",
        "best_iou": f"{suspect.best_iou:.2f}",
    }
