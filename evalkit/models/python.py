"""A Python function as a model: two lower bounds, and ``package.module:function`` of one's own.

The function takes ``(image, expression)``: a PIL image (RGB) and the text. It returns one of

* a mask, H x W, any dtype, non-zero is foreground; without foreground it means that nothing fits;
* several: an array N x H x W, or a list of masks or of ``{"mask", "label", "score", "box_px"}``;
* text, decoded like any model's answer; or None or ``[]``, where nothing fits.

It runs in worker processes, so it may be slow, hold a GPU or crash.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from pydantic import Field

from evalkit.config.models import ModelEntry
from evalkit.config.shown import without_secrets
from evalkit.errors import ConfigError, GiveUp, RetryLater, nearest
from evalkit.extensions import is_reference, load_reference, only_looked_at, search_in
from evalkit.images import eight_bits, load_image
from evalkit.masks import box_of, rle_encode
from evalkit.models.base import Question
from evalkit.models.bodies import read_text_body
from evalkit.models.function_source import source_digest
from evalkit.models.provider import Provider, ProviderContext
from evalkit.types import AskedFormat, BoxPx, Response, Sample
from evalkit.workers import worker_pool

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

    from PIL.Image import Image

    from evalkit.config.models import PaceConfig
    from evalkit.config.schema import RunConfig
    from evalkit.types import BoolMask

ASKED = AskedFormat(wire_format=None, keys=("mask",))
"""Masks in any format: a function returns arrays (sent on as run lengths) or its own text."""


def whole_image(image: Image, expression: str) -> BoolMask:
    """Mark every pixel: the floor that a model must beat to have understood anything."""
    del expression
    return np.ones((image.height, image.width), dtype=bool)


def centre_box(image: Image, expression: str) -> BoolMask:
    """Mark the middle half of the width and of the height: photographers centre their subjects."""
    del expression
    mask_hw = np.zeros((image.height, image.width), dtype=bool)
    mask_hw[
        image.height // 4 : image.height - image.height // 4,
        image.width // 4 : image.width - image.width // 4,
    ] = True
    return mask_hw


STARTUP_S = 900.0
"""For starting workers and importing the function's module: large weights are often read there."""

FLOORS: dict[str, Callable[[Image, str], BoolMask]] = {"whole-image": whole_image, "centre-box": centre_box}


class PythonConfig(ModelEntry):
    """A function ``package.module:name`` or a shipped floor (whole-image, centre-box)."""

    provider: Literal["python"] = Field(description="a Python function")
    function: str = Field(description="package.module:name, or whole-image, centre-box")
    workers: int = Field(default=1, ge=1, description="processes that it runs in")


class PythonModel:
    """One function; see ``evalkit.models.base.Model``."""

    def __init__(self, entry: PythonConfig, directory: Path) -> None:
        self.name = entry.name
        self.requested_model = entry.function
        self.entry = entry
        find_function(entry.function, directory)
        self.pool: ProcessPoolExecutor | None = None
        self.starting = asyncio.Lock()

    def prompt_for(self, sample: Sample) -> str:
        """Return the expression itself: a function gets no prompt."""
        return sample.expression

    async def ask(self, question: Question) -> Response:
        """Call the function once. Raises ``GiveUp`` where it raised or took too long, ``RetryLater`` where it died."""
        image = question.image
        assert image is not None, "a function needs the image"
        truth = question.sample.truth
        size_hw = (truth.height_px, truth.width_px)
        job = (self.entry.function, image.data, question.sample.expression, size_hw)
        if self.entry.function in FLOORS:
            return read_text_body(answer_of(*job))
        loop, allowed_s = asyncio.get_running_loop(), STARTUP_S
        try:
            async with asyncio.timeout(STARTUP_S):
                workers = await self._workers()
            allowed_s = self.entry.limits.timeout_s
            async with asyncio.timeout(allowed_s):
                text, error = await loop.run_in_executor(workers, call, job)
        except TimeoutError:
            self._drop_workers()
            raise GiveUp(f"{self.entry.function} took more than {allowed_s:g} s") from None
        except BrokenProcessPool:
            self._drop_workers()
            raise RetryLater(
                f"the worker process of {self.entry.function} died (killed, or out of memory)"
            ) from None
        if error is not None:
            raise GiveUp(f"{self.entry.function} raised {error}")
        return read_text_body(text)

    async def close(self) -> None:
        """End the worker processes."""
        self._drop_workers()

    async def _workers(self) -> ProcessPoolExecutor:
        """Return the pool, started and with the function imported: neither counts as the function's time."""
        async with self.starting:
            if self.pool is None:
                self.pool = worker_pool(self.entry.workers)
                loop = asyncio.get_running_loop()
                ready = [
                    loop.run_in_executor(self.pool, prepare, self.entry.function)
                    for _ in range(self.entry.workers)
                ]
                await asyncio.gather(*ready)
            return self.pool

    def _drop_workers(self) -> None:
        pool, self.pool = self.pool, None
        if pool is None:
            return
        workers = list((pool._processes or {}).values())  # noqa: SLF001 - the only way to end a hanging call
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()


def find_function(name: str, directory: Path | None = None) -> Callable[..., Any]:
    """Return a floor by name, or ``package.module:function``, also from the config's own folder.

    Raises ``ConfigError`` where there is no such function.
    """
    if name in FLOORS:
        return FLOORS[name]
    if not is_reference(name):
        raise ConfigError(
            f"function '{name}': give a shipped floor or package.module:function.{nearest(name, FLOORS)}"
        )
    if directory is not None:
        search_in(directory)
    function = load_reference("function", name)
    if not callable(function):
        raise ConfigError(f"function '{name}' is of type {type(function).__name__} and cannot be called")
    return function  # type: ignore[no-any-return]


