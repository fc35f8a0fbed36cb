"""Evaluators that pair several objects: SA-Co, COCO's average precision, MUSE."""

from __future__ import annotations

import contextlib
import io
import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from evalkit.masks import rle_encode
from evaluators.cases import (
    HEIGHT_PX,
    WIDTH_PX,
    BoolMask,
    Case,
    Line,
    Mixture,
    beside,
    make_cases,
    ours,
    xywh,
)
from evaluators.checkout import import_from, locals_of, quiet, torch_without_gpu


def saco(root: Path, folder: Path, n: int, seed: int) -> list[Line]:
    """Run ``cgf1_eval.py`` by masks and by boxes."""
    module = import_from(root, "sam3.eval.cgf1_eval", (), ("sam3", "sam3.eval"))
    cases = make_cases(n, seed, Mixture(most=4))
    truth, results = _coco_files(cases)
    images = [{**image, "is_instance_exhaustive": True, "text_input": "it"} for image in truth["images"]]
    (folder / "gt.json").write_text(json.dumps(truth | {"images": images}))
    (folder / "p.json").write_text(json.dumps(results))
    lines = []
    for kind, name in (("segm", "saco"), ("bbox", "saco-box")):
        judge = quiet(module.CGF1Evaluator, gt_path=[str(folder / "gt.json")], iou_type=kind)
        numbers = quiet(judge.evaluate, str(folder / "p.json"))
        keys = {"cgf1": "cgF1", "pmf1": "positive_micro_F1", "il_mcc": "IL_MCC"}
        keys |= {f"cgf1_{at}": f"cgF1@{at}" for at in (0.5, 0.75)}
        official = {key: numbers[f"cgF1_eval_{kind}_{spelled}"] for key, spelled in keys.items()}
        lines += beside(name, official, ours(name, cases))
    return lines


def coco_ap(root: Path, folder: Path, n: int, seed: int) -> list[Line]:
    """Run the installed ``pycocotools.cocoeval``; each image is asked for each category, some have a crowd."""
    del root, folder
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    cases = make_cases(n, seed, Mixture(most=4, crowds=0.2, categories=("cat", "dog")))
    content, results = _coco_files(cases)
    truth = COCO()
    truth.dataset = content
    quiet(truth.createIndex)
    lines = []
    for kind, name in (("segm", "coco-ap"), ("bbox", "coco-ap-box")):
        judge = COCOeval(truth, quiet(truth.loadRes, results), kind)
        for step in (judge.evaluate, judge.accumulate, judge.summarize):
            quiet(step)
        lines += beside(
            name, dict(zip(("ap", "ap_0.5", "ap_0.75"), judge.stats, strict=False)), ours(name, cases)
        )
    return lines


def _coco_files(cases: Sequence[Case]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return ground truth and results as COCO keeps them; cases of one image are its categories."""
    names = list(dict.fromkeys(case.category for case in cases))
    annotations, results = [], []
    for case in cases:
        head = {"image_id": int(case.image), "category_id": names.index(case.category) + 1}
        crowds = [] if case.ignored is None else [case.ignored]
        for mask in [*case.wanted, *crowds]:
            place = {"id": len(annotations) + 1, "iscrowd": int(mask is case.ignored)}
            annotations.append(head | place | _region(mask) | {"area": int(mask.sum())})
        results += [
            head | _region(mask) | {"score": score}
            for mask, score in zip(case.found, case.scores, strict=True)
        ]
    images = [
        {"id": int(number), "width": WIDTH_PX, "height": HEIGHT_PX, "file_name": "a.png"}
        for number in dict.fromkeys(case.image for case in cases)
    ]
    categories = [{"id": number, "name": name or "it"} for number, name in enumerate(names, 1)]
    content = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    return content, results


def _region(mask: BoolMask) -> dict[str, Any]:
    return {"segmentation": rle_encode(mask).to_json(), "bbox": xywh(mask)}


def muse(root: Path, folder: Path, n: int, seed: int) -> list[Line]:
    """Run ``train_ds.ar_validate`` with its ``match_pred``: three questions an image, masks as logits of 0 and 1.

    Its masks that match no target stay logits, of which it counts those in 0..1 alone; so they are given as these.
    The objects are apart, of one size and moved little: on such logits its costs prefer large targets, and masks
    without a pixel to poor ones, where IoU does not.
    """
    stand_ins = ("deepspeed", "transformers", "peft", "model", "utils.dataset", "torch.utils.tensorboard")
    module = import_from(root, "train_ds", (*stand_ins, "utils.multi_reason_seg_val_dataset", "requests"))
    cases = make_cases(
        n, seed, Mixture(least=1, most=4, alarms=3, empty_masks=0.1, per_image=3, apart=True, move_px=1)
    )
    groups = [
        [case for case in cases if case.image == image] for image in dict.fromkeys(c.image for c in cases)
    ]
    return beside("muse", _muse_numbers(module, groups, folder, seed), ours("muse", cases))


def _muse_numbers(module: Any, groups: Sequence[Sequence[Case]], folder: Path, seed: int) -> dict[str, float]:
    import torch

    def stacked(masks: Sequence[BoolMask]) -> Any:
        return torch.tensor(np.array(masks, dtype=np.float32).reshape(-1, HEIGHT_PX, WIDTH_PX))

    questions, answers = [], []
    for group in groups:
        n_targets = [len(case.wanted) for case in group]
        names = [["(it [0])"] * count for count in n_targets]
        found = stacked([mask for case in group for mask in case.found])
        n_found = torch.tensor([len(case.found) for case in group])
        still = dict.fromkeys(("images", "images_clip"), torch.zeros(1))
        empty = dict.fromkeys(("resize_list", "clip_resize_list", "input_ids"))
        questions.append(
            {"image_paths": ["a.png"], "label_list": [torch.zeros(HEIGHT_PX, WIDTH_PX)], **still, **empty}
            | {"masks_list": [stacked([mask for case in group for mask in case.wanted])]}
            | {"questions_list": [(["it"] * len(group), n_targets, names, "")]}
        )
        words = [[torch.zeros(1, dtype=torch.long)] for _ in group]
        answers.append((words, [found], [n_found], [torch.ones(len(found))]))
    supply = iter(answers)
    engine = _Model(SimpleNamespace(evaluate=lambda *_, **__: next(supply)))
    tokenizer = SimpleNamespace(decode=lambda *_, **__: "")
    settings = Namespace(log_dir=str(folder), local_rank=1, precision="fp32")
    torch.manual_seed(seed)
    with torch_without_gpu(), contextlib.redirect_stderr(io.StringIO()):
        found = locals_of(
            module.ar_validate, [questions], engine, 0, None, settings, None, ["muse|val"], tokenizer
        )
    return {key: float(found[key]) for key in ("giou", "ciou")}


class _Model:
    """A model whose answers come from ``base_model``."""

    def __init__(self, base_model: Any) -> None:
        self.base_model = base_model

    def eval(self) -> None:
        """Do nothing."""

    def __call__(self, **named: Any) -> None:
        """Do nothing: the evaluator calls its model once before it begins."""
