"""CPU per live sample: evalkit's whole path against bare google-genai, in the same run.

A server in another process answers every request with the same fenced JSON and one 256 x 256 PNG
mask (10 kB), after 200 ms. Both clients send a 640 x 480 JPEG of about 80 kB inline, 64 in flight.
``bare``: ``generate_content`` and a PNG decode, as a script would. ``evalkit``: pace, call, ledger
(SQLite, synchronous FULL), decoding for the progress line. Only this process's user and system
time counts. Rounds alternate, the median of the ratios is the result.

    .venv/bin/python benchmarks/live_overhead.py [SAMPLES] [ROUNDS]
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

IN_FLIGHT = 64
LATENCY_S = 0.2


def photograph() -> bytes:
    """Return a 640 x 480 JPEG of about 80 kB."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8))
    stream = io.BytesIO()
    small.resize((640, 480), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=72)
    return stream.getvalue()


def answer_body() -> bytes:
    """Return a generateContent body with one mask; its PNG is noisy at the edge so as to have 7 kB."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:256, :256]
    soft = np.clip(255 - 2 * np.hypot(rows - 128, columns - 128) + rng.normal(0, 12, (256, 256)), 0, 255)
    stream = io.BytesIO()
    Image.fromarray(
        (soft > 127).astype(np.uint8) * 255 - (rng.random((256, 256)) < 0.02).astype(np.uint8)
    ).save(stream, "PNG")
    url = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    text = "```json\n" + json.dumps([{"box_2d": [300, 280, 720, 710], "mask": url, "label": "cup"}]) + "\n```"
    return json.dumps(
        {
            "candidates": [
                {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0}
            ],
            "usageMetadata": {"promptTokenCount": 1100, "candidatesTokenCount": 500, "totalTokenCount": 1600},
            "modelVersion": "gemini-2.5-flash",
            "responseId": "x",
        }
    ).encode()


async def serve() -> None:
    """Answer every POST on a free port, which is printed first."""
    reply = answer_body()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(reply)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                header = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in header.lower().split(b"\r\n")
                    if line.startswith(b"content-length")
                )
                await reader.readexactly(length)
                await asyncio.sleep(LATENCY_S)
                writer.write(head + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=2**22)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def in_parallel(count: int, one: Any) -> None:
    """Run ``one(number)`` for every number, ``IN_FLIGHT`` at a time."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await one(number)

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))


async def bare(base_url: str, data: bytes, count: int) -> None:
    """Do what a script with google-genai does: call, cut out the JSON, decode the PNG."""
    from google import genai
    from google.genai import types

    client = genai.Client(
        vertexai=False, api_key="x", http_options=types.HttpOptions(base_url=base_url, api_version="v1beta")
    )
    config = types.GenerateContentConfig(
        temperature=0, automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
    )

    async def one(number: int) -> None:
        response = await client.aio.models.generate_content(
            model="gemini-2.5-flash",
            contents=[
                types.Part.from_bytes(data=data, mime_type="image/jpeg"),
                f"Give the masks for thing {number}.",
            ],
            config=config,
        )
        text = (response.text or "").removeprefix("```json\n").removesuffix("\n```")
        coded = json.loads(text)[0]["mask"].split(",", 1)[1]
        np.asarray(Image.open(io.BytesIO(base64.b64decode(coded))))

    await in_parallel(count, one)
    await client.aio.aclose()


def whole_path(base_url: str, image: Path, folder: Path, count: int) -> Any:
    """Return a coroutine that runs evalkit's own loop over ``count`` samples; no scoring, no report."""
    from evalkit.config.schema import RunConfig
    from evalkit.progress import Progress
    from evalkit.runner.loop import ask_all
    from evalkit.runner.prepare import RunPlan
    from evalkit.types import GroundTruth, ImageRef, Polygons, Sample

    config = RunConfig.model_validate(
        {
            "name": "overhead",
            "datasets": [{"name": "d"}],
            "models": [
                {
                    "name": "m",
                    "provider": "gemini",
                    "model": "gemini-2.5-flash",
                    "base_url": base_url,
                    "generation": {"temperature": 0},
                    "limits": {"concurrency": IN_FLIGHT},
                }
            ],
        }
    )
    truth = GroundTruth(480, 640, (Polygons(((10.0, 10.0, 300.0, 10.0, 300.0, 300.0),)),))
    samples = tuple(
        Sample("d", "val", f"s{n}", f"i{n // 3}", ImageRef(str(image)), f"thing {n}", truth)
        for n in range(count)
    )
    plan = RunPlan(config, tuple(config.models), samples, folder, resumes=False, limit=None)
    return ask_all(plan, Progress(quiet=True))


def cpu_ms(work: Any, count: int) -> float:
    """Run a coroutine; return this process's CPU per sample in ms."""
    before = os.times()
    asyncio.run(work)
    after = os.times()
    return (after.user + after.system - before.user - before.system) * 1000 / count


def main() -> None:
    """Measure and print both, and their ratio."""
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    os.environ["NO_PROXY"] = "127.0.0.1"
    server = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        base_url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        data = photograph()
        with tempfile.TemporaryDirectory() as directory:
            image = Path(directory) / "photograph.jpg"
            image.write_bytes(data)
            print(
                f"image {len(data) / 1000:.0f} kB, answer {len(answer_body()) / 1000:.1f} kB, {count} samples a round"
            )
            pairs = []
            for number in range(rounds + 1):
                theirs = cpu_ms(bare(base_url, data, count), count)
                begun = time.perf_counter()
                ours = cpu_ms(whole_path(base_url, image, Path(directory) / f"run{number}", count), count)
                wall = time.perf_counter() - begun
                if number:  # the first round imports and warms up
                    pairs.append((theirs, ours))
                    print(
                        f"round {number}: bare {theirs:.2f} ms, evalkit {ours:.2f} ms, {count / wall:.0f} samples/s"
                    )
    finally:
        server.terminate()
        server.wait()
    print(
        f"median: bare {statistics.median(p[0] for p in pairs):.2f} ms, evalkit {statistics.median(p[1] for p in pairs):.2f} ms, "
        f"ratio {statistics.median(ours / theirs for theirs, ours in pairs):.2f} (target 1.00)"
    )


if __name__ == "__main__":
    main()
