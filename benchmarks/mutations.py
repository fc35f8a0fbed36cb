"""Mutate pictures, datasets, bodies and run folders by the thousands, and count what falls outside its typed error.

    python benchmarks/mutations.py [--pictures 5000] [--datasets 5000] [--bodies 20000] [--folders 2000] [--seed 0]

Every file is made here, mutated (bytes flipped, cut, inserted, repeated; or one value of its JSON replaced by an odd
one) and read as a run reads it. Right is a result or an ``EvalkitError``; anything else, or more than 20 s, is counted
and shown with the seed that makes it again.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evalkit.config.schema import DatasetConfig, RunConfig, load_config
from evalkit.datasets import load_samples
from evalkit.datasets.mask_files import with_masks_read
from evalkit.decoding.settings import DecodeSettings
from evalkit.errors import EvalkitError
from evalkit.images import read_image, reduce_image
from evalkit.mask_pictures import read_mask_picture
from evalkit.models import read_body
from evalkit.models.answers import decode_response
from evalkit.models.base import Question
from evalkit.models.google.api_errors import classify
from evalkit.models.predictions import PredictionsConfig, PredictionsModel
from evalkit.pipeline import run
from evalkit.runner.event_loop import run_to_end
from evalkit.storage.run_folder import RunFolder
from evalkit.storage.samples_table import row_of_sample
from evalkit.types import AskedFormat, GroundTruth, ImageRef, MaskFile, Sample

SLOWEST_S = 20
SHOWN = 10
WIDTH, HEIGHT = 100, 80
RING = [10, 10, 50, 10, 50, 40, 10, 40]

ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        1e308,
        -1e308,
        1e400,
        float("nan"),
        10**30,
        -(10**30),
        2**63,
        0.5,
        "",
        " ",
        "x",
        "1",
        "nan",
    ),
    *(
        "\ud83d",
        "\x00",
        "../../etc/passwd",
        "=1+1",
        "<b>",
        "a" * 5000,
        [],
        {},
        [[]],
        [None],
        {"a": None},
        [[[[1]]]],
    ),
    *(
        [1, 2],
        [1, 2, 3, 4, 5, 6],
        {"size": [80, 100], "counts": "zz"},
        {"size": None, "counts": [1]},
        "zip://a.zip/b",
    ),
)
"""What a value is replaced by."""

Trial = Callable[[], object]


def mutated_bytes(data: bytes, draw: random.Random) -> bytes:
    """Return the bytes after one to four changes."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at, length = draw.randrange(len(changed) + 1), draw.choice((1, 2, 4, 16, 200))
        kind = draw.randrange(6)
        if kind == 0 and changed:
            changed[at % len(changed)] ^= 1 << draw.randrange(8)
        elif kind == 1 and changed:
            changed[at % len(changed)] = draw.choice((0, 255, 127, 34, 91, 123, draw.randrange(256)))
        elif kind == 2:
            del changed[at : at + length]
        elif kind == 3:
            changed[at:at] = draw.randbytes(length)
        elif kind == 4:
            changed[at:at] = changed[max(0, at - length) : at]
        else:
            changed[at : at + length] = bytes(len(changed[at : at + length]))
    return bytes(changed if draw.random() < 0.95 else changed[: draw.randrange(len(changed) + 1)])


def mutated_json(value: Any, draw: random.Random) -> Any:
    """Return the value with one to three of its parts replaced, removed or doubled."""
    changed = copy.deepcopy(value)
    for _ in range(draw.randint(1, 3)):
        places = list(_places(changed))
        if not places:
            return draw.choice(ODD)
        holder, key = draw.choice(places)
        kind = draw.random()
        if kind < 0.7:
            holder[key] = copy.deepcopy(draw.choice(ODD))
        elif kind < 0.85:
            del holder[key]
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        else:
            holder[f"{key}x"] = holder[key]
    return changed


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _mutated_text(value: Any, draw: random.Random) -> bytes:
    """Return JSON of a mutated value, now and then with its bytes mutated too."""
    text = json.dumps(mutated_json(value, draw)).encode("utf-8")
    return mutated_bytes(text, draw) if draw.random() < 0.3 else text


