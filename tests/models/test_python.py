"""provider: python: the floors, functions of one's own in worker processes, and what they may return."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.decoding import decode_answer
from evalkit.errors import ConfigError, GiveUp, RetryLater
from evalkit.masks import full_mask, rle_encode
from evalkit.models.base import Question
from evalkit.models.python import PythonConfig, PythonModel, answer_text
from evalkit.types import Response

FUNCTIONS = """
import os, time
import numpy as np

def left_half(image, expression):
    mask = np.zeros((image.height, image.width), bool)
    mask[:, : image.width // 2] = True
    return mask

def speaks(image, expression):
    return "no idea about " + expression

def fails(image, expression):
    raise ValueError("no such thing")

def dies(image, expression):
    os._exit(9)

def leaves(image, expression):
    raise SystemExit(3)
"""


def ask(function: str, question: Question, directory: Path) -> Response:
    """Ask a function once."""

    async def run() -> Response:
        model = PythonModel(PythonConfig(name="p", provider="python", function=function), directory)
        try:
            return await model.ask(question)
        finally:
            await model.close()

    return asyncio.run(run())


def mask_of(response: Response, height_px: int = 48, width_px: int = 64) -> Any:
    """Return the decoded mask of an answer."""
    decoded = decode_answer(response.text, height_px=height_px, width_px=width_px)
    assert decoded.mask is not None
    return full_mask(decoded.mask)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a module of functions."""
    (tmp_path / "functions_of_mine.py").write_text(FUNCTIONS)
    return tmp_path


def test_floors_mark_what_they_say(question: Question, tmp_path: Path) -> None:
    """whole-image is every pixel; centre-box the middle half of both sides."""
    assert mask_of(ask("whole-image", question, tmp_path)).all()
    centre = mask_of(ask("centre-box", question, tmp_path))
    expected = np.zeros((48, 64), dtype=bool)
    expected[12:36, 16:48] = True
    assert (centre == expected).all()


def test_a_function_beside_the_config_runs_in_a_worker(question: Question, folder: Path) -> None:
    """Its array comes back as a mask, its text as text."""
    mask_hw = mask_of(ask("functions_of_mine:left_half", question, folder))
    assert mask_hw[:, :32].all()
    assert not mask_hw[:, 32:].any()
    assert ask("functions_of_mine:speaks", question, folder).text == "no idea about the thing 0"


def test_what_a_function_raises_is_a_system_error(question: Question, folder: Path) -> None:
    """It names the exception; a process that dies may be tried again."""
    with pytest.raises(GiveUp, match="ValueError: no such thing"):
        ask("functions_of_mine:fails", question, folder)
    with pytest.raises(GiveUp, match="SystemExit: 3"):
        ask("functions_of_mine:leaves", question, folder)
    with pytest.raises(RetryLater, match="died"):
        ask("functions_of_mine:dies", question, folder)


@pytest.mark.parametrize("name", ["whole-imge", "no_such_module:f", "json:no_such_function"])
def test_unknown_functions_are_config_errors(name: str, tmp_path: Path) -> None:
    """Before anything runs."""
    with pytest.raises(ConfigError, match=name.split(":", maxsplit=1)[0]):
        PythonModel(PythonConfig(name="p", provider="python", function=name), tmp_path)


def test_instances_keep_labels_scores_and_boxes() -> None:
    """A list of mappings becomes items; a box is computed where none is given; empty masks are left out."""
    mask_hw = np.zeros((4, 6), dtype=bool)
    mask_hw[1:3, 2:5] = True
    items = json.loads(
        answer_text([{"mask": mask_hw, "label": "cup", "score": 0.5}, np.zeros((4, 6))], (4, 6))
    )
    assert items == [
        {"label": "cup", "score": 0.5, "box_px": [2, 1, 5, 3], "mask": rle_encode(mask_hw).to_json()}
    ]


def test_run_lengths_of_pycocotools_are_taken_as_they_are() -> None:
    """Their counts are bytes, which JSON does not hold."""
    from pycocotools import mask as coco

    mask_hw = np.zeros((4, 6), dtype=bool)
    mask_hw[1:3, 2:5] = True
    coded = coco.encode(np.asfortranarray(mask_hw.astype(np.uint8)))
    (item,) = json.loads(answer_text({"mask": coded}, (4, 6)))
    assert item["mask"] == rle_encode(mask_hw).to_json()


def test_importing_the_module_is_not_the_functions_time(question: Question, tmp_path: Path) -> None:
    """A module that takes longer to import than a call may take is asked all the same."""
    (tmp_path / "slow_to_import.py").write_text(
        "import multiprocessing, time\n"
        "if multiprocessing.parent_process() is not None:\n    time.sleep(1.2)\n"
        "def says(image, expression):\n    return '[]'\n"
    )
    limits = PythonConfig(name="p", provider="python", function="slow_to_import:says").limits
    entry = PythonConfig.model_construct(
        name="p",
        provider="python",
        function="slow_to_import:says",
        workers=1,
        limits=limits.model_copy(update={"timeout_s": 1.0}),
    )

    async def run() -> str | None:
        model = PythonModel(entry, tmp_path)
        try:
            return (await model.ask(question)).text
        finally:
            await model.close()

    assert asyncio.run(run()) == "[]"


@pytest.mark.parametrize("nothing", [None, []])
def test_nothing_is_an_empty_list(nothing: Any) -> None:
    """None and no instance say that nothing fits."""
    assert answer_text(nothing, (4, 6)) == "[]"


def test_a_mask_without_foreground_stays_where_nothing_else_is_marked() -> None:
    """Evaluators that score it as a prediction can see it; beside an object it is none."""
    empty, full = np.zeros((4, 6)), np.ones((4, 6))
    alone = json.loads(answer_text(np.stack([empty, empty]), (4, 6)))
    assert [list(item) for item in alone] == [["mask"]]
    assert len(json.loads(answer_text(np.stack([empty, full]), (4, 6)))) == 1


def test_masks_of_a_reduced_image_are_brought_to_size() -> None:
    """Nearest neighbour: a 2 x 3 mask doubles to 4 x 6."""
    small = np.array([[1, 0, 0], [0, 0, 1]])
    (item,) = json.loads(answer_text(small, (4, 6)))
    assert item["mask"] == rle_encode(np.kron(small, np.ones((2, 2))).astype(bool)).to_json()


@pytest.mark.parametrize("wrong", [np.zeros(3), 5, [{"label": "x"}]])
def test_other_returns_are_refused(wrong: Any) -> None:
    """With a text that says what to return."""
    with pytest.raises(TypeError):
        answer_text(wrong, (4, 6))
