"""Seg-Zero's and VisionReasoner's evaluation scripts, from the model's answer to the printed number."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from evaluators.cases import HEIGHT_PX, WIDTH_PX, Case, Line, Mixture, beside, make_cases, ours, union, xyxy
from evaluators.checkout import import_from, locals_of, quiet


def seg_zero(root: Path, folder: Path, n: int, seed: int) -> list[Line]:
    """Run ``evaluation_visionreasoner.main`` on answers as text, then ``calculate_iou``; SAM gives the known masks."""
    stand_ins = ("transformers", "sam2", "qwen_vl_utils", "datasets")
    module = import_from(root / "evaluation_scripts", "evaluation_visionreasoner", stand_ins)
    sums = import_from(root / "evaluation_scripts", "calculate_iou")
    cases = make_cases(n, seed, Mixture(most=2, empty_masks=0.1))
    masks = iter([mask for case in cases for mask in case.found])
    rows = [
        {"image": Image.new("RGB", (WIDTH_PX, HEIGHT_PX)), "text": "it", "mask": union(case.wanted).tolist()}
        | {"image_id": str(number), "ann_id": "0", "img_height": HEIGHT_PX, "img_width": WIDTH_PX}
        for number, case in enumerate(cases)
    ]
    module.load_dataset = lambda *_, **__: _Rows(rows)
    module.process_vision_info = lambda *_: (None, None)
    module.Qwen2_5_VLForConditionalGeneration = _Known(
        SimpleNamespace(eval=lambda: None, generate=lambda **_: [])
    )
    module.AutoProcessor = _Known(_Processor([_answer_text(case) for case in cases]))
    module.SAM2ImagePredictor = _Known(
        SimpleNamespace(
            set_image=lambda _: None,
            predict=lambda **_: (next(masks)[None].astype(float), np.ones(1), None),
        )
    )
    settings = {"reasoning_model_path": "", "segmentation_model_path": "", "output_path": str(folder)}
    settings |= {"test_data_path": "", "idx": 0, "num_parts": 1, "batch_size": n}
    module.parse_args = lambda: Namespace(**settings)
    quiet(module.main)
    found = locals_of(sums.calculate_metrics, str(folder))
    return beside("seg-zero", {"giou": found["gIoU"]}, ours("seg-zero", cases))


def _answer_text(case: Case) -> str:
    items = [{"bbox_2d": [0, 0, 1, 1], "point_2d": [0, 0]} for _ in case.found]
    return f"<think>so</think><answer>{json.dumps(items)}</answer>"


class _Known:
    """A class whose ``from_pretrained`` returns something known."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def from_pretrained(self, *_: Any, **__: Any) -> Any:
        """Return it."""
        return self.found


class _Rows(list[dict[str, Any]]):
    """A list that can be asked for a part, as a data set of the Hugging Face library can."""

    def select(self, places: range) -> list[dict[str, Any]]:
        """Return the rows at ``places``."""
        return [self[place] for place in places]


class _Processor:
    """What turns messages into the model's input and its output into text."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def apply_chat_template(self, *_: Any, **__: Any) -> str:
        """Return no prompt."""
        return ""

    def __call__(self, **_: Any) -> Any:
        """Return an input without a token."""
        return _Inputs()

    def batch_decode(self, *_: Any, **__: Any) -> list[str]:
        """Return the answers."""
        return self.texts


class _Inputs:
    input_ids: tuple[Any, ...] = ()

    def to(self, _: str) -> _Inputs:
        """Stay where it is."""
        return self

    def keys(self) -> tuple[str, ...]:
        """Return nothing to unpack."""
        return ()

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)


def vision_reasoner(root: Path, folder: Path, n: int, seed: int) -> list[Line]:
    """Run ``evaluation_segmentation.process_batch``, then ``calculate_iou_with_bbox``."""
    module = import_from(root / "evaluation", "evaluation_segmentation", ("datasets", "vision_reasoner"))
    sums = import_from(root / "evaluation", "calculate_iou_with_bbox")
    cases = make_cases(n, seed, Mixture(least=1, most=2, empty_masks=0.1))
    results = [
        {
            "thinking": "",
            "bboxes": [xyxy(mask) for mask in case.found if mask.any()],
            "masks": union(case.found),
        }
        for case in cases
    ]
    questions = [
        {"image_id": str(number), "ann_id": "0", "mask": union(case.wanted), "bbox": xyxy(union(case.wanted))}
        for number, case in enumerate(cases)
    ]
    records: list[dict[str, Any]] = []
    model = SimpleNamespace(segment_objects_batch=lambda *_: results)
    quiet(module.process_batch, model, None, None, questions, records, has_bbox=True)
    (folder / "output_0.json").write_text(json.dumps(records))
    found = locals_of(sums.calculate_metrics, str(folder))
    official = {"giou": found["gIoU"], "ciou": found["cIoU"], "box_any": found["bbox_iou"]}
    return beside("vision-reasoner", official, ours("vision-reasoner", cases))
