"""Evaluators of one mask a row: LISA, ReLA, RIS-DMMI (Ref-ZOM), PhraseCut, ConverSeg, GroundingSuite."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

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
    union,
    xywh,
)
from evaluators.checkout import import_from, locals_of, quiet, torch_without_gpu

MARGIN = 10.0
"""Logit of a marked pixel; minus that elsewhere."""


def marked(case: Case) -> BoolMask:
    """Return the one mask that an evaluator of single masks is given."""
    return union(case.found)


def lisa(root: Path, folder: Path, n: int, seed: int) -> list[Line]:
    """Run ``train_ds.validate`` on clipped truths with ignored pixels, and on refer's summed ones."""
    del folder
    stand_ins = ("deepspeed", "transformers", "peft", "model", "utils.dataset", "torch.utils.tensorboard")
    module = import_from(root, "train_ds", stand_ins)
    lines = []
    for name, crowds in (("lisa", 0.3), ("lisa-exact", 0.0)):
        cases = make_cases(n, seed, Mixture(most=3, crowds=crowds))
        truths = [_summed(case, clip=name == "lisa") for case in cases]
        engine = _Engine(
            [
                {"pred_masks": [_logits(case)[None]], "gt_masks": [_tensor(t)[None]]}
                for case, t in zip(cases, truths, strict=True)
            ]
        )
        batches = [{"images": _tensor(np.zeros(1)), "images_clip": _tensor(np.zeros(1))} for _ in cases]
        arguments = Namespace(precision="fp32", local_rank=1)
        with torch_without_gpu():
            giou, ciou = quiet(module.validate, batches, engine, 0, None, arguments)
        lines += beside(name, {"giou": giou, "ciou": ciou}, ours(name, cases))
    return lines


def _summed(case: Case, *, clip: bool) -> Any:
    """Return the truth as numbers: covered so often (or 1), 255 where ignored."""
    times = np.sum([np.zeros((HEIGHT_PX, WIDTH_PX), dtype=np.int64), *case.wanted], axis=0)
    times = np.minimum(times, 1) if clip else times
    return times if case.ignored is None else np.where(case.ignored, 255, times)


def _tensor(array: Any) -> Any:
    import torch

    return torch.as_tensor(np.asarray(array))


def _logits(case: Case) -> Any:
    return _tensor(np.where(marked(case), MARGIN, -MARGIN))


class _Engine:
    """A model whose answers are known: one after the other."""

    def __init__(self, outputs: list[Any]) -> None:
        self.outputs = iter(outputs)

    def eval(self) -> None:
        """Do nothing."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Return the next answer."""
        del arguments, named
        return next(self.outputs)


def rela(root: Path, folder: Path, n: int, seed: int) -> list[Line]:
    """Run ``ReferEvaluator``; its label of no target is said where no pixel is marked."""
    del folder
    module = import_from(
        root,
        "gres_model.evaluation.refer_evaluation",
        ("detectron2",),
        ("gres_model", "gres_model.evaluation"),
    )
    cases = make_cases(n, seed, Mixture(most=3, empty_masks=0.1))
    judge = module.ReferEvaluator("grefcoco_val", distributed=False)
    judge.reset()
    for number, case in enumerate(cases):
        mask, empty = marked(case), not marked(case).any()
        question = {
            "image_id": number,
            "source": "grefcoco",
            "sentence": {"raw": "it"},
            "empty": not case.wanted,
        }
        answer = {
            "ref_seg": _tensor(np.stack([~mask, mask]).astype(float)),
            "nt_label": _tensor([float(not empty), float(empty)]),
        }
        judge.process([question | {"gt_mask_merged": _tensor(union(case.wanted))}], [answer])
    numbers = judge.evaluate()["grefcoco"]
    official = {"giou": numbers["gIoU"] / 100, "ciou": numbers["cIoU"] / 100}
    official |= {"n_acc": numbers["N_acc"], "t_acc": numbers["T_acc"]}
    official |= {f"pr_{at}": numbers[f"Pr@{at}"] / 100 for at in (0.7, 0.8, 0.9)}
    return beside("rela", official, ours("rela", cases))


