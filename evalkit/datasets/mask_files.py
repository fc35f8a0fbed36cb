"""Ground truths that are mask pictures in files of their own: one that cannot be read costs its own sample alone."""

from __future__ import annotations

from dataclasses import replace

from evalkit.datasets.files import is_file
from evalkit.datasets.image_sizes import image_sizes
from evalkit.errors import DataError
from evalkit.images import SizePx
from evalkit.masks import region_rle, ring_overlap, rle_encode
from evalkit.types import GroundTruth, MaskFile, Polygons, Region, Sample

UNDRAWN = Polygons(())
"""A target of which no pixel is known: of an image without a size, or of a mask that cannot be read."""


def mask_file_truth(
    location: str,
    where: str,
    *,
    channel: str = "auto",
    box_px_xyxy: tuple[float, float, float, float] | None = None,
) -> GroundTruth:
    """Return the truth that one mask picture holds, of the picture's size; ``where`` (file and record) is told with its fault."""
    try:
        width_px, height_px = mask_file_size(location, where)
    except DataError as error:
        return GroundTruth(0, 0, (UNDRAWN,), fault=str(error))
    return GroundTruth(height_px, width_px, (MaskFile(location, channel),), box_px_xyxy=box_px_xyxy)


def mask_file_size(location: str, where: str) -> SizePx:
    """Return (width, height) of a mask picture. Raises ``DataError`` where it is missing or no picture."""
    if not is_file(location):
        raise DataError(
            f"{where}: the mask {location} does not exist: paths are relative to the annotation file, and a "
            "download may be incomplete"
        )
    try:
        return image_sizes(location)[1]
    except DataError as error:
        raise DataError(f"{where}: the mask: {error}") from error


def with_masks_read(sample: Sample) -> Sample:
    """Return the sample with its mask pictures read, as run lengths; with the fault in its truth where one cannot be."""
    truth = sample.truth
    if truth.fault is not None or not any(isinstance(region, MaskFile) for region in truth.instances):
        return sample
    try:
        instances = tuple(_drawn(region, truth) for region in truth.instances)
    except DataError as error:
        fault = f"the ground truth of sample '{sample.sample_id}': {error}"
        return replace(sample, truth=replace(truth, instances=(UNDRAWN,), fault=fault))
    return replace(sample, truth=replace(truth, instances=instances))


def with_truth_drawn(sample: Sample) -> Sample:
    """Return the sample with its truth as run lengths, as it is stored; polygons take several times the memory.

    Raises ``DataError`` where the truth cannot be drawn.
    """
    if sample.truth.fault is not None:
        return sample
    try:
        return replace(sample, truth=_as_run_lengths(sample.truth))
    except DataError as error:
        raise DataError(f"the ground truth of sample '{sample.sample_id}': {error}") from error


def _as_run_lengths(truth: GroundTruth) -> GroundTruth:
    size_px = (truth.height_px, truth.width_px)
    overlap_hw = ring_overlap(truth) if truth.overlap is None else None
    return replace(
        truth,
        instances=tuple(region_rle(region, *size_px) for region in truth.instances),
        ignore=None if truth.ignore is None else region_rle(truth.ignore, *size_px),
        alternatives=tuple(_as_run_lengths(other) for other in truth.alternatives),
        overlap=truth.overlap if overlap_hw is None else rle_encode(overlap_hw),
    )


def _drawn(region: Region, truth: GroundTruth) -> Region:
    # Polygons stay as they are: what their rings overlap is counted later.
    is_file_of_its_own = isinstance(region, MaskFile)
    return region_rle(region, truth.height_px, truth.width_px) if is_file_of_its_own else region
