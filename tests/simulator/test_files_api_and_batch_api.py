"""Files and Batch API through the real client: uploads, expiry, states, keyed results in any order."""

import asyncio
import base64
import io
import json
import time
from datetime import timedelta

import pytest
from google.genai import errors
from google.genai import types as genai_types

HOUR_S = 3600


def run(wire, simulator, script, persona="perfect"):
    """Run ``script(client)`` with a client of its own."""

    async def once():
        async with wire.open_client(simulator.url_for(persona)) as client:
            return await script(client)

    return asyncio.run(once())


def upload(client, data, mime_type, **config):
    """Upload bytes; return the coroutine."""
    settings = genai_types.UploadFileConfig(mime_type=mime_type, **config)
    return client.aio.files.upload(file=io.BytesIO(data), config=settings)


def batch_line(sample, key, image=b""):
    """Return one JSONL line of a batch."""
    data = base64.b64encode(image or sample.image.inline).decode()
    parts = [
        {"inline_data": {"mime_type": "image/png", "data": data}},
        {"text": f"Give the segmentation masks for {sample.expression}."},
    ]
    return json.dumps({"key": key, "request": {"contents": [{"parts": parts, "role": "user"}]}})


async def submit(client, lines, model="gemini-2.5-flash"):
    """Upload the lines and create the job."""
    data = "\n".join(lines).encode()
    source = await upload(client, data, "application/jsonl", display_name="requests.jsonl")
    return await client.aio.batches.create(model=model, src=source.name, config={"display_name": "toy"})


async def wait_for_end(client, job):
    """Poll until the job is no longer pending or running; return it and the states seen."""
    seen = [job.state.name]
    while seen[-1] in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING"):
        await asyncio.sleep(0.03)
        job = await client.aio.batches.get(name=job.name)
        seen.append(job.state.name)
    return job, list(dict.fromkeys(seen))


async def results(client, job):
    """Download the results file and return its lines."""
    data = await client.aio.files.download(file=job.dest.file_name)
    return [json.loads(line) for line in data.decode().splitlines()]


def test_an_uploaded_image_is_asked_about_by_its_uri(start, wire, samples):
    """The file's bytes tell which of two equal expressions is meant."""
    simulator = start()

    async def script(client):
        file = await upload(client, samples[1].image.inline, "image/png", display_name="grey")
        answer = await client.aio.models.generate_content(
            model="gemini-2.5-flash", contents=[file, "Segment the disc."]
        )
        return file, answer

    file, answer = run(wire, simulator, script)
    assert file.state.name == "ACTIVE"
    assert file.size_bytes == len(samples[1].image.inline)
    assert file.expiration_time - file.create_time == timedelta(hours=48)
    assert answer.text
    assert simulator.requests[-1].sample_id == "other"
    assert [entry.operation for entry in simulator.requests] == ["files", "files", "generate"]


def test_large_files_arrive_in_chunks(start, wire):
    """More than 8 MiB: two chunks, the second finalizes; every byte counts."""
    data = bytes(range(256)) * (36 * 1024)
    simulator = start()

    async def script(client):
        return await upload(client, data, "application/octet-stream")

    file = run(wire, simulator, script)
    assert file.size_bytes == len(data)
    assert [entry.operation for entry in simulator.requests] == ["files"] * 3


def test_files_are_got_listed_deleted_and_then_forbidden(start, wire):
    """A deleted file answers 403, as if it were somebody else's."""

    async def script(client):
        file = await upload(client, b"{}", "application/jsonl")
        got = await client.aio.files.get(name=file.name)
        listed = [one.name async for one in await client.aio.files.list()]
        await client.aio.files.delete(name=file.name)
        with pytest.raises(errors.ClientError) as caught:
            await client.aio.files.get(name=file.name)
        return file, got, listed, caught.value

    file, got, listed, error = run(wire, start(), script)
    assert got.sha256_hash == file.sha256_hash
    assert listed == [file.name]
    assert (error.code, error.status) == (403, "PERMISSION_DENIED")


def test_files_expire_after_48_hours(start, wire, samples):
    """One second before it is there; at 48 hours asking with it is 403."""
    simulator = start()

    async def script(client):
        file = await upload(client, samples[0].image.inline, "image/png")
        simulator.advance_clock(48 * HOUR_S - 60)
        await client.aio.files.get(name=file.name)
        simulator.advance_clock(61)
        with pytest.raises(errors.ClientError) as caught:
            await client.aio.models.generate_content(
                model="gemini-2.5-flash", contents=[file, "Segment the disc."]
            )
        return caught.value

    assert run(wire, simulator, script).code == 403