FunctionCall = tuple[str, bytes, str, tuple[int, int]]
"""Function name, bytes of the image, expression, (height, width) of the ground truth in pixels."""


def call(job: FunctionCall) -> tuple[str, str | None]:
    """Run one job in a worker process: (answer text, None), or ("", what was raised)."""
    try:
        return answer_of(*job), None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's function may raise anything; it is reported
        return "", without_secrets(f"{type(error).__name__}: {error}", os.environ)


def prepare(name: str) -> None:
    """Import a function's module, in a worker process."""
    find_function(name)


def answer_of(name: str, data: bytes, expression: str, size_hw: tuple[int, int]) -> str:
    """Return the function's answer as text in a wire format of ``evalkit.decoding``."""
    image = eight_bits(load_image(data, "of the question")).convert("RGB")
    return answer_text(find_function(name)(image, expression), size_hw)


def answer_text(answer: Any, size_hw: tuple[int, int]) -> str:
    """Return what a function returned as the JSON list that the decoder reads; text stays as it is.

    Masks of another size (the image was reduced) are brought to ``size_hw`` by nearest neighbour.
    Raises ``TypeError`` on anything else than the module's text lists.
    """
    if isinstance(answer, str):
        return answer
    if answer is None:
        return "[]"
    if isinstance(answer, dict):
        return json.dumps(_items([answer], size_hw))
    if isinstance(answer, (list, tuple)):
        return json.dumps(_items(answer, size_hw))
    array = np.asarray(answer)
    if array.ndim not in (2, 3) or array.dtype == object:
        raise TypeError(
            f"the function returned {type(answer).__name__} of shape {array.shape}: return a mask H x W, masks "
            "N x H x W, a list of instances, text, or None"
        )
    return json.dumps(_items(array[None] if array.ndim == 2 else array, size_hw))


def _items(instances: Any, size_hw: tuple[int, int]) -> list[dict[str, Any]]:
    """Return the instances that mark something; where none does, one mask without a pixel."""
    items = [_item(instance, size_hw) for instance in instances]
    marked = [item for item in items if not item.pop("without_pixel", False)]
    return marked or items[:1]


def _item(instance: Any, size_hw: tuple[int, int]) -> dict[str, Any]:
    fields = instance if isinstance(instance, dict) else {"mask": instance}
    if "mask" not in fields:
        raise TypeError(
            f"an instance needs the key 'mask', this one has {', '.join(map(str, fields)) or 'none'}"
        )
    score, box = fields.get("score"), fields.get("box_px")
    coded = fields["mask"]
    if isinstance(coded, dict):
        coded = _rle_json(coded)
    else:
        mask_hw = _sized(np.asarray(coded), size_hw)
        if not mask_hw.any():
            return {"mask": rle_encode(mask_hw).to_json(), "without_pixel": True}
        coded = rle_encode(mask_hw).to_json()
        box = box_of(mask_hw) if box is None else box
    return {
        "label": fields.get("label"),
        "score": None if score is None else float(score),
        "box_px": None if box is None else _box(box),
        "mask": coded,
    }


def _rle_json(coded: dict[str, Any]) -> dict[str, Any]:
    """Return run lengths as JSON holds them: pycocotools gives the counts as bytes."""
    counts = coded.get("counts")
    return {**coded, "counts": counts.decode("ascii")} if isinstance(counts, bytes) else coded


def _box(box: Any) -> BoxPx:
    x0, y0, x1, y1 = (int(value) for value in box)
    return x0, y0, x1, y1


def _sized(mask: Any, size_hw: tuple[int, int]) -> BoolMask:
    from PIL import Image

    squeezed = np.squeeze(mask)
    if squeezed.ndim != 2:
        raise TypeError(f"a mask is H x W, this one has the shape {np.shape(mask)}")
    mask_hw: BoolMask = squeezed != 0
    if mask_hw.shape == size_hw:
        return mask_hw
    resized = Image.fromarray(mask_hw.astype(np.uint8)).resize(
        (size_hw[1], size_hw[0]), Image.Resampling.NEAREST
    )
    return cast("BoolMask", np.asarray(resized) != 0)


def limits_of(entry: PythonConfig) -> PaceConfig:
    """Return the pace: a function is never asked more than its workers can do at once."""
    concurrency = min(entry.limits.concurrency, entry.workers)
    return entry.limits.model_copy(update={"concurrency": concurrency})


def check_entry(entry: PythonConfig, run: RunConfig) -> None:
    """Raise ``ConfigError`` where there is no such function."""
    search_in(run.directory)
    if not only_looked_at("function", entry.function):
        find_function(entry.function)


def open_entry(entry: PythonConfig, context: ProviderContext) -> PythonModel:
    """Return the model. Raises ``ConfigError`` where there is no such function."""
    return PythonModel(entry, context.directory)


def background_of(entry: PythonConfig, model: PythonModel, run: RunConfig) -> dict[str, str]:
    """Return a digest of the files that the function is written in; a shipped floor never changes."""
    del model
    if entry.function in FLOORS:
        return {}
    folder = Path(run.directory)
    return {"function's source": source_digest(find_function(entry.function, folder), folder)}


PROVIDER = Provider(
    entry=PythonConfig,
    open=open_entry,
    asked=lambda entry, run: ASKED,  # noqa: ARG005
    check=check_entry,
    requested_model=lambda entry: entry.function,
    limits=limits_of,
    background=background_of,
    answer_s=lambda entry: 0.0,  # noqa: ARG005
    priced=False,
    billed=False,
)
