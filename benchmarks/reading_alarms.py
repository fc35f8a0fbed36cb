"""How often the diagnosis `reading` raises a false alarm, and how often it finds a wrong convention.

    python benchmarks/reading_alarms.py [--repetitions 600] [--images 8 12 20 40] [--json]

Every repetition is a run of N images with one answer each: boxes are drawn around (or away from) random
objects, written down in a convention, decoded as Gemini's (y first, 0..1000), and diagnosed. Models that write
what was asked, well or badly, must raise no alarm; models that write another convention must be found. The
simulator's personas answer in their own formats, failures included.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from evalkit.decoding import decode_answer
from evalkit.masks import rle_encode
from evalkit.metrics.counts import count_row
from evalkit.metrics.reading import CONVENTIONS, Diagnosis, stack_numbers, stated_numbers
from evalkit.metrics.truth import Truth
from evalkit.simulator.personas import PERSONAS, answer
from evalkit.types import AskedFormat, GroundTruth, ImageRef, Rle, Sample

SIZES_PX = ((640, 480), (480, 640), (640, 427), (500, 375), (640, 640), (1024, 768))
"""Width and height of the photographs, in turn; COCO's and a square one among them."""
ASKED = AskedFormat(task="box", keys=("box_2d",))
EMPTY = Rle(1, 1, b"1")
POOL = 400
"""Persona answers that are made once; a repetition draws its images from them."""

Box = tuple[float, float, float, float]
Model = Callable[[Box, np.random.Generator], Box]


def an_object(rng: np.random.Generator, largest: float) -> Box:
    """Return a box x0, y0, x1, y1 in fractions of the image; sides from 0.05 to ``largest``, evenly in the logarithm."""
    width, height = np.exp(rng.uniform(np.log(0.05), np.log(largest), 2))
    x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return x, y, x + width, y + height


def blurred(error: float, misplaced: float = 0.0) -> Model:
    """Return a model whose edges err by ``error`` of the object's sides and which looks elsewhere at times."""

    def draw(box: Box, rng: np.random.Generator) -> Box:
        if rng.random() < misplaced:
            box = an_object(rng, 0.7)
        x0, y0, x1, y1 = box
        dx, dy = error * (x1 - x0), error * (y1 - y0)
        moved = np.clip(np.array(box) + rng.normal(0, (dx, dy, dx, dy)), 0, 1)
        left, right = sorted((moved[0], moved[2]))
        top, bottom = sorted((moved[1], moved[3]))
        return float(left), float(top), float(max(right, left + 0.004)), float(max(bottom, top + 0.004))

    return draw


def part_of(left: float, top: float, right: float, bottom: float) -> Model:
    """Return a model that marks one and the same part of every object, such as its head."""

    def draw(box: Box, rng: np.random.Generator) -> Box:
        x0, y0, x1, y1 = blurred(0.02)(box, rng)
        w, h = x1 - x0, y1 - y0
        return x0 + left * w, y0 + top * h, x0 + right * w, y0 + bottom * h

    return draw


HONEST: dict[str, Model] = {
    "exact boxes": lambda box, _: box,
    "good boxes (edges off by 5 %)": blurred(0.05),
    "fair boxes (15 %, 10 % misplaced)": blurred(0.15, 0.1),
    "poor boxes (40 %, 30 % misplaced)": blurred(0.4, 0.3),
    "mostly misplaced (80 %)": blurred(0.15, 0.8),
    "random boxes": lambda _, rng: an_object(rng, 0.9),
    "random small boxes": lambda _, rng: an_object(rng, 0.15),
    "the whole image": lambda *_: (0.0, 0.0, 1.0, 1.0),
    "one and the same box": lambda *_: (0.1, 0.2, 0.35, 0.5),
    "middle of the image": lambda *_: (0.25, 0.25, 0.75, 0.75),
    "the head only (upper third)": part_of(0.3, 0.0, 0.7, 0.33),
    "upper left quarter": part_of(0.0, 0.0, 0.5, 0.5),
    "upper left corner (an eighth)": part_of(0.0, 0.0, 0.125, 0.125),
    "lower right quarter": part_of(0.5, 0.5, 1.0, 1.0),
    "far too large": part_of(-1.0, -1.0, 2.0, 2.0),
}
"""Models that write what was asked: none may raise an alarm."""

SKILLS: dict[str, Model] = {
    "good": blurred(0.05),
    "fair": blurred(0.15, 0.1),
    "poor": blurred(0.4, 0.3),
}
"""How well the boxes lie that are written in another convention."""


def written(box: Box, order: str, unit: str, size_px: tuple[int, int]) -> list[float]:
    """Return the box as a model writes it: whole numbers, or three decimals of 0..1."""
    spans = {"norm1000": (1000, 1000), "norm1": (1, 1), "pixel": size_px}[unit]
    x0, y0, x1, y1 = (v * spans[n % 2] for n, v in enumerate(box))
    values = {
        "yxyx": (y0, x0, y1, x1),
        "xyxy": (x0, y0, x1, y1),
        "xywh": (x0, y0, x1 - x0, y1 - y0),
        "cxcywh": ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0),
    }[order]
    return [round(v, 3) if unit == "norm1" else round(v) for v in values]