PICTURES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    *(("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    *(("JPEG", mode, {"quality": 80}) for mode in ("L", "RGB", "CMYK")),
    *(("GIF", "P", {}), ("BMP", "RGB", {}), ("TIFF", "RGB", {}), ("WEBP", "RGB", {}), ("PPM", "RGB", {})),
    *(
        ("TGA", "RGB", {}),
        ("ICO", "RGBA", {}),
        ("SGI", "RGB", {}),
        ("JPEG2000", "RGB", {}),
        ("AVIF", "RGB", {}),
    ),
    *(("QOI", "RGB", {}), ("DDS", "RGB", {}), ("PCX", "RGB", {}), ("IM", "RGB", {}), ("BLP", "P", {})),
)
"""Format, mode and settings of the pictures that are mutated, each with and without an EXIF orientation."""


def pictures(folder: Path) -> Callable[[random.Random], Trial]:
    """Return what draws one trial: a picture read as a photograph, reduced, and as a mask."""
    mask_hw = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask_hw[10:40, 10:50] = 255
    whole = []
    for image_format, mode, settings in PICTURES:
        exif = Image.Exif()
        exif[0x0112] = 6
        for more in ({}, {"exif": exif}):
            path = folder / f"whole-{len(whole)}"
            try:
                Image.fromarray(mask_hw).convert(mode).save(path, image_format, **settings, **more)
            except (OSError, ValueError, KeyError, TypeError):
                continue  # this Pillow does not write it
            whole.append(path.read_bytes())

    def draw_trial(draw: random.Random) -> Trial:
        path = folder / "mutated"
        path.write_bytes(mutated_bytes(draw.choice(whole), draw))
        use = draw.randrange(3)

        def read() -> None:
            if use == 2:
                read_mask_picture(MaskFile(str(path), draw.choice(("auto", "nonzero", "half", "alpha", "3"))))
                return
            size = draw.choice((None, (WIDTH, HEIGHT), (HEIGHT, WIDTH)))
            image = read_image(ImageRef(str(path)), size)
            if use == 1:
                reduce_image(image, 16)

        return read

    return draw_trial


def _coco() -> dict[str, Any]:
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [RING], "bbox": [10, 10, 40, 30]}
    runs = {"size": [HEIGHT, WIDTH], "counts": [0, 5, HEIGHT * WIDTH - 5]}
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
        "annotations": [
            annotation | {"iscrowd": 0, "area": 1200},
            annotation | {"id": 2, "iscrowd": 1, "segmentation": runs},
            annotation | {"id": 3, "category_id": 2},
        ],
        "categories": [{"id": 1, "name": "cat", "supercategory": "animal"}, {"id": 2, "name": "dog"}],
    }


def _lines() -> list[dict[str, Any]]:
    record = {"image": "a.png", "expression": "the cat", "width": WIDTH, "height": HEIGHT}
    more = {"tags": {"kind": "part"}, "box": [10, 10, 50, 40], "image_id": 1, "split": "val"}
    return [
        record | more | {"id": "ring", "mask": [RING]},
        record | {"id": 2, "mask": {"size": [HEIGHT, WIDTH], "counts": [0, 5, HEIGHT * WIDTH - 5]}},
        record | {"id": "png", "mask": "m.png"},
        record | {"id": "none", "mask": None, "no_target": True},
        record | {"id": "many", "mask": {"instances": [[RING], "m.png"]}},
    ]


def _predictions() -> list[dict[str, Any]]:
    runs = {"size": [HEIGHT, WIDTH], "counts": [0, 5, HEIGHT * WIDTH - 5]}
    return [
        {"sample_id": "s0", "mask": [RING], "score": 0.5, "label": "cat"},
        {"sample_id": "s1", "mask": runs, "box": [1, 2, 3, 4]},
        {"sample_id": "s2", "text": '[{"box_2d": [1, 2, 3, 4]}]'},
        {"sample_id": "s2", "dataset": "d", "box": [1, 2, 3, 4]},
        {"image_id": 3, "category_id": 1, "segmentation": runs, "bbox": [1, 2, 3, 4], "score": 1},
    ]


def _write_pictures(folder: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "a.png")
    Image.new("L", (WIDTH, HEIGHT), 255).save(folder / "m.png")


def _read_dataset(entry: DatasetConfig, folder: Path) -> None:
    for sample in load_samples(entry, folder):
        row_of_sample(with_masks_read(sample))


