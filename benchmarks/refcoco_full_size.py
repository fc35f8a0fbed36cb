"""Load and check a synthetic RefCOCO of full size in the real layout; report seconds and peak memory.

    python benchmarks/refcoco_full_size.py [--folder DIR]

50,000 refs with 142,210 sentences (train 120,624, val 10,834, testA 5,657, testB 5,095), 196,771 objects
with polygons of about 27 points and 19,994 photographs (hard links to one JPEG), as the refer files have.
The content is made up; only its amount and form are real. Budget: 30 s and 1.5 GB.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pickle
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPLITS = {  # images, refs, sentences
    "train": (16994, 42404, 120624),
    "val": (1500, 3811, 10834),
    "testA": (750, 1975, 5657),
    "testB": (750, 1810, 5095),
}
OBJECTS = 196_771
WORDS = [
    "left",
    "right",
    "man",
    "woman",
    "white",
    "black",
    "shirt",
    "in",
    "the",
    "with",
    "of",
    "front",
    "red",
    "blue",
    "chair",
    "dog",
    "sitting",
    "on",
    "top",
    "far",
]
BUDGET_S, BUDGET_GB = 30.0, 1.5


def write_dataset(root: Path) -> None:
    """Write refs(unc).p (protocol 0), instances.json and the photographs."""
    from PIL import Image

    rng = random.Random(0)
    folder, images_folder = root / "refcoco", root / "images/mscoco/images/train2014"
    folder.mkdir(parents=True)
    images_folder.mkdir(parents=True)
    first = images_folder / "first.jpg"
    Image.new("RGB", (640, 480)).save(first)
    refs: list[dict[str, object]] = []
    image_ids: list[int] = []
    for split, (n_images, n_refs, n_sentences) in SPLITS.items():
        own = [len(image_ids) + 1 + index for index in range(n_images)]
        image_ids += own
        extra = n_sentences - 2 * n_refs
        for index in range(n_refs):
            count = 3 if index < extra else 2
            refs.append(make_ref(rng, len(refs), own[index % n_images], split, count))
    annotations = [make_object(rng, index, index % len(image_ids) + 1) for index in range(OBJECTS)]
    for ref, annotation in zip(refs, annotations, strict=False):
        annotation["image_id"] = ref["image_id"]
    images = [
        {"id": n, "file_name": f"COCO_train2014_{n:012}.jpg", "height": 480, "width": 640, "license": 1}
        for n in image_ids
    ]
    for image in images:
        os.link(first, images_folder / str(image["file_name"]))
    categories = [{"id": n, "name": f"class {n}", "supercategory": "thing"} for n in range(1, 81)]
    content = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))
    (folder / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=0))


def make_ref(rng: random.Random, number: int, image_id: int, split: str, sentences: int) -> dict[str, object]:
    """Return one ref with made-up sentences."""
    ids = [number * 3 + index for index in range(sentences)]
    texts = [rng.choices(WORDS, k=rng.randint(2, 5)) for _ in ids]
    return {
        "ref_id": number,
        "ann_id": number,
        "image_id": image_id,
        "category_id": number % 80 + 1,
        "split": split,
        "file_name": f"COCO_train2014_{image_id:012}_{number}.jpg",
        "sent_ids": ids,
        "sentences": [
            {"sent_id": key, "tokens": words, "sent": " ".join(words), "raw": " ".join(words)}
            for key, words in zip(ids, texts, strict=True)
        ],
    }


def make_object(rng: random.Random, number: int, image_id: int) -> dict[str, object]:
    """Return one object: one or two outlines with two decimals, 30 to 200 px across, as COCO's are."""
    rings = [make_outline(rng) for _ in range(1 + (number % 4 == 0))]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": number % 80 + 1,
        "segmentation": rings,
        "area": 1000.0,
        "bbox": [10.0, 10.0, 450.0, 450.0],
        "iscrowd": 0,
    }


def make_outline(rng: random.Random) -> list[float]:
    """Return a closed outline around a random centre."""
    x, y, size, count = (
        rng.uniform(110, 530),
        rng.uniform(110, 370),
        rng.uniform(15, 100),
        rng.randint(12, 42),
    )
    turns = [2 * math.pi * index / count for index in range(count)]
    radii = [size * rng.uniform(0.7, 1.0) for _ in turns]
    pairs = [(x + r * math.cos(turn), y + r * math.sin(turn)) for r, turn in zip(radii, turns, strict=True)]
    return [round(value, 2) for pair in pairs for value in pair]


def measure(root: Path) -> None:
    """Load train and val, then check everything; print the figures and fail over budget."""
    from evalkit.config.schema import DatasetConfig
    from evalkit.datasets import load_samples
    from evalkit.datasets.check import check_dataset
    from evalkit.progress import Progress

    started, started_cpu = time.perf_counter(), time.process_time()
    for split in ("train", "val"):
        entry = DatasetConfig(name="refcoco", root=str(root), split=split)
        begun = time.perf_counter()
        count = sum(1 for _ in load_samples(entry, root))
        print(f"load {split}: {count:,} samples in {time.perf_counter() - begun:.1f} s")
    begun = time.perf_counter()
    with Progress(quiet=True) as progress:
        check = check_dataset(DatasetConfig(name="refcoco", root=str(root)), root, progress)
    print(f"check of all splits: {time.perf_counter() - begun:.1f} s, {check.images}, ok: {check.ok}")
    for finding in check.findings:
        print("  ", finding.line())
    total_s = time.perf_counter() - started
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    cpu_s = time.process_time() - started_cpu
    print(
        f"all: {total_s:.1f} s, {cpu_s:.1f} s of them on the processor (budget {BUDGET_S:.0f}), peak {peak_gb:.2f} GB (budget {BUDGET_GB})"
    )
    if not check.ok or total_s > BUDGET_S or peak_gb > BUDGET_GB:
        sys.exit(1)


def main() -> None:
    """Make the dataset where it is not there yet, and measure in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="keep the dataset here")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure)
        return
    with tempfile.TemporaryDirectory() as temporary:
        root = given.folder or Path(temporary)
        if not (root / "refcoco").exists():
            write_dataset(root)
        sizes = {path.name: f"{path.stat().st_size / 1e6:.0f} MB" for path in (root / "refcoco").iterdir()}
        print(f"synthetic RefCOCO at {root}: {sizes}")
        sys.exit(subprocess.run([sys.executable, __file__, "--measure", str(root)], check=False).returncode)


if __name__ == "__main__":
    main()