@dataclass(frozen=True)
class Answered:
    """What the diagnosis sees of one answer: its numbers (None: no box) and the box IoU as read."""

    numbers: list[float] | None
    box_iou: float


def decoded(text: str | None, truth: GroundTruth, asked: AskedFormat = ASKED) -> Answered:
    """Decode one answer as asked and return what the diagnosis sees."""
    verdict = decode_answer(text, height_px=truth.height_px, width_px=truth.width_px, asked=asked)
    arrays = Truth(truth)
    counts = count_row(verdict, arrays, boundary=False) if asked is not ASKED else {}
    read = counts.get("box_iou") if counts else _box_iou(verdict, truth)
    return Answered(stated_numbers(verdict, arrays, (truth.width_px, truth.height_px)), float(read or 0.0))


def _box_iou(verdict: object, truth: GroundTruth) -> float:
    from evalkit.metrics.counts import box_iou, returned_box

    box = returned_box(verdict)  # type: ignore[arg-type]
    return 0.0 if box is None or truth.box_px_xyxy is None else box_iou(box, truth.box_px_xyxy)


def answers(
    model: Model, convention: tuple[str, str], n: int, rng: np.random.Generator, largest: float
) -> Iterator[Answered]:
    """Yield one answer for each of ``n`` images."""
    for number in range(n):
        size_px = SIZES_PX[number % len(SIZES_PX)]
        box = an_object(rng, largest)
        px = tuple(v * s for v, s in zip(box, size_px * 2, strict=True))
        truth = GroundTruth(size_px[1], size_px[0], (EMPTY,), box_px_xyxy=px)  # type: ignore[arg-type]
        stated = written(model(box, rng), *convention, size_px)
        yield decoded(json.dumps([{"box_2d": stated}]), truth)


def diagnose(answered: list[Answered]) -> dict[str, object]:
    """Return the reading of a run with one answer per image."""
    kept = [n for n, one in enumerate(answered) if one.numbers is not None]
    lists = [answered[n].numbers or [] for n in kept]
    stated = stack_numbers(
        np.array([v for numbers in lists for v in numbers]),
        np.array([len(numbers) for numbers in lists], dtype=np.intp),
        np.array(kept, dtype=np.intp),
    )
    read = np.array([one.box_iou for one in answered])
    return Diagnosis(stated, read, np.arange(len(answered)).astype(str)).reading()


def persona_pool(name: str, rng: np.random.Generator) -> list[Answered]:
    """Return the answers of one persona about ``POOL`` drawn objects."""
    asked = (
        AskedFormat(wire_format=None)
        if name != "boxes"
        else AskedFormat(task="box", keys=("box_2d",), wire_format=None)
    )
    found = []
    for number in range(POOL):
        width, height = SIZES_PX[number % len(SIZES_PX)]
        x0, y0, x1, y1 = (round(v * s) for v, s in zip(an_object(rng, 0.7), (width, height) * 2, strict=True))
        rows, columns = np.ogrid[:height, :width]
        mask = ((2 * columns - x0 - x1 + 1) / max(x1 - x0, 1)) ** 2 + (
            (2 * rows - y0 - y1 + 1) / max(y1 - y0, 1)
        ) ** 2 <= 1
        truth = GroundTruth(height, width, (rle_encode(mask),))
        sample = Sample("drawn", "all", str(number), str(number), ImageRef("none"), "it", truth)
        found.append(decoded(answer(PERSONAS[name], sample, number, rng).text, truth, asked))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=600)
    parser.add_argument("--images", type=int, nargs="+", default=[8, 12, 20, 40])
    parser.add_argument(
        "--largest", type=float, default=0.7, help="longest side of an object, of the image's"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    print(
        f"share of {args.repetitions} runs called suspect, by number of images; sides of objects 0.05 to {args.largest}"
    )
    print(f"{'':<44}" + "".join(f"{n:>9}" for n in args.images))
    print("false alarms: the convention that was asked")
    for name, model in HONEST.items():
        _line(name, lambda n, model=model: answers(model, CONVENTIONS[0], n, rng, args.largest), args)
    for name in PERSONAS:
        pool = persona_pool(name, rng)
        _line(
            f"persona {name}",
            lambda n, pool=pool: (pool[i] for i in rng.choice(POOL, n, replace=False)),
            args,
        )
    for skill, model in SKILLS.items():
        print(f"detections: {skill} boxes in another convention")
        for convention in CONVENTIONS[1:]:
            _line(
                " ".join(convention),
                lambda n, model=model, convention=convention: answers(
                    model, convention, n, rng, args.largest
                ),
                args,
                named=" ".join(convention),
            )


def _line(
    name: str, run: Callable[[int], Iterator[Answered]], args: argparse.Namespace, named: str | None = None
) -> None:
    shares, right = [], []
    for n in args.images:
        readings = [diagnose(list(run(n))) for _ in range(args.repetitions)]
        alarms = [reading for reading in readings if reading["suspect"]]
        shares.append(len(alarms) / len(readings))
        right.append(sum(reading["best"] == named for reading in alarms) / max(1, len(alarms)))
    cells = "".join(f"{share:>9.4f}" for share in shares)
    print(
        f"  {name:<42}{cells}" + ("" if named is None else f"   named rightly {min(right):.3f}"), flush=True
    )


if __name__ == "__main__":
    main()