def refzom(root: Path, folder: Path, n: int, seed: int) -> list[Line]:
    """Run ``test.evaluate``, at the image's own size and on the grid that its own ``transforms`` make."""
    del folder
    module = import_from(root, "test", ("bert", "data", "lib", "textblob", "args"))
    resize = import_from(root, "transforms").Resize(480, 480)
    module.args = Namespace(dataset="ref-zom")
    cases = make_cases(n, seed, Mixture(most=2, empty_masks=0.1))
    lines = []
    for name in ("refzom", "refzom-480"):
        answers, batches = [], []
        if name == "refzom-480":
            cases = [_dotted(case) if number % 3 == 0 else case for number, case in enumerate(cases)]
        for case in cases:
            sides = [Image.fromarray(side.astype(np.uint8)) for side in (union(case.wanted), marked(case))]
            if name == "refzom-480":
                sides = [resize(side, side)[1] for side in sides]
            truth, mask = (np.asarray(side, dtype=np.int64) for side in sides)
            answers.append([None, None, _tensor(np.stack([1 - mask, mask])[None].astype(float))])
            words = _tensor(np.zeros((1, 1, 4, 1), dtype=np.int64))
            source = ["one" if case.wanted else "zero"]
            batches.append((_tensor(np.zeros(1)), _tensor(truth[None]), source, words, words, words))
        language = _Engine([[_tensor(np.zeros((1, 4, 2)))] for _ in cases])
        found = locals_of(module.evaluate, _Engine(answers), batches, language, "cpu")
        official = {"miou": found["mIoU"], "oiou": found["cum_I"] / found["cum_U"], "acc": found["mean_acc"]}
        correct = zip(found["eval_seg_iou_list"], found["seg_correct"], strict=True)
        official |= {f"p_{at}": count / found["seg_total"] for at, count in correct}
        lines += beside(name, official, ours(name, cases))
    return lines


def _dotted(case: Case) -> Case:
    """Return the case on an image of 960 x 1280 with a dot of 1 or 2 pixels a side for each mask.

    Most dots have no pixel on a grid of 480 x 480; equal masks have equal dots.
    """

    def dot(mask: BoolMask) -> BoolMask:
        large = np.zeros((20 * HEIGHT_PX, 20 * WIDTH_PX), dtype=bool)
        for y, x in np.argwhere(mask)[:1]:
            side = 1 + int(mask.sum()) % 2
            large[20 * y + x % 4 :, 20 * x + y % 5 :][:side, :side] = True
        return large

    return replace(case, wanted=[dot(mask) for mask in case.wanted], found=[dot(mask) for mask in case.found])


def phrasecut(root: Path, folder: Path, n: int, seed: int) -> list[Line]:
    """Run ``Evaluator`` on rectangles as polygons, which it draws with their outlines."""
    del folder
    module = import_from(root / "utils", "evaluator", ("refvg_loader", "subset"))
    module.subset_utils.subsets = ["all"]
    random, cases, polygons = np.random.default_rng(seed), [], []
    for case in make_cases(n, seed, Mixture(least=1, most=3, empty_masks=0.1)):
        rings = [_rectangle(random) for _ in case.wanted]
        drawn = [_drawn(ring) for ring in rings]
        moved = [np.roll(mask, tuple(random.integers(-2, 3, 2)), axis=(0, 1)) for mask in drawn]
        found = [moved[i] if i < len(moved) and mask.any() else mask for i, mask in enumerate(case.found)]
        cases.append(Case(drawn, found, case.scores))
        polygons.append(rings)
    loader = SimpleNamespace(
        splits=["made"],
        img_ids=list(range(n)),
        task_num=n,
        get_img_ref_data=lambda number: {
            "task_ids": ["0"],
            "gt_Polygons": [[[ring] for ring in polygons[number]]],
            "height": HEIGHT_PX,
            "width": WIDTH_PX,
        },
    )
    judge = module.Evaluator(loader, analyze_subset=False)
    for number, case in enumerate(cases):
        judge.eval_single_img(number, {"0": {"pred_mask": marked(case).astype(np.uint8)}})
    numbers = quiet(judge.analyze_stats, ["mask"])["all"]
    official = {"giou": numbers["mean_mask_iou"], "ciou": numbers["cum_mask_iou"]}
    official |= {f"p_{at}": share for at, share in numbers["pred_mask_acc"].items()}
    return beside("phrasecut", official, ours("phrasecut", cases))


