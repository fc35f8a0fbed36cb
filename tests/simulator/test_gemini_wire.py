"""generateContent as the real client sees it: matching, bodies, usage, latency, the log."""

import asyncio
import base64
import io
import json
import time
import urllib.request

import pytest
from google.genai import types as genai_types
from PIL import Image

NO_THINKING = genai_types.ThinkingConfig(thinking_budget=0)


def post(url, message, **headers):
    """Send a hand-written body, as another client than google-genai would; return the parsed answer."""
    request = urllib.request.Request(
        url,
        data=json.dumps(message).encode(),
        headers={"Content-Type": "application/json", "x-goog-api-key": "x", **headers},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def test_answers_about_the_sample_of_the_image_and_the_longest_expression(start, wire, samples):
    """Equal expressions are told apart by the image, nested ones by their length."""
    simulator = start()
    for sample in samples:
        wire.ask(simulator.url_for("perfect"), sample)
    assert [entry.sample_id for entry in simulator.requests] == [sample.sample_id for sample in samples]


def reduced(data):
    """Return an image at half its size, as another file."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(data)).resize((80, 60)).save(stream, "JPEG", quality=80)
    return stream.getvalue()


def test_finds_reduced_images_by_the_expression_and_by_their_looks(start, wire, samples):
    """A reduced image has other bytes; equal expressions are told apart by what the picture shows."""
    simulator = start()
    for sample in samples[:3]:
        wire.ask(simulator.url_for("perfect"), sample, image=reduced(sample.image.inline))
    assert [entry.sample_id for entry in simulator.requests] == ["left", "other", "both"]


def test_expressions_with_outer_blanks_are_found(start, wire):
    """Prompts may trim what the annotation file did not."""
    sample = wire.make_sample("blank", " the odd one ", [wire.disc(40, 50, 20)])
    simulator = start(samples=[sample])
    trimmed = wire.make_sample("blank", "the odd one", [])
    wire.ask(simulator.url_for("perfect"), trimmed)
    assert simulator.requests[0].sample_id == "blank"


def test_says_so_in_prose_when_no_sample_is_known(start, wire):
    """A question about something else gets no invented mask and no sample in the log."""
    simulator = start()
    body = wire.ask(simulator.base_url, wire.make_sample("x", "a zebra crossing", []))
    assert "box_2d" not in wire.text_of(body)
    assert simulator.requests[0].sample_id is None


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1beta1"])
@pytest.mark.parametrize("prefix", ["", "/persona/perfect"])
def test_serves_every_version_with_and_without_a_persona(start, wire, samples, version, prefix):
    """The same question is answered on each documented path."""
    simulator = start()
    settings = {"api_version": version}
    body = wire.ask(simulator.base_url + prefix, samples[3], client_settings=settings)
    assert body["modelVersion"] == "gemini-2.5-flash"
    assert simulator.requests[0].path == f"{prefix}/{version}/models/gemini-2.5-flash:generateContent"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize(
    ("data_key", "inline_key", "config_key", "budget_path"),
    [
        ("inlineData", "mimeType", "generationConfig", ("thinkingConfig", "thinkingBudget")),
        ("inline_data", "mime_type", "generation_config", ("thinking_config", "thinking_budget")),
        ("inlineData", "mime_type", "generationConfig", ("thinkingConfig", "thinking_budget")),
    ],
)
def test_reads_both_key_spellings_and_both_base64_alphabets(
    start, wire, samples, encode, data_key, inline_key, config_key, budget_path
):
    """Clients mix camelCase and snake_case in one request, and differ in their base64."""
    simulator = start()
    image = wire.picture(251)  # its base64 has both letters that the alphabets write differently
    sample = wire.make_sample("left", "the disc", [wire.disc(40, 50, 20)], grey=251)
    other = wire.make_sample("other", "the disc", [wire.disc(40, 50, 20)], grey=0)
    simulator = start(samples=[other, sample])
    message = {
        "contents": [
            {
                "parts": [
                    {data_key: {"data": encode(image).decode(), inline_key: "image/png"}},
                    {"text": "Segment the disc."},
                ]
            }
        ],
        config_key: {budget_path[0]: {budget_path[1]: 0}},
    }
    body = post(f"{simulator.url_for('perfect')}/v1beta/models/gemini-2.5-flash:generateContent", message)
    assert simulator.requests[0].sample_id == "left"
    assert "thoughtsTokenCount" not in body["usageMetadata"]


def test_only_the_last_question_counts_after_examples(start, wire, samples):
    """Prompts may show images with their answers first."""
    simulator = start()
    example, sample = samples[2], samples[4]
    parts = [*wire.question_parts(example), "[]", *wire.question_parts(sample)]

    async def once():
        async with wire.open_client(simulator.url_for("perfect")) as client:
            await client.aio.models.generate_content(model="gemini-2.5-flash", contents=parts)

    asyncio.run(once())
    assert simulator.requests[0].sample_id == "none"


def test_the_same_question_gets_the_same_answer_in_any_order(start, wire, samples):
    """Resumed and retried runs must end in equal scores."""
    first, second = start(seed=3), start(seed=3)
    forwards = {s.sample_id: wire.ask(first.url_for("polygons"), s) for s in samples}
    backwards = {s.sample_id: wire.ask(second.url_for("polygons"), s) for s in reversed(samples)}
    assert forwards == backwards
    again = {s.sample_id: wire.ask(first.url_for("polygons"), s) for s in samples}
    assert again == forwards


def test_seeds_of_the_simulator_and_of_the_request_change_the_answer(start, wire, samples):
    """Trials differ by the request's seed, simulations by their own."""
    texts = {
        wire.text_of(wire.ask(start(seed=seed).url_for("png-masks"), samples[0], seed=asked))
        for seed in (1, 2)
        for asked in (10, 11)
    }
    assert len(texts) == 4


def test_usage_follows_the_published_image_rule_and_the_thinking_settings(start, wire, samples):
    """160 x 120 px is one tile of 258 tokens for 2.5, 1120 tokens for 3; budget 0 leaves thoughts out."""
    simulator = start()
    flash = wire.ask(simulator.url_for("perfect"), samples[0], thinking_config=NO_THINKING)["usageMetadata"]
    newer = wire.ask(simulator.url_for("perfect"), samples[0], "gemini-3.6-flash")["usageMetadata"]
    images = [
        next(d["tokenCount"] for d in usage["promptTokensDetails"] if d["modality"] == "IMAGE")
        for usage in (flash, newer)
    ]
    assert images == [258, 1120]
    assert "thoughtsTokenCount" not in flash
    assert newer["thoughtsTokenCount"] > 0
    for usage in (flash, newer):
        parts = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
        assert usage["totalTokenCount"] == sum(usage.get(part, 0) for part in parts)


def test_media_resolution_changes_the_image_tokens(start, wire, samples):
    """LOW is 280 tokens for the third generation (vendor page)."""
    simulator = start()
    low = genai_types.MediaResolution.MEDIA_RESOLUTION_LOW
    usage = wire.ask(simulator.base_url, samples[0], "gemini-3.6-flash", media_resolution=low)[
        "usageMetadata"
    ]
    assert {"modality": "IMAGE", "tokenCount": 280} in usage["promptTokensDetails"]


def test_the_output_limit_cuts_the_text_and_says_so(start, wire, samples):
    """MAX_TOKENS with what fitted; nothing at all when thinking took everything."""
    simulator = start()
    url = simulator.url_for("perfect")
    cut = wire.ask(url, samples[0], thinking_config=NO_THINKING, max_output_tokens=20)
    assert cut["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert len(wire.text_of(cut)) == 80
    starved = wire.ask(url, samples[0], max_output_tokens=20)
    assert starved["candidates"][0]["content"] == {"role": "model"}
    assert starved["usageMetadata"]["thoughtsTokenCount"] == 20


def test_thought_summaries_are_marked_parts(start, wire, samples):
    """include_thoughts puts a part with thought: true before the answer."""
    thinking = genai_types.ThinkingConfig(include_thoughts=True)
    body = wire.ask(start().url_for("perfect"), samples[0], thinking_config=thinking)
    parts = body["candidates"][0]["content"]["parts"]
    assert [part.get("thought", False) for part in parts] == [True, False]
    assert wire.items_of(body)


def test_the_server_header_and_the_response_id_name_the_simulator(start, wire, samples):
    """Bodies are what the real service would send, but for an id that can never pass for a real one."""
    simulator = start()

    async def once():
        async with wire.open_client(simulator.base_url) as client:
            return await wire.ask_async(client, samples[0])

    body, headers = asyncio.run(once())
    assert {name.lower(): value for name, value in headers.items()}["server"] == "evalkit-simulator"
    assert body.pop("responseId").startswith("simulated-")
    assert "simul" not in json.dumps(body).lower()


def test_the_log_knows_everything_but_the_key(start, wire, samples):
    """Neither a header's nor a query's key is kept."""
    simulator = start()
    wire.ask(simulator.base_url, samples[0], client_settings={"api_key": "hunter2-secret"})
    post(
        f"{simulator.base_url}/v1beta/models/gemini-2.5-flash:countTokens?key=hunter2-secret",
        {"contents": [{"parts": [{"text": "hello"}]}]},
    )
    assert "hunter2" not in repr(simulator.requests)
    entry = simulator.requests[0]
    assert (entry.operation, entry.persona, entry.model, entry.status, entry.sample_id) == (
        "generate",
        "png-masks",
        "gemini-2.5-flash",
        200,
        "left",
    )


def test_latency_is_spread_around_its_median_and_peaks_are_counted(start, wire, samples):
    """Twelve parallel requests on one client overlap; each waits its own seeded time."""
    simulator = start(latency_s=0.05)

    async def many():
        async with wire.open_client(simulator.base_url) as client:
            await wire.ask_async(client, samples[0])
            begun = time.perf_counter()
            await asyncio.gather(*(wire.ask_async(client, samples[n % 5], seed=n) for n in range(12)))
            return time.perf_counter() - begun

    elapsed_s = asyncio.run(many())
    assert elapsed_s < 12 * 0.05 + 1.0
    assert 2 <= simulator.peak_requests <= 12
    assert simulator.peak_connections >= simulator.peak_requests


def test_count_tokens_and_models(start, wire, samples):
    """Counting adds text and image; models.get and list know the served ids."""
    simulator = start()

    async def once():
        async with wire.open_client(simulator.base_url) as client:
            counted = await client.aio.models.count_tokens(
                model="gemini-2.5-flash", contents=wire.question_parts(samples[0])
            )
            model = await client.aio.models.get(model="gemini-3.8-flash")
            names = [one.name async for one in await client.aio.models.list()]
            return counted.total_tokens, model.name, names

    total, name, names = asyncio.run(once())
    text = f"Give the segmentation masks for {samples[0].expression}. Output a JSON list."
    assert total == 258 + -(-len(text) // 4)
    assert name == "models/gemini-3.8-flash"
    assert name in names
    assert "models/gemini-robotics-er-1.5-preview" not in names


def test_closing_frees_the_port_and_ends_open_connections(start, wire, samples):
    """A second simulator can take the port at once."""
    simulator = start()
    wire.ask(simulator.base_url, samples[0])
    simulator.close()
    again = start(port=simulator.port)
    assert wire.ask(again.base_url, samples[0])["candidates"]
