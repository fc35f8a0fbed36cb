"""Is a dataset on disk what it should be? Counts against the known ones, photographs, sizes, masks, repeats."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evalkit.config.schema import DatasetConfig
from evalkit.datasets import load_samples, resolve_dataset
from evalkit.datasets.cards import DatasetCard, SplitCounts, card_files, find_card
from evalkit.datasets.image_sizes import image_sizes, sizes_of_bytes
from evalkit.datasets.notes import collected
from evalkit.errors import ConfigError, DataError
from evalkit.images import image_exists, read_bytes
from evalkit.masks import region_rle, rle_runs
from evalkit.text_table import text_table
from evalkit.types import GroundTruth, ImageRef, Region, Rle, Sample

if TYPE_CHECKING:
    from evalkit.progress import Progress

REFER_FAMILY = ("refcoco", "refcoco+", "refcocog", "refclef", "rrsisd", "grefcoco", "refzom")
"""Formats whose sample ids start with the ref's id, so that refs can be counted."""

WHOLE_SHARE = 0.9
"""A target over this share of its photograph is told: few objects fill one, an inverted mask always does."""

MANY_RUNS = 200

EXAMPLES = 3
"""How many places a finding names."""

Level = Literal["error", "warning", "note"]


@dataclass
class DatasetFinding:
    """One kind of thing that is wrong or worth knowing: how often, and where first."""

    level: Level
    kind: str
    text: str
    count: int = 1
    examples: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return the finding as one line of text."""
        shown = f" First: {'; '.join(self.examples)}" if self.examples else ""
        return f"{self.level}: {self.text}{shown}"


@dataclass
class DatasetCheck:
    """What was found in one dataset; ``splits`` has counts of images, refs and expressions, and the known ones."""

    dataset: str
    format: str
    location: str
    splits: list[dict[str, Any]] = field(default_factory=list)
    images: dict[str, int] = field(default_factory=dict)
    findings: list[DatasetFinding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True where no finding is an error."""
        return all(finding.level != "error" for finding in self.findings)

    @property
    def differs(self) -> bool:
        """True where a count is not the published one: a part of a dataset, another release or half a download."""
        return any(finding.kind == "counts" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "dataset": self.dataset,
            "format": self.format,
            "location": self.location,
            "ok": self.ok,
            "differs": self.differs,
            "splits": [{**row, "differs": sorted(_differing(row))} for row in self.splits],
            "images": self.images,
            "findings": [vars(finding) for finding in self.findings],
        }


def check_dataset(dataset: DatasetConfig, directory: Path, progress: Progress) -> DatasetCheck:
    """Read a whole dataset and compare it with its card and its photographs.

    Every split is read where the entry names none. A file that cannot be read is a finding, not an
    exception; an entry that names nothing that exists raises ``ConfigError``.
    """
    entry = dataset if dataset.split else dataset.model_copy(update={"split": "all"})
    resolved = resolve_dataset(entry, directory)
    check = DatasetCheck(dataset.name, str(resolved.format), str(resolved.path or resolved.root))
    try:
        with collected() as notes:
            samples = list(load_samples(entry, directory))
    except (DataError, ConfigError) as error:
        check.findings.append(DatasetFinding("error", "unreadable", str(error)))
        return check
    card = _card_for(dataset, resolved)
    check.splits = count_splits(samples, resolved, card)
    check.findings += count_findings(check.splits, card, resolved)
    check.findings += [DatasetFinding("note", "reading", text, count) for text, count in notes.items()]
    check.findings += text_findings(samples)
    pixel = PixelFindings()
    pixel.look_at(samples, dataset.name, progress)
    check.images, found = pixel.result()
    check.findings += found
    return check


def _card_for(dataset: DatasetConfig, resolved: DatasetConfig) -> DatasetCard | None:
    known = card_files()
    name = dataset.name if dataset.format is None else str(resolved.format)
    return find_card(name) if name in known else None


def count_splits(
    samples: Sequence[Sample], resolved: DatasetConfig, card: DatasetCard | None
) -> list[dict[str, Any]]:
    """Return per split the images, refs (None outside the refer family) and expressions, with the known counts."""
    grouped: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        grouped[sample.split].append(sample)
    known = card.known_counts(resolved.partition) if card else {}
    asked = [*grouped, *(name for name in known if name not in grouped and resolved.split in ("all", None))]
    return [
        {"split": name, **_counts(grouped.get(name, []), resolved), "known": _known(known.get(name))}
        for name in asked
    ]


def _counts(samples: Sequence[Sample], resolved: DatasetConfig) -> dict[str, int | None]:
    refs = {sample.sample_id.partition(":")[0] for sample in samples}
    return {
        "images": len({sample.image_id for sample in samples}),
        "refs": len(refs) if resolved.format in REFER_FAMILY else None,
        "expressions": len(samples),
    }