def test_a_batch_passes_its_states_and_gives_keyed_results_of_live_quality(start, wire, samples):
    """Pending, running, succeeded; each key has the answer that a live call gets; the order differs."""
    simulator = start()
    lines = [batch_line(sample, f"k-{sample.sample_id}-{n}") for n in range(4) for sample in samples]

    async def script(client):
        job, seen = await wait_for_end(client, await submit(client, lines))
        return job, seen, await results(client, job)

    job, seen, answered = run(wire, simulator, script)
    assert seen == ["JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED"]
    assert job.model == "models/gemini-2.5-flash"
    keys = [line["key"] for line in answered]
    asked = [json.loads(line)["key"] for line in lines]
    assert sorted(keys) == sorted(asked)
    assert keys != asked
    by_key = {line["key"]: wire.text_of(line["response"]) for line in answered}
    live = wire.text_of(wire.ask(simulator.url_for("perfect"), samples[2]))
    assert by_key["k-both-0"] == live


def test_single_lines_fail_by_themselves(start, wire, samples):
    """A scripted and a malformed line are errors with their keys; the rest is answered."""
    fault = {"kind": "internal", "operation": "batch_line", "samples": ["ball"]}
    simulator = start(faults=[fault])
    lines = [batch_line(sample, sample.sample_id) for sample in samples]
    lines.append(batch_line(samples[0], "damaged", image=b"no image"))

    async def script(client):
        job, _ = await wait_for_end(client, await submit(client, lines))
        return job, await results(client, job)

    job, answered = run(wire, simulator, script)
    assert job.state.name == "JOB_STATE_SUCCEEDED"
    failed = {line["key"]: line["error"]["code"] for line in answered if "error" in line}
    assert failed == {"ball": 500, "damaged": 400}
    assert sum("response" in line for line in answered) == 4


@pytest.mark.parametrize(
    ("kind", "state"), [("batch_failed", "JOB_STATE_FAILED"), ("batch_expired", "JOB_STATE_EXPIRED")]
)
def test_whole_jobs_fail_and_expire(start, wire, samples, kind, state):
    """No results file then; the operation carries an error."""
    simulator = start(faults=[{"kind": kind}])

    async def script(client):
        return await wait_for_end(client, await submit(client, [batch_line(samples[0], "a")]))

    job, seen = run(wire, simulator, script)
    assert seen[-1] == state
    assert job.dest is None or job.dest.file_name is None


def test_a_job_can_be_cancelled_found_again_and_deleted(start, wire, samples):
    """Another client finds the job by its name, as after a crash; a deleted one is 404."""
    simulator = start(faults=[{"kind": "batch_slow", "pending_s": 0.0, "running_s": 600}])

    async def create(client):
        return (await submit(client, [batch_line(samples[0], "a")])).name

    name = run(wire, simulator, create)

    async def cancel(client):
        running = await client.aio.batches.get(name=name)
        await client.aio.batches.cancel(name=name)
        cancelled = await client.aio.batches.get(name=name)
        listed = [one.name async for one in await client.aio.batches.list()]
        await client.aio.batches.delete(name=name)
        with pytest.raises(errors.ClientError) as caught:
            await client.aio.batches.get(name=name)
        return running.state.name, cancelled.state.name, listed, caught.value.code

    assert run(wire, simulator, cancel) == ("JOB_STATE_RUNNING", "JOB_STATE_CANCELLED", [name], 404)


def test_time_moves_a_slow_job_on(start, wire, samples):
    """The service's clock decides; results wait for the work to be done."""
    simulator = start(faults=[{"kind": "batch_slow", "pending_s": 3600, "running_s": 3600}])

    async def script(client):
        job = await submit(client, [batch_line(samples[0], "a")])
        states = [job.state.name]
        for _ in range(2):
            simulator.advance_clock(3601)
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                states.append((await client.aio.batches.get(name=job.name)).state.name)
                if states[-1] != states[-2]:
                    break
                await asyncio.sleep(0.02)
        return states

    seen = run(wire, simulator, script)
    assert list(dict.fromkeys(seen)) == ["JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED"]


def test_inline_requests_come_back_inline_with_their_metadata(start, wire, samples):
    """Inline requests have no key; metadata is echoed."""
    simulator = start()

    async def script(client):
        request = genai_types.InlinedRequest(
            contents=[
                genai_types.Content(
                    role="user",
                    parts=[
                        genai_types.Part.from_bytes(data=samples[3].image.inline, mime_type="image/png"),
                        genai_types.Part.from_text(text="Segment the ball."),
                    ],
                )
            ],
            metadata={"key": "ball", "my_note": "b"},
        )
        job = await client.aio.batches.create(model="gemini-2.5-flash", src=[request])
        return (await wait_for_end(client, job))[0]

    answered = run(wire, simulator, script).dest.inlined_responses
    assert [one.metadata for one in answered] == [{"key": "ball", "my_note": "b"}]
    assert "box_2d" in answered[0].response.text


@pytest.mark.parametrize("data", [b"not json\n", b'["a list"]\n'])
def test_a_malformed_input_file_is_400(start, wire, data):
    """The job is not created."""

    async def script(client):
        source = await upload(client, data, "application/jsonl")
        with pytest.raises(errors.ClientError) as caught:
            await client.aio.batches.create(model="gemini-2.5-flash", src=source.name)
        return caught.value.code

    assert run(wire, start(), script) == 400
