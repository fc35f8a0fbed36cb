"""What ``evalkit datasets list``, ``check`` and ``show`` do between their arguments and their exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.cards import DatasetCard, all_cards
from evalkit.errors import ConfigError, DataError


def list_command(*, as_json: bool) -> None:
    """Print every card: name, format, known expressions, splits, licence."""
    cards = all_cards()
    if as_json:
        click.echo(json.dumps([card_json(card) for card in cards], ensure_ascii=False, indent=2))
        return
    width = max(len(card.name) for card in cards)
    for card in cards:
        here = "" if card.root is None and card.path is None else " (shipped)"
        click.echo(f"{card.name:<{width}}  {card.title}{here}")
        click.echo(f"{'':<{width}}  splits: {_splits_text(card)} · format {card.format} · {card.licence}")
    click.echo(
        "\nName one under `datasets:` in a config; what is not shipped also needs `root:` or `path:`.",
        err=True,
    )


def card_json(card: DatasetCard) -> dict[str, Any]:
    """Return a card as plain data."""
    return card.model_dump(mode="json", exclude_none=True)


def _splits_text(card: DatasetCard) -> str:
    parts = []
    for name, counts in card.splits.items():
        known = f" {counts.expressions:,}" if counts.expressions else ""
        parts.append(f"{name}{known}")
    return ", ".join(parts) or "none"


def datasets_of(
    target: str, *, root: str | None = None, split: str | None = None, images: str | None = None
) -> tuple[list[DatasetConfig], Path]:
    """Return the entries that ``target`` names, and the folder their paths start from.

    ``target``: a card, a run configuration (YAML) or a file of samples (``OWN_FILES``). ``root`` may be the one file of a
    card that is a single file.
    """
    changes = {key: value for key, value in (("split", split), ("images", images)) if value is not None}
    if target.endswith((".yaml", ".yml")):
        from evalkit.models.config_file import load_run_config

        config = load_run_config(target)
        if root is not None:
            raise ConfigError(
                "--root belongs to a card: in a configuration each dataset says its own `root:`"
            )
        return [entry.model_copy(update=changes) for entry in config.datasets], Path(config.directory)
    if (own := _own_format(target)) is not None:
        entry = DatasetConfig(name=Path(target).stem, format=own, path=target)
        return [entry.model_copy(update=changes)], Path.cwd()
    place = "path" if root is not None and Path(root).is_file() else "root"
    return [
        DatasetConfig(name=target, split=split, images=images).model_copy(update={place: root})
    ], Path.cwd()


def _own_format(target: str) -> str | None:
    """Return the format of a file of one's own by its ending, None where the target is no such file."""
    return next((name for ending, name in OWN_FILES.items() if target.lower().endswith(ending)), None)


OWN_FILES = {".jsonl": "jsonl", ".csv": "csv", ".json": "coco", ".parquet": "parquet"}
"""Endings of files that can be checked as they are, without a card or a config, and the format each is read as."""


def check_command(
    target: str,
    *,
    root: str | None,
    split: str | None,
    images: str | None,
    as_json: bool,
    strict: bool = False,
) -> None:
    """Check every dataset that ``target`` names. Raises ``DataError`` where one has errors.

    ``strict``: also where its counts differ from the published ones.
    """
    from evalkit.datasets.check import check_dataset, check_lines
    from evalkit.progress import Progress

    entries, directory = datasets_of(target, root=root, split=split, images=images)
    with Progress() as progress:
        checks = [check_dataset(entry, directory, progress) for entry in entries]
    if as_json:
        document = {
            "ok": all(check.ok for check in checks),
            "datasets": [check.to_json() for check in checks],
        }
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        for check in checks:
            click.echo("\n".join(check_lines(check)))
    failed = [check.dataset for check in checks if not check.ok or (strict and check.differs)]
    if failed:
        raise DataError(f"{', '.join(failed)}: not as it should be, see the errors listed")


def show_command(
    target: str, *, out: Path, limit: int, root: str | None, split: str | None, images: str | None
) -> None:
    """Write a contact sheet of every dataset that ``target`` names (several: NAME is added to the file's name)."""
    from evalkit.datasets import load_samples
    from evalkit.datasets.contact_sheet import draw_sheet, spread
    from evalkit.datasets.mask_files import with_masks_read
    from evalkit.storage.files import replaced_file

    entries, directory = datasets_of(target, root=root, split=split, images=images)
    for entry in entries:
        samples = list(load_samples(entry, directory))
        path = out if len(entries) == 1 else out.with_name(f"{out.stem}-{entry.name}{out.suffix}")
        if not path.absolute().parent.is_dir():
            raise ConfigError(f"--out {path}: there is no folder {path.parent}")
        chosen = [with_masks_read(sample) for sample in spread(samples, limit)]
        with replaced_file(path) as written:
            notes = draw_sheet(chosen, written)
        for note in notes:
            click.echo(f"note: {note}", err=True)
        click.echo(f"{path}: {len(chosen)} of {len(samples)} samples of {entry.name}")