def _known(counts: SplitCounts | None) -> dict[str, int]:
    return {} if counts is None else counts.model_dump(exclude_none=True)


def count_findings(
    splits: list[dict[str, Any]], card: DatasetCard | None, resolved: DatasetConfig
) -> list[DatasetFinding]:
    """Return a warning for every count that differs from the known one, and what that usually means.

    No error by itself: whoever works with a part of a dataset knows, and nothing of it is broken.
    """
    findings = [_split_finding(row) for row in splits if _differing(row)]
    if card and card.releases and resolved.split == "all":
        findings.append(_release_finding(splits, card))
    return findings


def _differing(row: dict[str, Any]) -> dict[str, int]:
    """Return the known counts of a split that the counted ones differ from."""
    return {what: known for what, known in row["known"].items() if row[what] not in (None, known)}


def _split_finding(row: dict[str, Any]) -> DatasetFinding:
    differing = _differing(row)
    if row["expressions"] == 0:
        known = ", ".join(f"{value:,} {what}" for what, value in differing.items())
        return DatasetFinding(
            "warning",
            "counts",
            f"split {row['split']} differs: it is missing ({known}); get it, or give --split.",
        )
    shown = ", ".join(f"{row[what]:,} {what} where {value:,} are known" for what, value in differing.items())
    few = all(row[what] < value for what, value in differing.items())
    meaning = "a part, half a download or another release" if few else "another release"
    return DatasetFinding("warning", "counts", f"split {row['split']} differs: {shown}; {meaning}.")


def _release_finding(splits: list[dict[str, Any]], card: DatasetCard) -> DatasetFinding:
    total = sum(row["expressions"] for row in splits)
    for name, counts in card.releases.items():
        if counts.expressions == total:
            return DatasetFinding("note", "release", f"this is the release '{name}' ({total:,} expressions).")
    known = "; ".join(
        f"{name}: {counts.expressions:,}" for name, counts in card.releases.items() if counts.expressions
    )
    return DatasetFinding(
        "warning",
        "counts",
        f"the whole differs: all splits together have {total:,} expressions, which is no known release ({known}).",
    )


def text_findings(samples: Sequence[Sample]) -> list[DatasetFinding]:
    """Return findings about empty expressions (an error) and repeated ones (papers count them: a note)."""
    findings = []
    empty = [sample.sample_id for sample in samples if not sample.expression.strip()]
    if empty:
        text = f"{len(empty):,} expressions are empty: a model would be asked nothing."
        findings.append(DatasetFinding("error", "empty_expression", text, len(empty), empty[:EXAMPLES]))
    seen: set[tuple[str, str, str]] = set()
    repeated = []
    for sample in samples:
        key = sample.split, sample.image_id, sample.expression.strip().lower()
        if key in seen:
            repeated.append(f"{sample.sample_id} '{sample.expression}'")
        seen.add(key)
    if repeated:
        text = f"{len(repeated):,} expressions repeat another one of the same image; evaluators count each."
        findings.append(
            DatasetFinding("note", "repeated_expression", text, len(repeated), repeated[:EXAMPLES])
        )
    return findings


