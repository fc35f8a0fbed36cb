"""A published evaluator, run unchanged on predictions of our own making, beside evalkit's protocol of the same name.

    python benchmarks/against_evaluators.py gseval           PATH/TO/GroundingSuite
    python benchmarks/against_evaluators.py saco             PATH/TO/sam3
    python benchmarks/against_evaluators.py vision-reasoner  PATH/TO/VisionReasoner
    python benchmarks/against_evaluators.py ref-l4           PATH/TO/Ref-L4      (needs torch)
    python benchmarks/against_evaluators.py grec             PATH/TO/gRefCOCO    (needs torch)

Nothing is fetched: PATH is a checkout at the commit that the protocol names. The predictions are perturbed truths,
misses, all-zero masks, ties of scores and several instances. Prints each number of both and their difference; exit
code 1 where one is above 1e-6. What an evaluator imports (colorama, tqdm, torch) has to be installed for it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from evalkit.masks import crop_of, rle_encode
from evalkit.metrics.counts import count_row
from evalkit.metrics.protocols import PROTOCOLS
from evalkit.metrics.protocols.base import number_of
from evalkit.metrics.truth import Truth, box_of_crop
from evalkit.types import Decoded, GroundTruth, ImageRef, Item, Sample

HEIGHT_PX, WIDTH_PX = 48, 64
LARGEST_DIFFERENCE = 1e-6
Masks = list[Any]


def mask_of(random: np.random.Generator) -> Any:
    """Return a random ellipse, bool (H, W)."""
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    cy, cx = random.uniform(8, HEIGHT_PX - 8), random.uniform(8, WIDTH_PX - 8)
    ry, rx = random.uniform(3, 8, 2)
    return ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1


def perturbed(mask: Any, random: np.random.Generator) -> Any:
    """Return a mask moved by up to two pixels."""
    return np.roll(mask, tuple(random.integers(-2, 3, 2)), axis=(0, 1))


def make_pairs(n: int, seed: int, most: int) -> list[tuple[Masks, Masks, list[float]]]:
    """Return n (targets, predicted masks, scores): up to ``most`` targets, misses, false alarms and ties."""
    random = np.random.default_rng(seed)
    pairs = []
    for _ in range(n):
        wanted = [mask_of(random) for _ in range(random.integers(1 if most == 1 else 0, most + 1))]
        found = [perturbed(mask, random) for mask in wanted if random.random() < 0.85]
        if most > 1:
            found += [mask_of(random) for _ in range(random.integers(0, 2))]
        pairs.append((wanted, found, [float(random.choice([0.4, 0.7, 0.9])) for _ in found]))
    return pairs


def decoded_of(found: Masks, scores: list[float] | None = None) -> Decoded:
    """Return the verdict on an answer that marked these masks; one without a pixel alone is a refusal that shows."""
    if not found:
        return Decoded("no_target", None, strict=True)
    if not any(mask.any() for mask in found):
        empty = Item(None, None, "rle", failure="mask_empty")
        return Decoded("no_target", None, strict=True, items=(empty,))
    crops = [crop_of(mask) for mask in found]
    known = scores or [None] * len(crops)
    items = tuple(
        Item(None, box_of_crop(crop), "rle", mask=crop, score=score)
        for crop, score in zip(crops, known, strict=True)
    )
    return Decoded("decoded", None, strict=True, items=items, mask=crop_of(np.any(found, axis=0)))


def ours(name: str, pairs: list[tuple[Masks, Masks, list[float]]], *, scored: bool = True) -> dict[str, Any]:
    """Return the numbers of evalkit's protocol."""
    protocol, rows = PROTOCOLS[name], []
    for number, (wanted, found, scores) in enumerate(pairs):
        truth = GroundTruth(HEIGHT_PX, WIDTH_PX, tuple(rle_encode(mask) for mask in wanted))
        sample = Sample("d", "v", str(number), str(number), ImageRef("x"), "it", truth)
        decoded = decoded_of(found, scores if scored else None)
        counts = protocol.count(decoded, sample, Truth(truth))
        rows.append(
            count_row(decoded, Truth(truth))
            | {
                "outcome": decoded.outcome,
                "no_target": truth.no_target,
                "protocol_counts": None if counts is None else json.dumps(counts),
            }
        )
    return {key: number_of(one) for key, one in protocol.numbers(pd.DataFrame(rows)).items()}


def module_at(path: Path, name: str) -> ModuleType:
    """Return the module of a checked-out file."""
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise SystemExit(f"{path} is not there: give the folder of a checkout")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def xywh(mask: Any) -> list[float]:
    """Return the tight box of a mask, xywh in pixels."""
    x0, y0, x1, y1 = box_of_crop(crop_of(mask)) or (0, 0, 0, 0)
    return [float(x0), float(y0), float(x1 - x0), float(y1 - y0)]


