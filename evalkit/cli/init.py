"""`evalkit init`: look at somebody's own data and write a config for it that a dry run accepts."""

from __future__ import annotations

import csv
import io
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from evalkit.cli.init_config import config_text
from evalkit.cli.shipped_configs import shipped_config, shipped_configs, summary_of
from evalkit.config.schema import DatasetConfig
from evalkit.datasets.folder_pairs import PicturePair, find_pairs, words_of
from evalkit.errors import ConfigError, DataError
from evalkit.models.config_file import load_run_config
from evalkit.models.google.client import key_of
from evalkit.storage.files import replaced_file

ENDINGS = {".jsonl": "jsonl", ".csv": "csv", ".json": "coco", ".parquet": "parquet"}
DEFAULT_MODELS = ("gemini-3.8-flash", "gemini-robotics-er-2-preview")
"""What is compared where nobody names a model: the models that `configs/gemini.yaml` describes."""

SHEET_SAMPLES = 24


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything that a config is written from; ``csv_text`` is the file of samples made from a folder, or None."""

    name: str
    config_path: Path
    dataset: DatasetConfig
    models: tuple[str, ...]
    csv_text: str | None


def init_command(
    *,
    data: str | None,
    images: str | None,
    expression: str | None,
    models: str | None,
    name: str | None,
    out: Path | None,
    template: str | None,
    force: bool,
    yes: bool,
) -> None:
    """Write the config (and, from a folder, the CSV of its samples), look at the data, and say what to do next.

    Raises ``ConfigError`` and ``DataError`` before a file that exists is replaced.
    """
    if template is not None:
        _copy_template(template, out, force=force)
        return
    asking = sys.stdin.isatty() and not yes
    wanted = _wanted(
        data, images=images, expression=expression, models=models, name=name, out=out, asking=asking
    )
    config_path, csv_path = wanted.config_path, wanted.config_path.with_suffix(".csv")
    _refuse_existing([config_path, *([csv_path] if wanted.csv_text else [])], force=force)
    if wanted.csv_text is not None:
        _write(csv_path, wanted.csv_text)
        click.echo(f"wrote {csv_path}: one row a photograph; its `expression` column is what will be asked")
    sheet_path = config_path.with_name(f"{config_path.stem}-sheet.png")
    _look_at(wanted.dataset, sheet_path)
    _write(config_path, config_text(wanted.name, _relative(wanted.dataset, config_path), wanted.models))
    load_run_config(config_path)
    click.echo(f"wrote {config_path}")
    click.echo(_next_steps(wanted))


def _copy_template(name: str, out: Path | None, *, force: bool) -> None:
    """Copy a shipped config; ``list`` prints what there is."""
    if name == "list":
        for known, path in shipped_configs().items():
            click.echo(f"{known:<18} {summary_of(path)}")
        return
    source = shipped_config(name)
    target = out or Path(source.name)
    _refuse_existing([target], force=force)
    _write(target, source.read_text(encoding="utf-8"))
    click.echo(f"wrote {target}\nNext: evalkit run {shlex.quote(str(target))} --dry-run")


def _write(path: Path, text: str) -> None:
    with replaced_file(path) as beside:
        beside.write_text(text, encoding="utf-8")


def _refuse_existing(paths: Sequence[Path], *, force: bool) -> None:
    for path in paths:
        if path.exists() and not force:
            raise ConfigError(f"{path} exists: give --force to replace it, or --out for another file")


def _wanted(
    data: str | None,
    *,
    images: str | None,
    expression: str | None,
    models: str | None,
    name: str | None,
    out: Path | None,
    asking: bool,
) -> Wanted:
    """Return what to write: from the options, asked for where somebody sits there, else the defaults."""
    if data is None:
        if not asking:
            raise ConfigError(
                "--data is needed where nobody can be asked: a .jsonl, .csv, COCO .json or .parquet file, or a folder "
                "of images with masks of the same stem"
            )
        data = click.prompt(
            "Your samples (a .jsonl, .csv, COCO .json or .parquet file, or a folder of images)"
        )
    path = Path(str(data)).expanduser()
    chosen = name or _plain_name(path)
    config_path = out or Path(f"{chosen}.yaml")
    dataset = _dataset(path, chosen, images, config_path.with_suffix(".csv"))
    csv_text = None
    if path.is_dir():
        pairs = find_pairs(path)
        if expression is None and asking:
            expression = (
                click.prompt("What to ask about every image (empty: the words of the file names)", default="")
                or None
            )
        csv_text = _csv_of(pairs, path, expression, config_path.absolute().parent)
    if models is None and asking:
        models = click.prompt(
            "Models, separated by commas (`none` for the floors alone)", default=", ".join(DEFAULT_MODELS)
        )
    return Wanted(chosen, config_path, dataset, _models(models), csv_text)


def _plain_name(path: Path) -> str:
    """Return a run's name from a file's or a folder's."""
    stem = path.resolve().name if path.is_dir() else path.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._") or "mine"