def _read_predictions(path: Path) -> None:
    samples = [
        Sample("d", "all", f"s{n}", str(n), ImageRef("a.png"), "x", GroundTruth(HEIGHT, WIDTH))
        for n in range(4)
    ]
    entry = PredictionsConfig(name="p", provider="predictions", path=str(path))
    config = RunConfig.model_validate(
        {"name": "t", "datasets": [{"name": "d"}], "models": [entry.model_dump()]}
    )
    model = PredictionsModel(entry, config, samples)

    async def ask_all() -> None:
        try:
            for sample in samples:
                question = Question(sample, model.prompt_for(sample), None, 0, 0)
                try:
                    response = await model.ask(question)
                except EvalkitError:
                    continue
                decode_response(
                    response, sample, AskedFormat(wire_format=None, keys=("mask",)), DecodeSettings()
                )
        finally:
            await model.close()

    run_to_end(ask_all())


def datasets(folder: Path) -> Callable[[random.Random], Trial]:
    """Return what draws one trial: a JSONL, CSV, COCO or predictions file."""
    _write_pictures(folder)
    rows = 'id,image,expression,mask,no_target\na,a.png,cat,m.png,\nb,a.png,dog,"[[10,10,50,10,50,40]]",\nc,a.png,x,,true\n'

    def draw_trial(draw: random.Random) -> Trial:
        kind = draw.choice(("jsonl", "coco", "csv", "predictions", "results"))
        path = folder / f"d.{kind}"
        if kind == "coco":
            path.write_bytes(_mutated_text(_coco(), draw))
        elif kind == "csv":
            path.write_bytes(mutated_bytes(rows.encode(), draw))
        elif kind == "results":
            path.write_bytes(_mutated_text(_predictions()[-1:] * 2, draw))
        else:
            whole = _lines() if kind == "jsonl" else _predictions()
            changed = draw.randrange(len(whole))
            texts = [json.dumps(line).encode() for line in whole]
            texts[changed] = _mutated_text(whole[changed], draw)
            path.write_bytes(b"\n".join(texts))
        if kind in ("predictions", "results"):
            return lambda: _read_predictions(path)
        return lambda: _read_dataset(DatasetConfig(name="d", format=kind, path=str(path)), folder)

    return draw_trial


GEMINI_BODY = {
    "candidates": [
        {
            "content": {
                "parts": [{"text": "thinking", "thought": True}, {"text": '[{"box_2d": [1, 2, 300, 400]}]'}]
            },
            "finishReason": "STOP",
        }
    ],
    "promptFeedback": {"blockReason": "SAFETY"},
    "usageMetadata": {
        "promptTokenCount": 9,
        "candidatesTokenCount": 5,
        "totalTokenCount": 20,
        "thoughtsTokenCount": 6,
    },
    "modelVersion": "m",
    "responseId": "r",
}
VERTEX_BODY = {
    "predictions": [{"bytesBase64Encoded": "aaaa", "mimeType": "image/png", "raiFilteredReason": "x"}],
    "modelVersionId": "1",
}
ERROR_BODY = {
    "error": {
        "code": 429,
        "message": "Quota exceeded, limit: 0",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "RetryInfo", "retryDelay": "30s"},
            {"violations": [{"quotaId": "RequestsPerDay", "quotaMetric": "x", "quotaValue": "50"}]},
            {"reason": "API_KEY_INVALID", "metadata": {"quota_limit_value": "0", "quota_limit": "x"}},
        ],
    }
}
BODIES: tuple[tuple[str, Any], ...] = (
    ("gemini", GEMINI_BODY),
    ("gemini-batch", {"key": "a", "response": GEMINI_BODY}),
    ("vertex-segmentation", VERTEX_BODY),
)
"""Provider and a sound body of it; a new provider's body is added here."""


