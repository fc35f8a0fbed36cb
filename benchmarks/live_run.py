"""Whole runs against the bare client: CPU, peak memory and its slope, and the cost of running a finished run again.

The server of ``live_overhead.py`` answers the samples of ``first_request.py``, each with one mask, 64 in flight.
``bare``: a process that sends the same questions with google-genai and decodes each mask. ``run``: `evalkit run` as a
process, from config to page. ``again``: the same command on the finished folder.

    .venv/bin/python benchmarks/live_run.py [SIZE ...]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from first_request import CONFIG, make_dataset, measure

HERE = Path(__file__).resolve().parent

BARE = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from live_overhead import bare
asyncio.run(bare(sys.argv[2], open("photograph.jpg", "rb").read(), int(sys.argv[3])))
"""

RUN = """
import sys
from evalkit.cli import main
sys.stderr = sys.stdout = open("said.txt", "w")
sys.argv = ["evalkit", "run", "c.yaml", "--out", "run", "--yes"]
main()
"""


def measure_size(size: int, base_url: str) -> float:
    """Print what one size costs; return the peak memory of the run in MB."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory) / "data"
        make_dataset(folder, size)
        live = f'model: gemini-2.5-flash, base_url: "{base_url}", limits: {{concurrency: 64}}}}'
        (folder / "c.yaml").write_text(CONFIG.replace("model: gemini-2.5-flash}", live), "utf-8")
        bare_s, _, _ = measure(BARE, folder, str(HERE), base_url, str(size))
        run_s, _, peak_mb = measure(RUN, folder)
        again_s, _, _ = measure(RUN, folder)
    print(
        f"{size:>6} samples: bare {bare_s:.2f} s, run {run_s:.2f} s of CPU, ratio {run_s / bare_s:.2f}, "
        f"peak {peak_mb:.0f} MB; again {again_s:.2f} s, {again_s / run_s:.2f} of the run",
        flush=True,
    )
    return peak_mb


def main() -> None:
    """Measure every size, and how memory grows between the smallest and the largest."""
    os.environ["NO_PROXY"] = "127.0.0.1"
    sizes = [int(size) for size in sys.argv[1:]] or [1_000, 4_000]
    command = [sys.executable, str(HERE / "live_overhead.py"), "serve"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        base_url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        peaks = [measure_size(size, base_url) for size in sizes]
    finally:
        server.terminate()
        server.wait()
    if len(sizes) > 1:
        slope_kb = (peaks[-1] - peaks[0]) * 1000 / (sizes[-1] - sizes[0])
        print(f"memory: {slope_kb:.1f} kB a sample")


if __name__ == "__main__":
    main()
