"""Datasets on disk -> samples: one file per layout, looked up in ``LOADERS`` or in a package of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.cards import DatasetCard, card_files, find_card
from evalkit.datasets.files import join, place
from evalkit.datasets.formats.coco import load_coco
from evalkit.datasets.formats.converseg import load_converseg
from evalkit.datasets.formats.csv_table import load_csv
from evalkit.datasets.formats.grefcoco import load_grefcoco
from evalkit.datasets.formats.gseval import load_gseval
from evalkit.datasets.formats.jsonl import load_jsonl
from evalkit.datasets.formats.lvis import load_lvis
from evalkit.datasets.formats.mmr import load_mmr
from evalkit.datasets.formats.muse import load_muse
from evalkit.datasets.formats.parquet import load_parquet
from evalkit.datasets.formats.phrasecut import load_phrasecut
from evalkit.datasets.formats.reasonseg import load_reasonseg
from evalkit.datasets.formats.refclef import load_refclef
from evalkit.datasets.formats.refcoco import load_refcoco, load_refcoco_plus, load_refcocog
from evalkit.datasets.formats.refcocom import load_refcocom
from evalkit.datasets.formats.refzom import load_refzom
from evalkit.datasets.formats.rrsisd import load_rrsisd
from evalkit.datasets.formats.saco import load_saco
from evalkit.datasets.sampling import select_whole_images
from evalkit.errors import ConfigError, DataError, nearest
from evalkit.extensions import Kind
from evalkit.types import MaskFile, Sample

Loader = Callable[[DatasetConfig, Path], Iterator[Sample]]
"""A dataset's entry and the folder its relative paths start from -> its samples, one at a time."""

LOADERS: dict[str, Loader] = {
    "jsonl": load_jsonl,
    "csv": load_csv,
    "coco": load_coco,
    "lvis": load_lvis,
    "refcoco": load_refcoco,
    "refcoco+": load_refcoco_plus,
    "refcocog": load_refcocog,
    "refclef": load_refclef,
    "rrsisd": load_rrsisd,
    "grefcoco": load_grefcoco,
    "reasonseg": load_reasonseg,
    "phrasecut": load_phrasecut,
    "refzom": load_refzom,
    "saco": load_saco,
    "converseg": load_converseg,
    "muse": load_muse,
    "mmr": load_mmr,
    "refcocom": load_refcocom,
    "gseval": load_gseval,
    "parquet": load_parquet,
}
"""Evalkit's own layouts by name."""

LOADER_KIND = Kind[Loader](
    "format", "evalkit.datasets", LOADERS, callable, "a function (entry, folder) -> samples"
)
"""What ``format:`` may name."""


NOT_READ = {
    "finecops-ref": "no source that was read says whether the annotation of a negative sample has a box that is to be "
    "ignored, how its files are named, nor where a negative picture lies",
    "ref-l4": "it has boxes alone, and a sample here has a mask; its evaluator is the protocol ref-l4, which scores "
    "boxes on any dataset",
}
"""Data sets of the field whose layout is not read, and why (docs/how-to/own-dataset.md says more)."""


def find_loader(name: str) -> Loader:
    """Return the loader of a layout. Raises ``ConfigError`` where there is none."""
    if name in NOT_READ and name not in LOADER_KIND.names():
        raise ConfigError(not_read(name))
    return LOADER_KIND.find(name)


def not_read(name: str) -> str:
    """Return why a layout of ``NOT_READ`` is not read, and the way out."""
    return (
        f"the layout '{name}' is not read: {NOT_READ[name]}. Write its samples as `format: jsonl`, or a loader of your "
        "own (docs/how-to/own-dataset.md, 'Data sets that are not read')"
    )


