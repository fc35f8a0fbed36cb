"""A published evaluator, run unchanged on predictions of our own making, beside evalkit's protocol of the same name.

    python benchmarks/against_evaluators.py grec PATH/TO/gRefCOCO [--rows 300] [--seeds 5]

Nothing is fetched: PATH is a checkout at the commit that the protocol names (docs/metrics.md lists both);
``coco-ap`` runs the installed pycocotools and needs none. The predictions are exact and moved truths, misses, false
alarms, masks without a pixel, ties of scores and several instances. Prints each number of both at its largest
difference over the seeds; exit code 1 where one is above 1e-6. What an evaluator itself imports has to be installed
(torch for most; torchvision for grec and refzom, cv2 for converseg, colorama for gseval); libraries of
models are replaced by empty modules.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from evaluators import boxes, instances, masks, reasoners
from evaluators.cases import Line

LARGEST_DIFFERENCE = 1e-6

EVALUATORS: dict[str, Callable[[Path, Path, int, int], list[Line]]] = {
    "lisa": masks.lisa,
    "rela": masks.rela,
    "refzom": masks.refzom,
    "phrasecut": masks.phrasecut,
    "converseg": masks.converseg,
    "gseval": masks.gseval,
    "saco": instances.saco,
    "coco-ap": instances.coco_ap,
    "muse": instances.muse,
    "grec": boxes.grec,
    "ref-l4": boxes.ref_l4,
    "rec": boxes.rec,
    "seg-zero": reasoners.seg_zero,
    "vision-reasoner": reasoners.vision_reasoner,
}
"""What runs each evaluator, in a process of its own: several of them have modules of the same names."""


def main() -> int:
    """Run one evaluator and print both sides."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("evaluator", choices=EVALUATORS)
    parser.add_argument("path", type=Path, nargs="?", default=Path(), help="the folder of its checkout")
    parser.add_argument("--rows", type=int, default=300, help="answers a seed")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    worst: dict[str, Line] = {}
    for seed in range(1, arguments.seeds + 1):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            lines = EVALUATORS[arguments.evaluator](
                arguments.path.resolve(), Path(folder), arguments.rows, seed
            )
        for line in lines:
            if line[0] not in worst or not difference(line) <= difference(worst[line[0]]):
                worst[line[0]] = line
    print(f"{arguments.seeds} x {arguments.rows} answers, each number at its largest difference")
    print(f"{'number':<28}{'evaluator':>16}{'evalkit':>16}{'difference':>14}")
    for name, theirs, own in worst.values():
        print(f"{name:<28}{theirs:>16.10f}{own:>16.10f}{own - theirs:>14.2e}")
    return int(any(not difference(line) <= LARGEST_DIFFERENCE for line in worst.values()))


def difference(line: Line) -> float:
    """Return how far the two numbers of a line are apart, nan where one is missing."""
    return abs(line[2] - line[1])


if __name__ == "__main__":
    sys.exit(main())
