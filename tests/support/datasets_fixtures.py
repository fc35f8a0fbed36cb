"""Shared ground of the loader tests: fixtures in the field's layouts, and small ones built here."""

import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from evalkit.config.schema import DatasetConfig
from evalkit.datasets import load_samples
from support.shared_data import need_shared


@pytest.fixture
def fixtures() -> Path:
    """Return the folder of real triples in the field's layouts; tests that need it are skipped without it."""
    return need_shared("dataset-fixtures")


@pytest.fixture
def refcocos() -> Path:
    """Return the folder of real (photograph, expression, mask) triples."""
    return need_shared("refcocos")


@pytest.fixture
def load(tmp_path):
    """Return a short call: layout and settings -> list of samples; `tmp_path` is the config's folder."""

    def call(layout, name="set", **settings):
        return list(load_samples(DatasetConfig(name=name, format=layout, **settings), tmp_path))

    return call


def write_image(path: Path, width: int, height: int, mode: str = "RGB", **save) -> Path:
    """Write a plain photograph."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (width, height)).save(path, **save)
    return path


def write_mask(path: Path, mask_hw: np.ndarray) -> Path:
    """Write a bool mask as a grey PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask_hw.astype(np.uint8) * 255).save(path)
    return path


def write_json(path: Path, content, encoding="utf-8") -> Path:
    """Write JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    return path


SQUARE = [10.0, 10.0, 20.0, 10.0, 20.0, 20.0, 10.0, 20.0]
"""A ring over the pixels 10..19 in both directions: 100 pixels."""


def coco_content(**changes):
    """Return a COCO file with two photographs, a cat made of two overlapping rings, a dog and a crowd of dogs."""
    shifted = [value + 5 for value in SQUARE]
    crowd = {"size": [40, 60], "counts": [0, 5, 40 * 60 - 5]}
    content = {
        "images": [
            {"id": 7, "file_name": "COCO_train2014_000000000007.jpg", "height": 40, "width": 60},
            {"id": 8, "file_name": "COCO_train2014_000000000008.jpg", "height": 40, "width": 60},
        ],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "category_id": 17,
                "segmentation": [SQUARE, shifted],
                "bbox": [10, 10, 15, 15],
            },
            {"id": 2, "image_id": 7, "category_id": 18, "segmentation": [SQUARE], "bbox": [10, 10, 10, 10]},
            {
                "id": 3,
                "image_id": 7,
                "category_id": 18,
                "segmentation": crowd,
                "bbox": [0, 0, 1, 5],
                "iscrowd": 1,
            },
            {"id": 4, "image_id": 8, "category_id": 18, "segmentation": [shifted], "bbox": [15, 15, 10, 10]},
        ],
        "categories": [{"id": 17, "name": "cat", "supercategory": "animal"}, {"id": 18, "name": "dog"}],
    }
    return content | changes


def ref(ref_id, ann_id, *texts, split="val", image_id=7, **more):
    """Return one record of a refs file; its sentences are numbered from ten times the ref's id."""
    sentences = [
        {"sent_id": ref_id * 10 + index, "sent": text.lower(), "raw": text, "tokens": text.split()}
        for index, text in enumerate(texts)
    ]
    base = {"ref_id": ref_id, "ann_id": ann_id, "image_id": image_id, "split": split, "category_id": 18}
    return base | {"file_name": "COCO_train2014_000000000007_2.jpg", "sentences": sentences} | more


def write_refer(root: Path, refs, folder="refcoco", name="refs(unc).p", protocol=0, content=None) -> Path:
    """Write one dataset of the refer family; returns the root."""
    target = root / folder
    target.mkdir(parents=True, exist_ok=True)
    data = json.dumps(refs).encode() if name.endswith(".json") else pickle.dumps(refs, protocol=protocol)
    (target / name).write_bytes(data)
    write_json(target / "instances.json", content or coco_content())
    return root


@pytest.fixture
def make():
    """Return the writers of this file under one name."""
    return SimpleNamespace(
        image=write_image,
        mask=write_mask,
        json=write_json,
        coco=coco_content,
        ref=ref,
        refer=write_refer,
        square=SQUARE,
    )
