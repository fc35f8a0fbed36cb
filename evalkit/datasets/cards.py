"""Dataset cards: what a dataset is, where its files come from and how they must lie, known counts.

A card is ``datasets/NAME.yaml`` or ``datasets/NAME/NAME.yaml``: of the working directory, of the
checkout, or of the installed package (``evalkit/_datasets``), in this order.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from evalkit.config.section import Section
from evalkit.errors import ConfigError, nearest
from evalkit.metrics.protocols import find_protocol

if TYPE_CHECKING:
    from evalkit.config.schema import RunConfig

NOT_CARDS = ("references",)
"""YAML files of ``datasets/`` that hold something else."""


class SplitCounts(Section):
    """Known numbers of one split; None = not known from a source."""

    images: int | None = None
    refs: int | None = None
    expressions: int | None = None


class PackageFolder(Section):
    """A folder inside an installed package, found without importing it."""

    package: str
    folder: str = "."


class DatasetCard(Section):
    """One dataset card. ``splits`` counts the default partition, ``partitions`` the others.

    ``releases`` counts the whole of each known release, where counts per split are not known.
    """

    name: str
    title: str
    description: str
    licence: str
    source: str = Field(description="where the files come from")
    layout: str = Field(description="how the files must lie below root, or what the file is")
    citation: str
    format: str
    root: str | None = None
    path: str | None = None
    images: str | PackageFolder | None = None
    splits: dict[str, SplitCounts] = Field(default_factory=dict)
    partitions: dict[str, dict[str, SplitCounts]] = Field(default_factory=dict)
    releases: dict[str, SplitCounts] = Field(default_factory=dict)
    counts_source: str | None = None
    default_split: str | None = None
    partition: str | None = None
    protocol: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    directory: str = Field(default=".", exclude=True)

    def known_counts(self, partition: str | None) -> dict[str, SplitCounts]:
        """Return the known counts of a partition's splits (the card's own partition where None)."""
        if partition is None or partition == self.partition:
            return self.splits
        return self.partitions.get(partition, {})

    def images_folder(self) -> str | None:
        """Return the folder of the photographs as an absolute path, None where the layout has them."""
        if self.images is None:
            return None
        if isinstance(self.images, PackageFolder):
            return str(package_folder(self.images.package) / self.images.folder)
        from evalkit.datasets.files import place

        return place(self.directory, self.images)


def package_folder(package: str) -> Path:
    """Return the folder of an installed package without importing it. Raises ``ConfigError``."""
    spec = importlib.util.find_spec(package)
    locations = list(spec.submodule_search_locations or []) if spec else []
    if not locations:
        raise ConfigError(
            f"the Python package '{package}', which holds this dataset's photographs, is not installed: "
            f"install it, or set `images:` to a folder that has them"
        )
    return Path(locations[0])


def card_folders() -> list[Path]:
    """Return the folders that cards are looked for in, without repetition."""
    package = Path(__file__).parents[1]
    candidates = [Path.cwd() / "datasets", package.parent / "datasets", package / "_datasets"]
    return [folder for folder in dict.fromkeys(path.resolve() for path in candidates) if folder.is_dir()]


def card_files() -> dict[str, Path]:
    """Return the YAML file of every card by name; the first folder that has a name wins."""
    files: dict[str, Path] = {}
    for folder in card_folders():
        own = sorted(folder.glob("*.yaml"))
        nested = [path for path in sorted(folder.glob("*/*.yaml")) if path.stem == path.parent.name]
        for path in [*own, *nested]:
            if path.stem not in NOT_CARDS:
                files.setdefault(path.stem, path)
    return files


def find_card(name: str) -> DatasetCard:
    """Return the card called ``name``. Raises ``ConfigError`` listing the known ones and the nearest."""
    files = card_files()
    if name not in files:
        raise ConfigError(f"there is no dataset card '{name}'.{nearest(name, files)}")
    return read_card(files[name])


def read_card(path: Path) -> DatasetCard:
    """Return the card in a YAML file. Raises ``ConfigError`` with every problem, by line."""
    from evalkit.config.yaml import read_yaml, validate

    source = read_yaml(path)
    if isinstance(source.data, dict):
        if source.data.get("name") != path.stem:
            source.add(("name",), f"name must be '{path.stem}', the file's own name")
        source.data = {**source.data, "directory": str(path.parent)}
    return validate(source, DatasetCard)


def card_protocol(name: str) -> str | None:
    """Return the scoring protocol of the card called ``name``, None where there is no such card."""
    return find_card(name).protocol if name in card_files() else None


def all_cards() -> list[DatasetCard]:
    """Return every card, by name."""
    return [read_card(path) for _, path in sorted(card_files().items())]


def protocols_of(config: RunConfig) -> dict[str, str]:
    """Return the protocol of each dataset: its own, else the run's, else its card's, else ``default``.

    The card of an inline dataset is the one named like its format.
    """
    chosen = {
        entry.name: entry.protocol
        or config.score.protocol
        or card_protocol(entry.format or entry.name)
        or "default"
        for entry in config.datasets
    }
    for name in chosen.values():
        find_protocol(name)
    return chosen
