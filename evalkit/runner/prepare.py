"""Everything of a run that can fail for the user's reasons, before anything is sent or written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.datasets.notes import note
from evalkit.errors import ConfigError, DataError
from evalkit.images import archive_hint, image_exists
from evalkit.storage.run_folder import open_for_run
from evalkit.types import Sample

if TYPE_CHECKING:
    from evalkit.config.models import ModelEntry
    from evalkit.config.schema import DatasetConfig, RunConfig

REPORTS = Path("reports")

MOST_FAULTY = 0.5
"""Share of a dataset's truths that may be unreadable; each is a data error, which ``limits.max_data_errors`` counts."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A run that is ready to be asked: nothing of it was sent or written yet."""

    config: RunConfig
    model_configs: tuple[ModelEntry, ...]
    samples: tuple[Sample, ...]
    out: Path
    resumes: bool
    limit: int | None


def prepare(
    config: RunConfig,
    *,
    out: Path | None = None,
    limit: int | None = None,
    models: list[str] | None = None,
    dry: bool = False,
) -> RunPlan:
    """Load and check everything that a run needs. Raises ``ConfigError`` or ``DataError``; writes nothing.

    ``dry``: a missing key or missing credentials are told with the plan, as nothing is going to be asked.
    """
    from evalkit.config.schema import pick_models
    from evalkit.datasets.cards import protocols_of
    from evalkit.decoding.token_codebook import check_codebook
    from evalkit.metrics.protocol_numbers import check_numbers
    from evalkit.models import check_access, check_models, find_provider

    chosen = pick_models(config, models)
    check_numbers((rule.metric for rule in config.gate), protocols_of(config).values())
    check_codebook(config.decode.token_codebook)
    config.check_own_parts()
    check_models(chosen, config)
    try:
        check_access(chosen)
    except ConfigError as error:
        if not dry:
            raise
        note(f"the run itself would stop here: {error}")
    folder = out or REPORTS / config.name
    resumes = open_for_run(folder, config)
    samples = load_run_samples(config, limit, drawn=not dry)
    _require_truths(samples)
    _require_images(
        samples, config, all_needed=any(find_provider(model.provider).needs_image for model in chosen)
    )
    return RunPlan(config, tuple(chosen), tuple(samples), folder, resumes, limit)


def look_again(plan: RunPlan) -> RunPlan:
    """Return the plan with what its folder holds now that it is locked.

    Another process may have begun or ended this very run while this one was being prepared.
    """
    return replace(plan, resumes=open_for_run(plan.out, plan.config))


def load_run_samples(config: RunConfig, limit: int | None = None, *, drawn: bool = False) -> list[Sample]:
    """Return the samples of every dataset of a config, selected by its seed; ``limit`` keeps the first of each.

    Their mask pictures are read, so that one that cannot be is known before its question is paid for. ``drawn``: the
    truths are run lengths, each made as its sample is read, so that polygons are never in memory all at once.
    """
    from evalkit.datasets import load_samples
    from evalkit.datasets.files import collector_paused
    from evalkit.datasets.mask_files import with_masks_read, with_truth_drawn

    directory = Path(config.directory)
    samples: list[Sample] = []
    for entry in config.datasets:
        before = len(samples)
        with collector_paused():
            chosen = _chosen(load_samples(entry, directory), entry, config.seed)
            # With a limit too the dataset is read to its end: what is wrong further down is told.
            wanted = chosen if limit is None else list(chosen)[:limit]
            read = map(with_masks_read, wanted)
            samples += map(with_truth_drawn, read) if drawn else read
        if len(samples) == before:
            where = f" in split '{entry.split}'" if entry.split else ""
            raise DataError(f"dataset '{entry.name}' has no samples{where}: nothing to ask")
    return samples


def _chosen(samples: Iterable[Sample], entry: DatasetConfig, seed: int) -> Iterable[Sample]:
    """Return the part of a dataset that its entry asks for, and tell where whole images make it more than asked."""
    from evalkit.datasets import select_whole_images

    if entry.sample is None:
        return samples
    size, unit = entry.sample.size, entry.sample.unit
    chosen = select_whole_images(samples, size, seed, unit)
    images = len({sample.image_id for sample in chosen})
    if unit == "expressions" and len(chosen) > size:
        note(
            f"dataset '{entry.name}': `sample: {{size: {size}}}` takes {len(chosen)} expressions, as images are taken "
            f"whole ({images} of them); `unit: images` counts images instead"
        )
    return chosen


def _require_truths(samples: Sequence[Sample]) -> None:
    """Refuse a dataset most of whose truths cannot be read: it is the setting that is wrong, not single files."""
    for dataset, of_dataset in groupby(samples, key=lambda sample: sample.dataset):
        truths = [sample.truth for sample in of_dataset]
        faults = [truth.fault for truth in truths if truth.fault is not None]
        if len(faults) > MOST_FAULTY * len(truths):
            raise DataError(
                f"dataset '{dataset}': {len(faults)} of {len(truths)} ground truths cannot be read, the first is "
                f"{faults[0]}"
            )


def _require_images(samples: Sequence[Sample], config: RunConfig, *, all_needed: bool) -> None:
    """Refuse a dataset too many of whose photographs are missing; a few become ``data_error`` rows.

    Not ``all_needed``: only those that alone could say the size of their samples.
    """
    for dataset in dict.fromkeys(sample.dataset for sample in samples):
        refs = {s.image.path: s for s in samples if s.dataset == dataset and s.image.inline is None}
        needed = [sample for sample in refs.values() if all_needed or not sample.truth.size_known]
        missing = [sample for sample in needed if not image_exists(sample.image)]
        if missing and len(missing) > config.limits.max_data_errors * len(refs):
            first = missing[0]
            raise DataError(
                f"dataset '{dataset}': {len(missing)} of {len(refs)} images are missing or empty, the first is "
                f"{first.image.path} (sample {first.sample_id}){archive_hint(first.image.path)}. Check `root:` or `images:`"
                f"{'' if all_needed else ', as no annotation says their size'}; up to "
                f"{config.limits.max_data_errors:.0%} (limits.max_data_errors) would be counted as data errors"
            )
