"""What decoding costs: microseconds per answer and format, beside bare base64 and PNG.

    python benchmarks/decode_cost.py [--rounds 7] [--json]

One object of a third of a 640 x 480 image, written in every format. ``decode`` is text to verdict,
``count`` adds intersection, union and boxes against a ground truth (boundaries off, as a re-scoring
with ``boundary: false``); ``bare`` is ``base64.b64decode`` and Pillow's PNG decoder, nothing else.
CPU time, the least of several rounds: what lies above it is the noise of the machine.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import platform
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from evalkit.decoding import decode_answer
from evalkit.masks import rle_encode
from evalkit.metrics.counts import count_row
from evalkit.metrics.truth import Truth
from evalkit.scoring.ceiling import encode_contours, encode_png, encode_rle, norm_box
from evalkit.types import AskedFormat, GroundTruth

HEIGHT, WIDTH = 480, 640


def blob() -> np.ndarray:
    """Return an uneven round shape of about a third of the image (bool, H x W)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    turn = np.arctan2(y - 240, x - 320)
    return np.hypot(y - 240, x - 320) < 170 + 25 * np.cos(3 * turn) + 10 * np.sin(11 * turn)


def answers(mask: np.ndarray) -> dict[str, str]:
    """Return the same mask in every format."""
    box = norm_box(mask)
    points = encode_contours(mask, 32)[0]["mask"]
    flat = [v for p in points for v in p]
    masks: dict[str, object] = {
        "png_data_url": encode_png(mask)[0]["mask"],
        "polygon_pairs": points,
        "polygon_flat": flat,
        "polygon_points": [{"x": x, "y": y} for x, y in points],
        "polygon_string": ",".join(map(str, flat)),
        "sub_boxes": [box],
        "rle": encode_rle(mask)[0]["mask"],
        "seg_tokens": "<start_of_mask>" + "<seg_9>" * 16,
        "placeholder": "mask_1",
        "box_only": None,
    }
    listed = {
        name: json.dumps([{"box_2d": box, "mask": value, "label": "it"}]) for name, value in masks.items()
    }
    return listed | {
        "png, fenced": f"```json\n{listed['png_data_url']}\n```",
        "png, cut after it": listed["png_data_url"][:-1] + ', {"box_2d": [1, 2',
        "prose": "I cannot find anything of that kind in this photograph, sorry.",
    }


def least_us(function: Callable[[], object], rounds: int) -> float:
    """Return the least mean time of a call in microseconds of CPU over some rounds of 0.05 s."""
    function()
    calls, best = 1, float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(calls):
            function()
        took = time.process_time() - start
        best = min(best, took / calls)
        calls = max(1, int(0.05 / best))
    return best * 1e6


def bare(text: str) -> Callable[[], object]:
    """Return the least that any decoder of PNG answers must do."""
    encoded = json.loads(text)[0]["mask"].partition(",")[2]
    return lambda: Image.open(io.BytesIO(base64.b64decode(encoded))).load()


def measure(rounds: int) -> list[dict[str, object]]:
    """Return one row per answer: characters, decode, decode and count, in microseconds."""
    mask = blob()
    truth = Truth(GroundTruth(HEIGHT, WIDTH, (rle_encode(mask),)))
    asked = AskedFormat(wire_format=None)
    rows: list[dict[str, object]] = []
    written = answers(mask)
    for name, text in written.items():

        def decode(text: str = text) -> object:
            return decode_answer(text, height_px=HEIGHT, width_px=WIDTH, asked=asked)

        def decode_and_count(text: str = text) -> object:
            decoded = decode_answer(text, height_px=HEIGHT, width_px=WIDTH, asked=asked)
            return count_row(decoded, truth, boundary=False)

        decode_and_count()
        rows.append(
            {
                "answer": name,
                "characters": len(text),
                "decode_us": round(least_us(decode, rounds)),
                "decode_and_count_us": round(least_us(decode_and_count, rounds)),
            }
        )
    floor = round(least_us(bare(written["png_data_url"]), rounds))
    rows.append(
        {"answer": "bare base64 + PNG", "characters": len(written["png_data_url"]), "decode_us": floor}
    )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = measure(arguments.rounds)
    if arguments.json:
        print(json.dumps({"python": platform.python_version(), "machine": platform.machine(), "rows": rows}))
        return
    print(f"{'answer':<20} {'characters':>10} {'decode us':>10} {'+ count us':>11}")
    for row in rows:
        count = row.get("decode_and_count_us", "")
        print(f"{row['answer']:<20} {row['characters']:>10} {row['decode_us']:>10} {count:>11}")


if __name__ == "__main__":
    main()
