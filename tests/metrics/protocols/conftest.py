"""Known answers of the authors' own evaluators, and answers made from run lengths."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from support.protocol_fixtures import values_of
from support.shared_data import need_shared

from evalkit.masks import crop_of, rle_decode, rle_encode
from evalkit.metrics.counts import count_row
from evalkit.metrics.protocols import PROTOCOLS
from evalkit.metrics.truth import Truth
from evalkit.types import Decoded, GroundTruth, ImageRef, Item, Rle, Sample


@pytest.fixture(scope="session")
def shared_data():
    """Return the folder of material that is not part of the repository."""
    return need_shared("known-answers").parent


def rle_of(coded):
    """Return the Rle of a COCO dict."""
    return Rle(coded["size"][0], coded["size"][1], coded["counts"].encode("ascii"))


def decoded_masks(masks, scores=None):
    """Return the verdict on an answer that marked these full-image masks (none = a refusal)."""
    if not masks:
        return Decoded("no_target", None, strict=True)
    crops = [crop_of(np.asarray(mask, dtype=bool)) for mask in masks]
    scores = scores or [None] * len(crops)
    items = tuple(Item(None, None, "rle", mask=crop, score=s) for crop, s in zip(crops, scores, strict=True))
    return Decoded("decoded", None, strict=True, items=items, mask=crop_of(np.any(masks, axis=0)))


def truth_of(masks, height_px=None, width_px=None, **extra):
    """Return a ground truth of these full-image instance masks."""
    if masks:
        height_px, width_px = np.asarray(masks[0]).shape
    rles = tuple(rle_encode(np.asarray(mask, dtype=bool)) for mask in masks)
    return GroundTruth(height_px, width_px, rles, **extra)


def score_rows(protocol, pairs):
    """Return the frame of scored rows of (Decoded, GroundTruth) pairs, as the score loop makes it."""
    rows = []
    for number, (decoded, ground_truth) in enumerate(pairs):
        truth = Truth(ground_truth)
        sample = Sample("d", "val", str(number), str(number), ImageRef("none.jpg"), "thing", ground_truth)
        counts = protocol.count(decoded, sample, truth)
        rows.append(
            count_row(decoded, truth)
            | {
                "outcome": decoded.outcome,
                "no_target": ground_truth.no_target,
                "protocol_counts": None if counts is None else json.dumps(counts),
            }
        )
    return pd.DataFrame(rows)


def protocol_numbers(name, pairs):
    """Return the numbers of a protocol on pairs."""
    return values_of(name, score_rows(PROTOCOLS[name], pairs))


@pytest.fixture(scope="session")
def made():
    """Return the builders of this folder's tests."""
    return SimpleNamespace(
        rle=rle_of, decoded=decoded_masks, truth=truth_of, rows=score_rows, numbers=protocol_numbers
    )


@pytest.fixture(scope="session")
def gref_pairs(shared_data):
    """Return the 46 (Decoded, GroundTruth) pairs of the gRefCOCO known answers."""
    rows = json.loads((shared_data / "known-answers/gref_predictions.json").read_text())
    pairs = []
    for row in rows:
        prediction, target = rle_of(row["pred"]), rle_of(row["gt"])
        mask = rle_decode(prediction)
        decoded = decoded_masks([] if row["pred_no_target"] else [mask])
        instances = () if row["gt_no_target"] else (target,)
        pairs.append((decoded, GroundTruth(target.height_px, target.width_px, instances)))
    return pairs


@pytest.fixture(scope="session")
def gref_expected(shared_data):
    """Return what the evaluators gave on those pairs."""
    return json.loads((shared_data / "known-answers/gref_expected.json").read_text())