def gseval(root: Path, folder: Path) -> list[tuple[str, float, float]]:
    """Run ``evaluate_grounding.py`` in both modes."""
    random = np.random.default_rng(2)
    pairs = make_pairs(120, 1, 1)
    nothing = np.zeros((HEIGHT_PX, WIDTH_PX), dtype=bool)
    pairs = [(w, [nothing] if f and random.random() < 0.2 else f, s) for w, f, s in pairs]
    Image.new("RGB", (WIDTH_PX, HEIGHT_PX)).save(folder / "a.png")
    truth, lines = [], []
    for number, (wanted, found, _) in enumerate(pairs):
        x, y, w, h = xywh(wanted[0])
        head = {"idx": number, "image_path": "a.png"}
        coded = rle_encode(wanted[0]).to_json()
        truth.append(head | {"class_id": 1, "box": [x, y, x + w, y + h], "segmentation": coded})
        line: dict[str, Any] = dict(head)
        if found:
            line["segmentation"] = rle_encode(found[0]).to_json()
            if found[0].any():
                x, y, w, h = xywh(found[0])
                line["box"] = [x, y, x + w, y + h]
        lines.append(line)
    for name, content in (("gt.jsonl", truth), ("p.jsonl", lines)):
        (folder / name).write_text("\n".join(map(json.dumps, content)))
    module = module_at(root / "evaluate_grounding.py", "gseval")
    found_numbers = []
    for mode, key in (("mask", "giou"), ("box", "accuracy")):
        with contextlib.redirect_stdout(io.StringIO()):
            judge = module.GroundingEvaluator(str(folder), str(folder / "gt.jsonl"), mode=mode, vis_dir="")
            number, _, _ = judge.evaluate(str(folder / "p.jsonl"))
        found_numbers.append((f"gseval-{mode} {key}", float(number), ours(f"gseval-{mode}", pairs)[key]))
    return found_numbers


def saco(root: Path, folder: Path) -> list[tuple[str, float, float]]:
    """Run ``cgf1_eval.py`` by masks and by boxes."""
    pairs = make_pairs(150, 3, 4)
    images, annotations, results = [], [], []
    for number, (wanted, found, scores) in enumerate(pairs):
        images.append(
            {"id": number, "width": WIDTH_PX, "height": HEIGHT_PX, "is_instance_exhaustive": True}
            | {"file_name": "a.png", "text_input": "it"}
        )
        for mask in wanted:
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0}
                | {"segmentation": rle_encode(mask).to_json(), "bbox": xywh(mask), "area": int(mask.sum())}
            )
        for mask, score in zip(found, scores, strict=True):
            coded = rle_encode(mask).to_json()
            results.append(
                {"image_id": number, "category_id": 1, "score": score, "bbox": xywh(mask)}
                | {"segmentation": coded}
            )
    truth = {
        "info": {},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "it"}],
    }
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "p.json").write_text(json.dumps(results))
    module = module_at(root / "sam3/eval/cgf1_eval.py", "cgf1_eval")
    lines = []
    for kind, name in (("segm", "saco"), ("bbox", "saco-box")):
        with contextlib.redirect_stdout(io.StringIO()):
            judge = module.CGF1Evaluator(gt_path=[str(folder / "gt.json")], iou_type=kind)
            numbers = judge.evaluate(str(folder / "p.json"))
        own = ours(name, pairs)
        for key, official in (("cgf1", "cgF1"), ("pmf1", "positive_micro_F1"), ("il_mcc", "IL_MCC")):
            lines.append((f"{name} {key}", float(numbers[f"cgF1_eval_{kind}_{official}"]), own[key]))
        for key in ("cgf1_0.5", "cgf1_0.75"):
            official = f"cgF1_eval_{kind}_cgF1@{key.rpartition('_')[2]}"
            lines.append((f"{name} {key}", float(numbers[official]), own[key]))
    return lines


def vision_reasoner(root: Path, folder: Path) -> list[tuple[str, float, float]]:
    """Run ``calculate_iou_with_bbox.py`` on the counts that its inference script writes."""
    pairs = make_pairs(120, 5, 2)
    records = []
    for number, (wanted, found, _) in enumerate(pairs):
        nothing = np.zeros((HEIGHT_PX, WIDTH_PX), dtype=bool)
        target, marked = np.any([nothing, *wanted], axis=0), np.any([nothing, *found], axis=0)
        hit = bool(target.any()) and any(_box_iou(xywh(mask), xywh(target)) > 0.5 for mask in found)
        records.append(
            {"image_id": number, "ann_id": 0, "think": "", "bbox_iou": float(hit)}
            | {"intersection": int((target & marked).sum()), "union": int((target | marked).sum())}
        )
    (folder / "output_0.json").write_text(json.dumps(records))
    module = module_at(root / "evaluation/calculate_iou_with_bbox.py", "vision_reasoner")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        module.calculate_metrics(str(folder))
    official = dict(re.findall(r"(gIoU|cIoU|bbox_AP)[^:]*: ([0-9.]+)", printed.getvalue()))
    own = ours("vision-reasoner", pairs)
    keys = {"giou": "gIoU", "ciou": "cIoU", "box_any": "bbox_AP"}
    # It prints four digits: evalkit's numbers are compared after the same rounding.
    return [
        (f"vision-reasoner {key}", float(official[name]), round(own[key], 4)) for key, name in keys.items()
    ]


