"""CPU time of one row's counts and of the summary of a large run; run it with `python benchmarks/count_rows.py`."""

from __future__ import annotations

import json
import time
import timeit

import numpy as np
import pandas as pd

from evalkit.masks import crop_of, rle_encode
from evalkit.metrics.counts import COUNT_COLUMNS, count_row
from evalkit.metrics.protocols import PROTOCOLS
from evalkit.metrics.summary import summarise
from evalkit.metrics.truth import Truth
from evalkit.types import CropMask, Decoded, GroundTruth, ImageRef, Item, Sample

HEIGHT_PX, WIDTH_PX = 480, 640


def disc(x_px: int, y_px: int, radius_px: int) -> np.ndarray:
    """Return a filled disc on a COCO-sized image (bool, 480 x 640)."""
    rows, columns = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    return (rows - y_px) ** 2 + (columns - x_px) ** 2 < radius_px**2


def time_rows() -> None:
    """Print milliseconds per row for a disc of 200 px and for the whole image."""
    ground_truth = GroundTruth(HEIGHT_PX, WIDTH_PX, (rle_encode(disc(300, 200, 100)),))
    truth = Truth(ground_truth)
    sample = Sample("d", "val", "1", "1", ImageRef("none.jpg"), "thing", ground_truth)
    tight = crop_of(disc(310, 210, 100))
    crops = {
        "disc of 200 px": CropMask(
            HEIGHT_PX, WIDTH_PX, tight.x0_px, tight.y0_px, np.ascontiguousarray(tight.crop_hw)
        ),
        "whole image": CropMask(HEIGHT_PX, WIDTH_PX, 0, 0, np.ones((HEIGHT_PX, WIDTH_PX), dtype=bool)),
    }
    for name, crop in crops.items():
        decoded = Decoded(
            "decoded", None, strict=True, items=(Item(None, None, "rle", mask=crop),), mask=crop
        )
        for boundary in (True, False):
            seconds = (
                timeit.timeit(
                    lambda d=decoded, b=boundary: count_row(d, truth, boundary=b),
                    number=500,
                    timer=time.process_time,
                )
                / 500
            )
            print(f"count_row, {name}, boundary {boundary!s:5}: {seconds * 1e3:.3f} ms")
        for protocol in ("saco", "lisa-exact", "refzom-480"):
            count = PROTOCOLS[protocol].count
            seconds = (
                timeit.timeit(
                    lambda d=decoded, c=count: c(d, sample, truth), number=200, timer=time.process_time
                )
                / 200
            )
            print(f"  more under {protocol}: {seconds * 1e3:.3f} ms")
    fresh = (
        timeit.timeit(lambda: count_row(decoded, Truth(ground_truth)), number=100, timer=time.process_time)
        / 100
    )
    print(f"with the truth made anew: {fresh * 1e3:.3f} ms")


def time_summary(per_image: int, n_samples: int = 10_000, n_models: int = 5, n_slices: int = 10) -> None:
    """Print the seconds of a summary with ``per_image`` expressions per image."""
    random = np.random.default_rng(0)
    outcomes = ["decoded", "no_target", "format_failure", "blocked"]
    frames = [
        pd.DataFrame(
            {
                "model": f"m{model}",
                "dataset": "d",
                "image_id": (np.arange(n_samples) // per_image).astype(str),
                "tags": [json.dumps({"kind": str(n % n_slices)}) for n in range(n_samples)],
                "outcome": random.choice(outcomes, n_samples, p=[0.8, 0.1, 0.08, 0.02]),
                "failure": None,
                "strict": random.random(n_samples) < 0.8,
                "wire_formats": [["rle"]] * n_samples,
                "no_target": random.random(n_samples) < 0.1,
                **{column: random.integers(0, 2, n_samples) for column in COUNT_COLUMNS},
                **{
                    column: random.random(n_samples)
                    for column in ("iou", "box_iou", "boundary_iou", "latency_s")
                },
                **dict.fromkeys(("input_tokens", "output_tokens", "thought_tokens", "cost_usd"), 1.0),
            }
        )
        for model in range(n_models)
    ]
    frame = pd.concat(frames, ignore_index=True)
    started, cpu = time.perf_counter(), time.process_time()
    results = summarise(frame, seed=7, protocols={}, slices=None)
    print(
        f"summary of {len(frame):,} rows, {per_image} per image, {len(results)} results: {time.perf_counter() - started:.1f} s "
        f"({time.process_time() - cpu:.1f} s of CPU)"
    )


if __name__ == "__main__":
    time_rows()
    time_summary(per_image=7)
    time_summary(per_image=1)