def _rectangle(random: np.random.Generator) -> list[tuple[int, int]]:
    x, y = int(random.integers(2, 40)), int(random.integers(2, 30))
    width, height = (int(side) for side in random.integers(4, 16, 2))
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def _drawn(ring: list[tuple[int, int]]) -> BoolMask:
    image = Image.new("L", (WIDTH_PX, HEIGHT_PX), 0)
    ImageDraw.Draw(image).polygon(ring, outline=1, fill=1)
    return np.asarray(image) > 0


def converseg(root: Path, folder: Path, n: int, seed: int) -> list[Line]:
    """Run ``evaluate_json`` on picture files."""
    module = import_from(root, "eval", ("sam2", "models", "datasets"))
    cases, items = make_cases(n, seed, Mixture(most=2, empty_masks=0.1)), []
    Image.new("RGB", (WIDTH_PX, HEIGHT_PX)).save(folder / "a.png")
    for number, case in enumerate(cases):
        Image.fromarray(union(case.wanted).astype(np.uint8) * 255).save(folder / f"{number}.png")
        items.append({"id": str(number), "image": "a.png", "mask": f"{number}.png", "prompt": "it"})
    (folder / "items.json").write_text(json.dumps({"items": items}))
    engine = _Engine([_logits(case) for case in cases])
    module._build_predictor_and_plm = lambda *_, **__: (None, None)  # noqa: SLF001  (builds the model)
    module.SAM2PLMWrapper = lambda *_, **__: SimpleNamespace(eval=engine.eval, infer_one=engine)
    arguments = Namespace(input_json=str(folder / "items.json"), limit=None, save_preds=None)
    names = ("model_cfg", "base_ckpt", "final_ckpt", "plm_ckpt", "lora_ckpt", "device", "precision")
    found = locals_of(module.evaluate_json, Namespace(**vars(arguments), **dict.fromkeys(names)))
    return beside("converseg", {key: found[key] for key in ("giou", "ciou")}, ours("converseg", cases))


def gseval(root: Path, folder: Path, n: int, seed: int) -> list[Line]:
    """Run ``GroundingEvaluator`` in both modes; some rows have no mask, some one without a pixel."""
    module = import_from(root, "evaluate_grounding")
    cases = make_cases(n, seed, Mixture(least=1, most=1, alarms=0, empty_masks=0.2))
    Image.new("RGB", (WIDTH_PX, HEIGHT_PX)).save(folder / "a.png")
    truth, answers = [], []
    for number, case in enumerate(cases):
        head = {"idx": number, "image_path": "a.png"}
        x, y, w, h = xywh(case.wanted[0])
        region = {"segmentation": rle_encode(case.wanted[0]).to_json()}
        truth.append(head | {"class_id": 1, "box": [x, y, x + w, y + h]} | region)
        answer: dict[str, Any] = dict(head)
        if case.found:
            answer["segmentation"] = rle_encode(case.found[0]).to_json()
            x, y, w, h = xywh(case.found[0])
            answer |= {"box": [x, y, x + w, y + h]} if case.found[0].any() else {}
        answers.append(answer)
    for name, content in (("gt.jsonl", truth), ("p.jsonl", answers)):
        (folder / name).write_text("\n".join(map(json.dumps, content)))
    lines = []
    for mode, key in (("mask", "giou"), ("box", "accuracy")):
        judge = quiet(module.GroundingEvaluator, str(folder), str(folder / "gt.jsonl"), mode=mode, vis_dir="")
        number, _, _ = quiet(judge.evaluate, str(folder / "p.jsonl"))
        lines += beside(f"gseval-{mode}", {key: number}, ours(f"gseval-{mode}", cases))
    return lines
