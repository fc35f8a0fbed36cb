"""Evaluators of boxes: GREC, Ref-L4, REC of lmms-eval."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from evaluators.cases import HEIGHT_PX, WIDTH_PX, Line, Mixture, beside, make_cases, ours, union, xywh, xyxy
from evaluators.checkout import import_from, quiet


def grec(root: Path, folder: Path, n: int, seed: int) -> list[Line]:
    """Run ``RefExpEvaluator``; every row gets one more box of score 0, as its detector always gives some."""
    del folder
    import torch

    stand_ins = ("transformers", "datasets.coco")
    module = import_from(root / "mdetr", "datasets.refexp", stand_ins, ("datasets",))
    cases = make_cases(n, seed, Mixture(most=3))

    class Truths:
        """What the evaluator asks its COCO file for."""

        imgs = dict.fromkeys(range(len(cases)))

        def getAnnIds(self, imgIds: int) -> int:  # noqa: N802, N803  (COCO's names)
            """Return the image as the annotations' id."""
            return imgIds

        def loadImgs(self, image: int) -> list[int]:  # noqa: N802
            """Return the image."""
            return [image]

        def loadAnns(self, image: int) -> list[dict[str, Any]]:  # noqa: N802
            """Return the targets."""
            empty = [{"category_id": -1, "bbox": [0, 0, 0, 0]}]
            return [{"category_id": 1, "bbox": xywh(mask)} for mask in cases[image].wanted] or empty

    predictions = {
        number: {
            # In single precision 0.7 is below the evaluator's 0.7.
            "scores": torch.tensor([*case.scores, 0.0], dtype=torch.float64),
            "boxes": torch.tensor([*map(xyxy, case.found), [0.0, 0.0, 1.0, 1.0]]),
        }
        for number, case in enumerate(cases)
    }
    judge = quiet(module.RefExpEvaluator, Truths(), ("bbox",))
    judge.update(predictions)
    numbers = quiet(judge.summarize)
    keys = {"f1": "F1_score", "n_acc": "N_acc", "t_acc": "T_acc"}
    return beside("grec", {key: numbers[name] for key, name in keys.items()}, ours("grec", cases))


def ref_l4(root: Path, folder: Path, n: int, seed: int) -> list[Line]:
    """Run ``RefL4Evaluator``; a row without an answer gets a box without an area, as it needs one for each."""
    del folder
    module = import_from(root, "ref_l4.evaluation", ("datasets", "huggingface_hub"))
    cases = make_cases(n, seed, Mixture(least=1, most=1))
    rows = [
        {"id": str(number), "bbox": xywh(union(case.wanted)), "ori_category_id": "o365_1"}
        for number, case in enumerate(cases)
    ]
    # Its means over small, medium and large objects divide by nothing where there is none.
    sizes = [
        {"id": f"size-{side}", "bbox": [0.0, 0.0, side, side], "ori_category_id": "o365_1"}
        for side in (1, 200, 400)
    ]
    answers = [
        {"id": str(number), "pred_bbox": xyxy(union(case.found)), "format": "xyxy"}
        for number, case in enumerate(cases)
    ]
    answers += [{"id": one["id"], "pred_bbox": [0.0, 0.0, 0.0, 0.0], "format": "xyxy"} for one in sizes]
    dataset = SimpleNamespace(dataset={"made": rows + sizes}, split="made")
    numbers = quiet(module.RefL4Evaluator(dataset).evaluate, answers)
    # The rows that were added for its divisions are wrong at every threshold.
    scale = len(answers) / len(cases) / 100
    official = {f"acc_{at}": numbers[f"Ann-level acc iou {at}"] * scale for at in (0.5, 0.75, 0.9)}
    official["macc"] = numbers["Ann-level macc iou 0.5:0.95"] * scale
    return beside("ref-l4", official, ours("ref-l4", cases, scored=False))


def rec(root: Path, folder: Path, n: int, seed: int) -> list[Line]:
    """Run the functions of ``utils_rec.py`` on answers as text, and on the box around all boxes as text."""
    del folder
    module = import_from(
        root,
        "lmms_eval.tasks.refcoco.utils_rec",
        ("datasets",),
        ("lmms_eval", "lmms_eval.tasks", "lmms_eval.tasks.refcoco"),
    )
    cases = make_cases(n, seed, Mixture(least=1, most=1, alarms=2))
    official = {}
    for key in ("acc_first", "acc_hull"):
        results = []
        for number, case in enumerate(cases):
            boxes = (
                [xyxy(union(case.found))] if key == "acc_hull" and case.found else [*map(xyxy, case.found)]
            )
            text = " and ".join(str(_unit(box)) for box in boxes) or "nothing"
            question = {"question_id": str(number), "answer": "it", "bbox": _unit(xyxy(case.wanted[0]))}
            results.append(module.refcoco_bbox_rec_process_result(question, [text])["refcoco_ACC@0.5"])
        official[key] = quiet(module.refcoco_bbox_rec_acc05, results)
    return beside("rec", official, ours("rec", cases, scored=False))


def _unit(box: list[float]) -> list[float]:
    return [box[0] / WIDTH_PX, box[1] / HEIGHT_PX, box[2] / WIDTH_PX, box[3] / HEIGHT_PX]