def load_samples(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield the samples of a config's dataset: a card's, or described inline.

    ``directory``: the folder that the entry's relative paths start from (the config file's).
    Raises ``ConfigError`` on an unknown name, format, split or option, ``DataError`` on the files.
    """
    resolved = resolve_dataset(dataset, directory)
    loader = find_loader(resolved.format or "")
    samples = _without_repeats(_in_its_layout(loader(resolved, directory), resolved), resolved.name)
    if resolved.mask_channel is None:
        return samples
    return (_with_channel(sample, str(resolved.mask_channel)) for sample in samples)


def _with_channel(sample: Sample, channel: str) -> Sample:
    """Return the sample with the configured reading of its mask pictures."""
    instances = tuple(
        replace(region, channel=channel) if isinstance(region, MaskFile) else region
        for region in sample.truth.instances
    )
    return replace(sample, truth=replace(sample.truth, instances=instances))


def resolve_dataset(dataset: DatasetConfig, directory: Path) -> DatasetConfig:
    """Return the entry with what its card adds, and every location absolute.

    A card is found by the entry's name where it has no ``format``; what the entry says goes before the
    card. An inline entry with a ``root`` but no ``split`` takes the default split of the card named like
    its format; a ``path`` without one is read whole.
    """
    if dataset.format is not None:
        _require_format(f"dataset '{dataset.name}'", dataset.format)
        card = find_card(dataset.format) if dataset.format in card_files() else None
        default_split = card.default_split if card and dataset.path is None else None
        changes: dict[str, object] = {"split": dataset.split or default_split}
    else:
        card = _card_of(dataset)
        changes = _from_card(dataset, card)
    for key in ("root", "path", "images"):
        location = getattr(dataset, key)
        if location is not None:
            changes[key] = place(directory.absolute(), location)
    if (
        "root" in changes
        and "path" not in changes
        and card is not None
        and dataset.format is None
        and card.path
    ):
        changes["path"] = join(str(changes["root"]), card.path)
    return dataset.model_copy(update=changes)


def _require_format(where: str, name: str) -> None:
    """Raise ``ConfigError`` where there is no such layout."""
    try:
        find_loader(name)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _card_of(dataset: DatasetConfig) -> DatasetCard:
    known = card_files()
    if dataset.name not in known:
        raise ConfigError(
            f"dataset '{dataset.name}' is no card and has no `format:`.{nearest(dataset.name, known)} "
            f"Name a card, or add `format:` (one of {', '.join(sorted(LOADER_KIND.names()))}) and `root:` or `path:`"
        )
    card = find_card(dataset.name)
    _require_format(f"card '{card.name}'", card.format)
    return card


def _from_card(dataset: DatasetConfig, card: DatasetCard) -> dict[str, object]:
    changes: dict[str, object] = {
        "format": card.format,
        "split": dataset.split or card.default_split,
        "partition": dataset.partition or card.partition,
        "options": {**card.options, **dataset.options},
    }
    if dataset.images is None:
        changes["images"] = card.images_folder()
    if dataset.root is None and dataset.path is None:
        if card.root is None and card.path is None:
            raise ConfigError(
                f"dataset '{card.name}' is not shipped: download it ({card.source}) and set `root:` to the "
                f"folder that holds {card.layout}"
            )
        changes["root"] = None if card.root is None else place(card.directory, card.root)
        changes["path"] = None if card.path is None else place(card.directory, card.path)
    return changes


def _in_its_layout(samples: Iterator[Sample], dataset: DatasetConfig) -> Iterator[Sample]:
    """Yield the samples; a record that lacks what its layout wants raises ``DataError`` instead of ``KeyError``."""
    last = "the beginning"
    try:
        for sample in samples:
            yield sample
            last = f"sample '{sample.sample_id}'"
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        lacks = f"has no {error}" if isinstance(error, KeyError) else f"does not fit ({error})"
        raise DataError(
            f"dataset '{dataset.name}' at {dataset.path or dataset.root}: a record after {last} {lacks}: this is not "
            f"the layout of format {dataset.format}, the file is damaged, or of another release"
        ) from error


def _require_whole_characters(sample: Sample, dataset: str) -> None:
    """Raise ``DataError`` on half a character (a lone surrogate), which no file can hold and no API takes."""
    texts = {"id": sample.sample_id, "image id": sample.image_id, "expression": sample.expression}
    texts |= {f"tag '{name}'": f"{name}{value}" for name, value in sample.tags.items()}
    for what, text in texts.items():
        if not text.isascii() and not _is_whole(text):
            shown = sample.sample_id.encode("ascii", "backslashreplace").decode()
            raise DataError(
                f"dataset '{dataset}', sample {shown}: the {what} holds half a character (a lone surrogate such as "
                "\\ud800): the text was cut or written in another encoding. Write it anew as UTF-8"
            )


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _without_repeats(samples: Iterator[Sample], dataset: str) -> Iterator[Sample]:
    seen: set[str] = set()
    for sample in samples:
        _require_whole_characters(sample, dataset)
        if sample.sample_id in seen:
            raise DataError(
                f"dataset '{dataset}': the sample id '{sample.sample_id}' occurs twice, so its answers could "
                "not be told apart: the annotation file is damaged or was put together from two; where splits "
                "share ids, read one `split:` per entry"
            )
        seen.add(sample.sample_id)
        yield sample


__all__ = ["LOADERS", "Loader", "load_samples", "resolve_dataset", "select_whole_images"]
