"""Tiny synthetic photographs with known truths, and the real google-genai client on the simulator."""

import asyncio
import contextlib
import io
import json
from types import SimpleNamespace

import httpx2
import numpy as np
import pytest
from google import genai
from google.genai import types as genai_types
from PIL import Image

from evalkit.masks import rle_encode
from evalkit.simulator import start_simulator
from evalkit.types import GroundTruth, ImageRef, Sample

HEIGHT_PX, WIDTH_PX = 120, 160


def picture(grey):
    """Return the bytes of a plain PNG photograph; another ``grey`` is another file."""
    stream = io.BytesIO()
    Image.fromarray(np.full((HEIGHT_PX, WIDTH_PX, 3), grey, dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def disc(centre_y, centre_x, radius):
    """Return a disc as run lengths."""
    rows, columns = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    return rle_encode((rows - centre_y) ** 2 + (columns - centre_x) ** 2 <= radius**2)


def make_sample(sample_id, expression, regions, grey=0):
    """Return a sample whose image bytes travel in it."""
    return Sample(
        dataset="toy",
        split="val",
        sample_id=sample_id,
        image_id=f"grey-{grey}",
        image=ImageRef(f"grey-{grey}.png", inline=picture(grey)),
        expression=expression,
        truth=GroundTruth(HEIGHT_PX, WIDTH_PX, tuple(regions)),
    )


@pytest.fixture(scope="session")
def samples():
    """Five samples: equal expressions on two images, one expression inside another, no target."""
    return [
        make_sample("left", "the disc", [disc(40, 50, 20)], grey=0),
        make_sample("other", "the disc", [disc(70, 100, 30)], grey=90),
        make_sample("both", "the disc and the ball", [disc(40, 50, 20), disc(85, 115, 15)], grey=0),
        make_sample("ball", "the ball", [disc(85, 115, 15)], grey=0),
        make_sample("none", "a unicorn", [], grey=90),
    ]


@pytest.fixture
def start(samples):
    """Return a function that starts a simulator without latency; all are closed after the test."""
    with contextlib.ExitStack() as stack:

        def starter(faults=(), **settings):
            settings = {"latency_s": 0.0, **settings}
            given = settings.pop("samples", samples)
            return stack.enter_context(start_simulator(given, faults=faults, **settings))

        yield starter


@contextlib.asynccontextmanager
async def open_client(base_url, *, api_key="x", api_version="v1beta", **settings):
    """Yield the real google-genai client over its own httpx2 client, closed afterwards."""
    # Plain HTTP: loading certificates would take most of a test's time.
    with httpx2.Client(verify=False) as blocking:
        async with httpx2.AsyncClient(verify=False) as http:
            options = genai_types.HttpOptions(
                base_url=base_url, api_version=api_version, httpx_client=blocking, httpx_async_client=http
            )
            settings = settings or {"api_key": api_key, "vertexai": False}
            client = genai.Client(http_options=options, **settings)
            try:
                yield client
            finally:
                client.close()


def question_parts(sample, *, image=None):
    """Return the image part and the text part of a mask question."""
    data = image if image is not None else sample.image.inline
    return [
        genai_types.Part.from_bytes(data=data, mime_type="image/png"),
        f"Give the segmentation masks for {sample.expression}. Output a JSON list.",
    ]


async def ask_async(client, sample, model="gemini-2.5-flash", *, image=None, **config):
    """Ask one question and return the parsed body and the headers."""
    response = await client.aio.models.generate_content(
        model=model,
        contents=question_parts(sample, image=image),
        config=genai_types.GenerateContentConfig(
            should_return_http_response=True, automatic_continuation=False, **config
        ),
    )
    raw = response.sdk_http_response
    return json.loads(raw.body), dict(raw.headers)


def ask(base_url, sample, model="gemini-2.5-flash", *, image=None, client_settings=None, **config):
    """Ask one question through a client of its own; return the parsed body."""

    async def once():
        async with open_client(base_url, **(client_settings or {})) as client:
            body, _ = await ask_async(client, sample, model, image=image, **config)
            return body

    return asyncio.run(once())


def text_of(body):
    """Return the joined text parts of an answer that are no thoughts."""
    parts = body["candidates"][0]["content"].get("parts", [])
    return "".join(part["text"] for part in parts if not part.get("thought"))


def items_of(body):
    """Return the items of a fenced or bare JSON list."""
    return json.loads(text_of(body).removeprefix("```json").removesuffix("```"))


@pytest.fixture(scope="session")
def wire():
    """Return the helpers above: tests cannot import a conftest."""
    return SimpleNamespace(
        ask=ask,
        ask_async=ask_async,
        open_client=open_client,
        question_parts=question_parts,
        text_of=text_of,
        items_of=items_of,
        labels=lambda body: [item["label"] for item in items_of(body)],
        picture=picture,
        disc=disc,
        make_sample=make_sample,
    )