def bodies(folder: Path) -> Callable[[random.Random], Trial]:
    """Return what draws one trial: a body read and decoded, or an error body sorted."""
    del folder
    sample = Sample("d", "all", "s", "i", ImageRef("a.png"), "x", GroundTruth(HEIGHT, WIDTH))

    def draw_trial(draw: random.Random) -> Trial:
        if draw.random() < 0.25:
            status = draw.choice((200, 304, 400, 403, 404, 408, 429, 500, 503))
            details = mutated_json(ERROR_BODY, draw)
            return lambda: str(classify(status, details, {"retry-after": str(draw.choice(ODD))}, model="m"))
        provider, whole = draw.choice(BODIES)
        body = _mutated_text(whole, draw).decode("utf-8", "replace")

        def read() -> None:
            response = read_body(provider, body)
            decoded = decode_response(response, sample, AskedFormat(), DecodeSettings())
            for text in (response.text, response.model_version, response.finish_reason, decoded.failure):
                (text or "").encode("utf-8")

        return read

    return draw_trial


def folders(folder: Path) -> Callable[[random.Random], Trial]:
    """Return what draws one trial: a run folder with one file mutated, read as every reader does."""
    _write_pictures(folder)
    lines = [{"id": n, "image": "a.png", "expression": f"x{n}", "mask": [RING]} for n in range(2)]
    (folder / "d.jsonl").write_text("\n".join(map(json.dumps, lines)))
    entry = {"name": "d", "format": "jsonl", "path": "d.jsonl"}
    model = {"name": "floor", "provider": "python", "function": "whole-image"}
    (folder / "c.yaml").write_text(json.dumps({"name": "t", "datasets": [entry], "models": [model]}))
    config = load_config(folder / "c.yaml")
    whole = folder / "whole"
    run(config, show=lambda _: None, confirm=lambda _: None, out=whole, yes=True, quiet=True)
    names = ("manifest.json", "summary.json", "responses.sqlite", "samples.parquet", "scores.parquet")
    kept = {name: (whole / name).read_bytes() for name in names}

    def draw_trial(draw: random.Random) -> Trial:
        name = draw.choices(names, (5, 3, 2, 1, 1))[0]
        for other, data in kept.items():
            (whole / other).write_bytes(data)
        data = kept[name]
        is_json = name.endswith(".json")
        (whole / name).write_bytes(
            _mutated_text(json.loads(data), draw) if is_json else mutated_bytes(data, draw)
        )
        return lambda: _read_folder(whole)

    return draw_trial


def _read_folder(path: Path) -> None:
    found = RunFolder(path)
    manifest = found.manifest
    found.config()
    manifest.fingerprints()
    _ = manifest.complete, manifest.asked_whole, found.ledger_path
    found.summary()
    found.scores()
    for chunk in found.sample_chunks():
        _ = [sample.sample_id for sample in chunk]


KINDS: dict[str, Callable[[Path], Callable[[random.Random], Trial]]] = {
    "pictures": pictures,
    "datasets": datasets,
    "bodies": bodies,
    "folders": folders,
}


@contextmanager
def _bounded(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outside(kind: str, count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Return how the trials of a kind ended, and what fell outside the typed errors."""
    ends: Counter[str] = Counter()
    odd: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="mutations-"))
    try:
        draw_trial = KINDS[kind](folder)
        for number in range(count):
            trial = draw_trial(random.Random(f"{seed}:{kind}:{number}"))
            try:
                with _bounded(SLOWEST_S), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    trial()
                ends["read"] += 1
            except EvalkitError as error:
                ends[type(error).__name__] += 1
            except Exception as error:  # noqa: BLE001  (what is counted is exactly what nobody foresaw)
                ends["outside"] += 1
                place = traceback.extract_tb(error.__traceback__)[-1]
                odd.append(
                    f"{kind} {seed}:{number}: {type(error).__name__}: {error!s:.160} ({place.name}:{place.lineno})"
                )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return ends, odd


def main() -> int:
    """Run every kind; return 1 where anything fell outside."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for kind, count in (("pictures", 5000), ("datasets", 5000), ("bodies", 20000), ("folders", 2000)):
        parser.add_argument(f"--{kind}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    failed = False
    for kind in KINDS:
        began = time.perf_counter()
        ends, odd = outside(kind, getattr(asked, kind), asked.seed)
        told = ", ".join(f"{name} {count:,}" for name, count in ends.most_common())
        print(f"{kind}: {told}; outside {len(odd)} ({time.perf_counter() - began:.0f} s)", flush=True)
        print("".join(f"  {line}\n" for line in odd[:SHOWN]), end="", flush=True)
        failed = failed or bool(odd)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
