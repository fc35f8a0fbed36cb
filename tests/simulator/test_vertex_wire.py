"""Vertex paths through the real client: generateContent, and image-segmentation-001's :predict."""

import asyncio
import io

import numpy as np
import pytest
from google.genai import errors
from google.genai import types as genai_types
from google.oauth2.credentials import Credentials
from PIL import Image

from evalkit.masks import truth_mask

VERTEX = {
    "vertexai": True,
    "project": "toy-project",
    "location": "us-central1",
    "credentials": Credentials("FAKE-TOKEN"),
}


def segment(wire, simulator, sample, *, persona="perfect", prompt=None, **config):
    """Ask image-segmentation-001 and return its generated masks."""
    source = genai_types.SegmentImageSource(
        prompt=sample.expression if prompt is None else prompt,
        image=genai_types.Image(image_bytes=sample.image.inline, mime_type="image/png"),
    )

    async def once():
        url = simulator.url_for(persona)
        async with wire.open_client(url, api_version="v1beta1", **VERTEX) as client:
            response = await client.aio.models.segment_image(
                model="image-segmentation-001",
                source=source,
                config=genai_types.SegmentImageConfig(**config),
            )
            return response.generated_masks or []

    return asyncio.run(once())


def pixels(generated):
    """Return the grey values (H x W) of one generated mask."""
    return np.asarray(Image.open(io.BytesIO(generated.mask.image_bytes)))


def test_gemini_on_vertex_answers_like_the_developer_api(start, wire, samples):
    """The same question, another path, no key but a token."""
    simulator = start()
    vertex = wire.ask(
        simulator.url_for("png-masks"),
        samples[0],
        client_settings={"api_version": "v1beta1", **VERTEX},
    )
    assert vertex == wire.ask(simulator.url_for("png-masks"), samples[0])
    path = simulator.requests[0].path
    assert path.endswith(
        "/v1beta1/projects/toy-project/locations/us-central1/publishers/google/models/gemini-2.5-flash:generateContent"
    )


def test_prompt_mode_gives_a_full_image_mask_for_each_object(start, wire, samples):
    """PNG masks of the photograph's size with labels and scores."""
    masks = segment(wire, start(), samples[2], mode="PROMPT")
    assert len(masks) == 2
    union_hw = np.logical_or.reduce([pixels(one) > 0 for one in masks])
    assert (union_hw == truth_mask(samples[2].truth)).all()
    label = masks[0].labels[0]
    assert label.label == "the disc and the ball"
    assert 0 < label.score <= 1


def test_foreground_mode_needs_no_prompt_and_gives_one_mask(start, wire, samples):
    """Everything that is annotated on the photograph, known by its bytes."""
    masks = segment(wire, start(), samples[0], prompt="", mode="FOREGROUND")
    assert len(masks) == 1
    expected_hw = np.logical_or.reduce([truth_mask(samples[n].truth) for n in (0, 2, 3)])
    assert ((pixels(masks[0]) > 0) == expected_hw).all()


def test_parameters_limit_and_soften(start, wire, samples):
    """max_predictions and confidence_threshold drop masks; -1 asks for soft values."""
    simulator = start()
    assert len(segment(wire, simulator, samples[2], mode="PROMPT", max_predictions=1)) == 1
    assert segment(wire, simulator, samples[2], mode="PROMPT", confidence_threshold=0.999) == []
    soft = segment(wire, simulator, samples[0], mode="SEMANTIC", binary_color_threshold=-1)
    assert len(np.unique(pixels(soft[0]))) > 2


def test_no_target_gives_no_predictions(start, wire, samples):
    """The answer has no predictions key; the client shows None."""
    assert segment(wire, start(), samples[4], mode="PROMPT") == []


def test_answer_faults_of_predict(start, wire, samples):
    """Empty has no predictions; a filtered prompt has one without a mask."""
    empty = start(faults=[{"kind": "empty"}])
    assert segment(wire, empty, samples[0], mode="PROMPT") == []
    filtered = start(faults=[{"kind": "blocked_prompt"}])
    masks = segment(wire, filtered, samples[0], mode="PROMPT")
    assert [one.mask.image_bytes for one in masks] == [None]


def test_a_missing_prompt_is_400_and_a_scripted_404_is_not_found(start, wire, samples):
    """The model is allow-listed: most projects see a 404."""
    with pytest.raises(errors.ClientError) as caught:
        segment(wire, start(), samples[0], prompt="", mode="PROMPT")
    assert caught.value.code == 400
    closed = start(faults=[{"kind": "not_found", "model": "image-segmentation-001"}])
    with pytest.raises(errors.ClientError) as caught:
        segment(wire, closed, samples[0], mode="PROMPT")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    assert wire.ask(closed.base_url, samples[0])["candidates"]
