"""Truths as run lengths: what is kept of a sample in memory is what is stored of it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from evalkit.datasets.mask_files import UNDRAWN, with_truth_drawn
from evalkit.errors import DataError
from evalkit.masks import truth_mask
from evalkit.storage.samples_table import truth_to_json
from evalkit.types import GroundTruth, ImageRef, MaskFile, Polygons, Rle, Sample

LEFT = (2.0, 2.0, 12.0, 2.0, 12.0, 9.5, 2.0, 9.5)
RIGHT = (8.0, 4.0, 20.0, 4.0, 20.0, 15.0)


def sample(truth: GroundTruth) -> Sample:
    return Sample("d", "all", "s", "i", ImageRef("i.jpg"), "thing", truth)


@pytest.fixture
def mask_file(tmp_path):
    picture = np.zeros((16, 24), np.uint8)
    picture[3:9, 5:20] = 255
    Image.fromarray(picture).save(tmp_path / "mask.png")
    return MaskFile(str(tmp_path / "mask.png"), "nonzero")


def test_what_is_stored_is_the_same_drawn_early_or_late(mask_file):
    """Every part of a truth: instances, doubled rings, ignored pixels, other annotators, box and size."""
    other = GroundTruth(16, 24, (Polygons((RIGHT,)), mask_file))
    truths = [
        GroundTruth(16, 24, (Polygons((LEFT, RIGHT)), mask_file), mask_file, (1.0, 2.0, 3.0, 4.0), (other,)),
        GroundTruth(16, 24, (Polygons((LEFT,)), Polygons((RIGHT,))), exhaustive=False),
        GroundTruth(16, 24),
        GroundTruth(0, 0, (UNDRAWN,)),
        GroundTruth(0, 0, (UNDRAWN,), fault="the mask is gone"),
    ]
    for truth in truths:
        drawn = with_truth_drawn(sample(truth)).truth
        assert truth_to_json(drawn) == truth_to_json(truth)
        assert truth.fault or all(isinstance(region, Rle) for region in drawn.instances)
        assert np.array_equal(truth_mask(drawn), truth_mask(truth))
        assert with_truth_drawn(sample(drawn)).truth == drawn


def test_a_truth_that_cannot_be_drawn_names_its_sample():
    """A ring far outside its image is no annotation."""
    far = Polygons(((0.0, 0.0, 1e7, 0.0, 1e7, 9.0),))
    with pytest.raises(DataError, match="the ground truth of sample 's': a ring reaches to x"):
        with_truth_drawn(sample(GroundTruth(16, 24, (far,))))