class PixelFindings:
    """Looks at every photograph (once) and every mask (once), and collects what is wrong by kind."""

    TEXTS: dict[str, str] = {  # noqa: RUF012  (a constant table)
        "image_missing": "{n:,} of {total:,} photographs are missing: check `root:` or `images:`.",
        "image_unreadable": "{n:,} photographs cannot be read.",
        "image_changed": "{n:,} photographs are not those that were annotated (SHA-256 differs).",
        "image_size": "{n:,} photographs have another size than their masks.",
        "mask_empty": "{n:,} target masks have no pixel although the sample has a target.",
        "mask_unreadable": "{n:,} masks cannot be read.",
        "mask_whole": "{n:,} masks cover over 90 % of their photograph: inverted, or the wrong channel?",
        "mask_speckled": "{n:,} masks are speckled (runs of under two pixels): noise read as the object?",
    }
    DOUBTS = ("mask_whole", "mask_speckled")
    """Kinds that can be right: warnings, not errors."""

    def __init__(self) -> None:
        self.places: dict[str, list[str]] = defaultdict(list)
        self.seen_images: dict[str, int] = {"referenced": 0, "present": 0}
        self.seen_regions: dict[int, Region] = {}

    def look_at(self, samples: Iterable[Sample], name: str, progress: Progress) -> None:
        """Examine all samples, photograph by photograph."""
        by_image: dict[tuple[str, int], list[Sample]] = defaultdict(list)
        for sample in samples:
            by_image[sample.image.path, id(sample.image.inline)].append(sample)
        progress.expect(name, len(by_image))
        for group in by_image.values():
            before = sum(map(len, self.places.values()))
            self._look_at_image(group)
            for sample in group:
                if sample.truth.fault is not None:
                    self.places["mask_unreadable"].append(f"sample {sample.sample_id}: {sample.truth.fault}")
                    continue
                if not sample.truth.size_known:
                    continue
                for truth in (sample.truth, *sample.truth.alternatives):
                    self._look_at_masks(truth, sample.sample_id)
            progress.add(name, "faults" if sum(map(len, self.places.values())) > before else None)

    def result(self) -> tuple[dict[str, int], list[DatasetFinding]]:
        """Return counts of photographs, and a finding per kind of fault."""
        total = self.seen_images["referenced"]
        findings = [
            DatasetFinding(
                "warning" if kind in self.DOUBTS else "error",
                kind,
                self.TEXTS[kind].format(n=len(at), total=total),
                len(at),
                at[:EXAMPLES],
            )
            for kind, at in self.places.items()
        ]
        return self.seen_images, findings

    def _look_at_image(self, group: list[Sample]) -> None:
        image = group[0].image
        self.seen_images["referenced"] += 1
        if not image_exists(image):
            self.places["image_missing"].append(image.path)
            return
        self.seen_images["present"] += 1
        try:
            sizes = _sizes(image)
        except DataError as error:
            self.places["image_unreadable"].append(str(error))
            return
        if image.sha256 is not None and hashlib.sha256(read_bytes(image)).hexdigest() != image.sha256:
            self.places["image_changed"].append(image.path)
        for sample in group:
            if not sample.truth.size_known and sample.truth.fault is not None:
                continue
            truth_size = sample.truth.width_px, sample.truth.height_px
            if truth_size not in sizes:
                self.places["image_size"].append(
                    f"{image.path} is {sizes[0][0]}x{sizes[0][1]}, the mask of {sample.sample_id} "
                    f"{truth_size[0]}x{truth_size[1]}"
                )
                return

    def _look_at_masks(self, truth: GroundTruth, sample_id: str) -> None:
        for region in truth.instances:
            if id(region) in self.seen_regions:
                continue
            self.seen_regions[id(region)] = region
            try:
                doubt = mask_doubt(region_rle(region, truth.height_px, truth.width_px))
                if doubt:
                    self.places[doubt].append(f"sample {sample_id}")
            except DataError as error:
                self.places["mask_unreadable"].append(f"sample {sample_id}: {error}")


def _sizes(image: ImageRef) -> tuple[tuple[int, int], tuple[int, int]]:
    return image_sizes(image.path) if image.inline is None else sizes_of_bytes(image.inline, image.path)


def mask_doubt(rle: Rle) -> str | None:
    """Return the kind of what looks wrong about one target mask, None where nothing does.

    ``mask_whole``: over 90 % of the image; ``mask_speckled``: its vertical runs are under two pixels long on average
    and there are many, as in noise or in a dithered picture.
    """
    runs = rle_runs(rle)[1::2]
    foreground_px = int(runs.sum())
    if foreground_px == 0:
        return "mask_empty"
    if foreground_px > WHOLE_SHARE * rle.height_px * rle.width_px:
        return "mask_whole"
    return "mask_speckled" if runs.size > MANY_RUNS and foreground_px < 2 * runs.size else None


def check_lines(check: DatasetCheck) -> Iterator[str]:
    """Yield the check as text: a table of splits, the photographs, the findings, the verdict."""
    yield f"{check.dataset} ({check.format}) at {check.location}"
    if check.splits:
        header = ("split", "images", "refs", "expressions", "known")
        yield from text_table(header, [_split_cells(row) for row in check.splits], "<>>><", indent="  ")
    if check.images:
        yield f"  photographs: {check.images['present']:,} of {check.images['referenced']:,} are there"
    for finding in check.findings:
        yield f"  {finding.line()}"
    errors = sum(finding.level == "error" for finding in check.findings)
    counts = ", but the counts differ from the published ones (--strict takes that for an error)"
    ok = f"ok{counts if check.differs else ''}"
    yield f"  {ok if check.ok else f'{errors} error' + 's' * (errors > 1)}"


def _split_cells(row: Mapping[str, Any]) -> list[str]:
    known = ", ".join(f"{value:,} {what}" for what, value in row["known"].items()) or "no published counts"
    refs = "-" if row["refs"] is None else f"{row['refs']:,}"
    return [row["split"], f"{row['images']:,}", refs, f"{row['expressions']:,}", known]