def _dataset(path: Path, name: str, images: str | None, csv_path: Path) -> DatasetConfig:
    if not path.exists():
        raise DataError(f"--data {path}: there is no such file or folder")
    if path.is_dir():
        return DatasetConfig(name=name, format="csv", path=str(csv_path.absolute()))
    form = ENDINGS.get(path.suffix.lower())
    if form is None:
        raise ConfigError(
            f"--data {path}: a file of samples ends in {', '.join(ENDINGS)}. Other layouts (RefCOCO, ReasonSeg, ...) are "
            "named in a config: evalkit datasets list"
        )
    folder = None if images is None else str(Path(images).absolute())
    return DatasetConfig(name=name, format=form, path=str(path.absolute()), images=folder)


def _csv_of(pairs: Sequence[PicturePair], folder: Path, expression: str | None, start: Path) -> str:
    """Return the CSV of a folder's samples, with paths relative to ``start``. Raises ``ConfigError`` where a file name says nothing to ask."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "image", "expression", "mask"))
    for pair in pairs:
        asked = expression or words_of(pair.stem)
        if asked is None:
            raise ConfigError(
                f"{folder / pair.image}: its name says nothing to ask about it. Give --expression 'the cup' for all of "
                "them, or list the samples in a CSV file (id,image,expression,mask)"
            )
        image, mask = (
            Path(os.path.relpath(folder / part, start)).as_posix() for part in (pair.image, pair.mask)
        )
        writer.writerow((pair.stem, image, asked, mask))
    return text.getvalue()


def _models(text: str | None) -> tuple[str, ...]:
    names = (
        list(DEFAULT_MODELS) if text is None else [part.strip() for part in text.split(",") if part.strip()]
    )
    if names == ["none"]:
        return ()
    if len(set(names)) < len(names):
        raise ConfigError("--models: a model is named twice")
    return tuple(names)


def _look_at(dataset: DatasetConfig, sheet_path: Path) -> None:
    """Check the data and draw a contact sheet. Raises ``DataError`` where it is not as it should be."""
    from evalkit.datasets import load_samples
    from evalkit.datasets.check import check_dataset, check_lines
    from evalkit.datasets.contact_sheet import draw_sheet, spread
    from evalkit.progress import Progress

    with Progress() as progress:
        check = check_dataset(dataset, Path.cwd(), progress)
    click.echo("\n".join(check_lines(check)))
    if not check.ok:
        raise DataError(
            f"{dataset.path}: mend the errors listed and run the same command again; no config was written"
        )
    draw_sheet(spread(list(load_samples(dataset, Path.cwd())), SHEET_SAMPLES), sheet_path)
    click.echo(f"wrote {sheet_path}: look whether the outlines are what the expressions mean")


def _relative(dataset: DatasetConfig, config_path: Path) -> DatasetConfig:
    """Return the entry with its locations relative to the config's folder, where that is possible."""
    start = config_path.absolute().parent
    changes = {}
    for key in ("path", "images"):
        location = getattr(dataset, key)
        if location is not None:
            changes[key] = Path(os.path.relpath(location, start)).as_posix()
    return dataset.model_copy(update=changes)


def _next_steps(wanted: Wanted) -> str:
    shown = shlex.quote(str(wanted.config_path))
    key = "" if key_of() or not wanted.models else "   (export GEMINI_API_KEY=... first)"
    return (
        "Next:\n"
        f"  evalkit run {shown} --dry-run    requests, tokens, USD, hours; calls nothing, needs no key\n"
        f"  evalkit run {shown}{key}\n"
        f"  evalkit compare reports/{wanted.name}"
    )
