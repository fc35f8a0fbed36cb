"""COCO's average precision against pycocotools itself, on perturbed truths, empties, ties and crowds."""

import contextlib
import io

import numpy as np
import pandas as pd
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from support.protocol_fixtures import values_of

from evalkit.masks import crop_of, rle_encode
from evalkit.metrics.protocol_numbers import protocol_intervals
from evalkit.metrics.protocols import PROTOCOLS
from evalkit.metrics.truth import Truth
from evalkit.types import Decoded, GroundTruth, ImageRef, Item, Sample

SHAPE = (60, 80)


def rectangle(random):
    """Return (mask, xywh) of a random rectangle."""
    x, y = random.integers(0, 60), random.integers(0, 40)
    width, height = random.integers(6, 20), random.integers(6, 20)
    mask = np.zeros(SHAPE, bool)
    mask[y : y + height, x : x + width] = True
    return mask, [int(x), int(y), int(width), int(height)]


def shifted(mask, random):
    """Return the mask moved by up to three pixels, with its box."""
    moved = np.roll(mask, tuple(random.integers(-3, 4, 2)), axis=(0, 1))
    ys, xs = np.nonzero(moved)
    return moved, [int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1]


def made(seed, images=30):
    """Return truths and detections per (image, category): (masks, boxes, crowd or None), (masks, boxes, scores)."""
    random = np.random.default_rng(seed)
    pairs = []
    for image in range(images):
        for category in (1, 2):
            wanted = [rectangle(random) for _ in range(random.integers(1, 4))]
            crowd = rectangle(random) if random.random() < 0.4 else None
            found = [shifted(mask, random) for mask, _ in wanted if random.random() < 0.8]
            found += [rectangle(random) for _ in range(random.integers(0, 3))]
            if crowd is not None and random.random() < 0.7:
                found.append(shifted(crowd[0], random))
            scores = [float(random.choice([0.2, 0.5, 0.5, 0.9])) for _ in found]  # many ties
            pairs.append((image, category, wanted, crowd, found, scores))
    return pairs


def rle(mask):
    coded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": coded["size"], "counts": coded["counts"].decode()}


def official(pairs, kind):
    """Return (AP, AP50, AP75) of pycocotools."""
    images = [{"id": i, "width": SHAPE[1], "height": SHAPE[0]} for i in range(max(p[0] for p in pairs) + 1)]
    annotations, results = [], []
    for image, category, wanted, crowd, found, scores in pairs:
        for (mask, box), is_crowd in [(one, 0) for one in wanted] + ([(crowd, 1)] if crowd else []):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": category,
                    "segmentation": rle(mask),
                    "bbox": box,
                    "area": int(mask.sum()),
                    "iscrowd": is_crowd,
                }
            )
        results += [
            {"image_id": image, "category_id": category, "score": score}
            | ({"segmentation": rle(mask)} if kind == "segm" else {"bbox": box})
            for (mask, box), score in zip(found, scores, strict=True)
        ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}],
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:3]


def rows_of(pairs, protocol, named=True):
    """Return the rows that evalkit scores, one per (image, category)."""
    import json

    rows = []
    for image, category, wanted, crowd, found, scores in pairs:
        ignore = None if crowd is None else rle_encode(crowd[0])
        truth = GroundTruth(*SHAPE, tuple(rle_encode(mask) for mask, _ in wanted), ignore=ignore)
        name = "one" if category == 1 else "two"
        tags = {"category": name} if named else {}
        sample = Sample("d", "v", f"{image}:{category}", str(image), ImageRef("x"), name, truth, tags)
        items = tuple(
            Item(None, (x, y, x + w, y + h), "rle", mask=crop_of(mask), score=score)
            for (mask, (x, y, w, h)), score in zip(found, scores, strict=True)
        )
        decoded = Decoded("decoded" if items else "no_target", None, strict=True, items=items)
        counts = protocol.count(decoded, sample, Truth(truth))
        rows.append(
            {
                "outcome": decoded.outcome,
                "image_id": str(image),
                "no_target": False,
                "protocol_counts": json.dumps(counts),
            }
        )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("name", "kind"), [("coco-ap", "segm"), ("coco-ap-box", "bbox")])
def test_ap_is_pycocotools(seed, name, kind):
    """AP, AP50 and AP75 to 1e-9, crowds, ties and empties included."""
    pairs = made(seed)
    found = values_of(name, rows_of(pairs, PROTOCOLS[name]))
    assert [found[key] for key in ("ap", "ap_0.5", "ap_0.75")] == pytest.approx(
        official(pairs, kind), abs=1e-9
    )


def test_without_categories_all_rows_are_one():
    """The pooled AP is another number than the mean over categories."""
    pairs = made(1)
    pooled = [(2 * image + category - 1, 1, *rest) for image, category, *rest in pairs]
    found = values_of("coco-ap", rows_of(pairs, PROTOCOLS["coco-ap"], named=False))
    assert found["ap"] == pytest.approx(official(pooled, "segm")[0], abs=1e-9)


def test_ap_has_an_interval_over_images():
    """Images are drawn with all their rows; the interval holds the number and is no point."""
    rows = rows_of(made(1), PROTOCOLS["coco-ap"])
    found = protocol_intervals(rows, PROTOCOLS["coco-ap"], seed=1)["ap"]
    assert found.low < found.value < found.high


def test_rows_without_detections_have_no_precision():
    """Objects and silence: AP 0."""
    pairs = [(image, 1, wanted, None, [], []) for image, _, wanted, *_ in made(1)[:6]]
    assert values_of("coco-ap", rows_of(pairs, PROTOCOLS["coco-ap"]))["ap"] == 0.0