def _box_iou(a: list[float], b: list[float]) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def ref_l4(root: Path, folder: Path) -> list[tuple[str, float, float]]:
    """Run ``bbox_overlaps`` and the thresholds of ``ref_l4/evaluation.py``."""
    del folder
    import torch

    pairs = [(w, f or [np.eye(HEIGHT_PX, WIDTH_PX, dtype=bool)], s) for w, f, s in make_pairs(150, 7, 1)]
    boxes = [[xywh(np.any(side, axis=0)) for side in (wanted, found)] for wanted, found, _ in pairs]
    corners = torch.tensor([[[x, y, x + w, y + h] for x, y, w, h in both] for both in boxes])
    overlaps = module_at(root / "ref_l4/overlaps.py", "overlaps").bbox_overlaps
    iou = overlaps(corners[:, 0], corners[:, 1], mode="iou", is_aligned=True).numpy()
    own = ours("ref-l4", pairs, scored=False)
    official = {f"acc_{t}": float((iou > t).sum() / len(iou)) for t in (0.5, 0.75, 0.9)}
    official["macc"] = float(np.mean([(iou > i / 100).sum() / len(iou) for i in range(50, 100, 5)]))
    return [(f"ref-l4 {key}", official[key], own[key]) for key in official]


def grec(root: Path, folder: Path) -> list[tuple[str, float, float]]:
    """Run ``RefExpEvaluator``; rows without any box get one of score 0, as its detector always gives some."""
    del folder
    import torch

    sys.path.insert(0, str(root / "mdetr"))
    module = importlib.import_module("datasets.refexp")
    pairs = make_pairs(150, 9, 3)

    class Truths:
        """What the evaluator asks its COCO file for."""

        imgs = dict.fromkeys(range(len(pairs)))

        def getAnnIds(self, imgIds: int) -> int:  # noqa: N802, N803  (COCO's names)
            """Return the image as the annotations' id."""
            return imgIds

        def loadImgs(self, image: int) -> list[int]:  # noqa: N802
            """Return the image."""
            return [image]

        def loadAnns(self, image: int) -> list[dict[str, Any]]:  # noqa: N802
            """Return the targets."""
            wanted = pairs[image][0]
            empty = [{"category_id": -1, "bbox": [0, 0, 0, 0]}]
            return [{"category_id": 1, "bbox": xywh(mask)} for mask in wanted] or empty

    predictions = {}
    for number, (_, found, scores) in enumerate(pairs):
        boxes = [[x, y, x + w, y + h] for x, y, w, h in map(xywh, found)] + [[0.0, 0.0, 1.0, 1.0]]
        predictions[number] = {"scores": torch.tensor([*scores, 0.0]), "boxes": torch.tensor(boxes)}
    judge = module.RefExpEvaluator(Truths(), ("bbox",), thresh_score=0.69)
    judge.update(predictions)
    numbers, own = judge.summarize(), ours("grec", pairs)
    keys = {"f1": "F1_score", "n_acc": "N_acc", "t_acc": "T_acc"}
    return [(f"grec {key}", float(numbers[name]), own[key]) for key, name in keys.items()]


EVALUATORS: dict[str, Callable[[Path, Path], list[tuple[str, float, float]]]] = {
    "gseval": gseval,
    "saco": saco,
    "vision-reasoner": vision_reasoner,
    "ref-l4": ref_l4,
    "grec": grec,
}


def main() -> int:
    """Run one evaluator and print both sides."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("evaluator", choices=EVALUATORS)
    parser.add_argument("path", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        lines = EVALUATORS[arguments.evaluator](arguments.path.resolve(), Path(folder))
    print(f"{'number':<28}{'evaluator':>16}{'evalkit':>16}{'difference':>14}")
    for name, theirs, own in lines:
        print(f"{name:<28}{theirs:>16.10f}{own:>16.10f}{own - theirs:>14.2e}")
    return int(any(abs(own - theirs) > LARGEST_DIFFERENCE for _, theirs, own in lines))


if __name__ == "__main__":
    sys.exit(main())
