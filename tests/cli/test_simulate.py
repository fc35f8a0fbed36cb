"""``evalkit simulate`` as a user runs it: a process of its own, stopped by Ctrl-C."""

import json
import signal
import subprocess
import sys
import urllib.request

import pytest
from click.testing import CliRunner
from support.simulator_fixtures import samples, start, wire

from evalkit.cli.app import main

__all__ = ["samples", "start", "wire"]

CONFIG = """\
name: toy
seed: 4
datasets: [{name: mine, format: jsonl, path: mine.jsonl}]
models: [{name: m, provider: gemini, model: gemini-2.5-flash}]
"""


@pytest.fixture
def config(tmp_path, wire):
    """Write a config with one sample to disk."""
    (tmp_path / "grey.png").write_bytes(wire.picture(7))
    mask = {"size": [120, 160], "counts": wire.disc(40, 50, 20).counts.decode()}
    line = {"id": "a", "image": "grey.png", "expression": "the grey disc", "mask": mask}
    (tmp_path / "mine.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "run.yaml").write_text(CONFIG)
    return tmp_path / "run.yaml"


def test_it_serves_a_configs_dataset_until_interrupted(config, tmp_path):
    """The printed address answers about the config's own sample; Ctrl-C ends it with exit code 0."""
    command = [sys.executable, "-u", "-m", "evalkit", "simulate", "--port", "0", "--latency", "0"]
    process = subprocess.Popen([*command, "--config", str(config)], stdout=subprocess.PIPE, text=True)
    try:
        lines = [process.stdout.readline() for _ in range(5)]
        base_url = lines[0].split()[3]
        body = {"contents": [{"parts": [{"text": "Segment the grey disc."}]}]}
        request = urllib.request.Request(
            f"{base_url}/persona/perfect/v1beta/models/gemini-2.5-flash:generateContent",
            data=json.dumps(body).encode(),
            headers={"x-goog-api-key": "simulated"},
        )
        with urllib.request.urlopen(request) as response:
            answer = json.load(response)
        assert '"label": "the grey disc"' in answer["candidates"][0]["content"]["parts"][0]["text"]
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert process.returncode == 0
    assert "Stopped after 1 requests." in rest
    assert "base_url" in "".join(lines)


def test_a_taken_port_and_a_bad_fault_file_are_one_paragraph(config, tmp_path, start):
    """Exit code 2, no traceback, the way out."""
    simulator = start()
    taken = CliRunner().invoke(main, ["simulate", "--port", str(simulator.port), "--config", str(config)])
    assert taken.exit_code == 2
    assert "Give another --port" in taken.output
    faults = tmp_path / "faults.yaml"
    faults.write_text("- {kind: unavailabel}\n")
    broken = CliRunner().invoke(main, ["simulate", "--faults", str(faults), "--config", str(config)])
    assert broken.exit_code == 2
    assert "faults.yaml: fault 1" in broken.output
    assert "Did you mean 'unavailable'" in broken.output
