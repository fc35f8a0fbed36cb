"""Each kind of extension from a throwaway package: as an installed entry point, and as package.module:name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from evalkit.cli.app import main
from evalkit.config.schema import load_config
from evalkit.decoding import decode_answer
from evalkit.decoding.settings import DecodeSettings
from evalkit.errors import ConfigError
from evalkit.metrics.names import metric_of_rule
from evalkit.metrics.protocols import PROTOCOLS
from evalkit.scoring import engine

PARTS = '''
"""One part of every kind: half of each picture is the target, in a layout and a wire format of its own."""

from pathlib import Path
from typing import Literal

import numpy as np

from evalkit.config.models import ModelEntry
from evalkit.decoding import MaskRead, Unreadable, WireFormat
from evalkit.masks import rle_encode
from evalkit.metrics.protocols import Protocol
from evalkit.metrics.table import Metric
from evalkit.models import Provider
from evalkit.types import CropMask, GroundTruth, ImageRef, Response, Sample


def half(height, width, side):
    mask = np.zeros((height, width), dtype=bool)
    mask[:, : width // 2] = side == "left"
    mask[:, width // 2 :] = side == "right"
    return mask


def load(entry, directory):
    """A layout: every PNG of a folder is one sample, its left half the target."""
    for path in sorted(Path(entry.path).glob("*.png")):
        truth = GroundTruth(20, 40, (rle_encode(half(20, 40, "left")),))
        yield Sample(entry.name, "all", path.stem, path.stem, ImageRef(str(path)), "the left half", truth)


class HalfEntry(ModelEntry):
    """A provider's own keys."""

    side: Literal["left", "right"] = "left"


class HalfModel:
    def __init__(self, entry):
        self.name, self.requested_model, self.side = entry.name, "half", entry.side

    def prompt_for(self, sample):
        return sample.expression

    async def ask(self, question):
        text = '[{"mask": "half:' + self.side + '"}]'
        return Response(body=text, text=text)

    async def close(self):
        pass


PROVIDER = Provider(
    entry=HalfEntry, open=lambda entry, context: HalfModel(entry), priced=False, billed=False
)


def read(value, context):
    side = value.removeprefix("half:")
    if side not in ("left", "right"):
        raise Unreadable("mask_placeholder")
    crop = half(context.height_px, context.width_px, side)
    return MaskRead(CropMask(context.height_px, context.width_px, 0, 0, crop))


FORMAT = WireFormat(
    "half", "half:left or half:right", lambda value: value.startswith("half:"), read, ("text",), needs_box=False
)


def aggregate(rows):
    return {"found": float((rows["iou"] > 0).mean())}


PROTOCOL = Protocol("halves", "a test", aggregate)


def area(rows):
    counted = rows.answered.astype(float)
    return np.where(rows.answered, rows.numbers("pred_area") / 800, 0.0), counted


METRIC = Metric("area", "area of the image", "mean share of the image that is marked", area, ())
'''

NAMES = {
    "evalkit.providers": ("thrown-model", "PROVIDER"),
    "evalkit.datasets": ("thrown-layout", "load"),
    "evalkit.wire_formats": ("thrown-format", "FORMAT"),
    "evalkit.protocols": ("thrown-protocol", "PROTOCOL"),
    "evalkit.metrics": ("thrown-metric", "METRIC"),
}
"""Group of entry points -> the name declared, and the object in the module."""

INSTALLED = {group: name for group, (name, _) in NAMES.items()}

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that lays a package with entry points on the path, as an installer would."""

    def lay(module: str, source: str, points: dict[str, dict[str, str]], name: str = "thrown-away") -> Path:
        site = tmp_path / "site"
        information = site / f"{name.replace('-', '_')}-1.5.dist-info"
        information.mkdir(parents=True)
        (site / f"{module}.py").write_text(source)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        sections = [
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in declared.items())
            for group, declared in points.items()
        ]
        (information / "entry_points.txt").write_text("\n".join(sections))
        monkeypatch.setattr(sys, "path", [str(site), *sys.path])
        return site

    yield lay
    for loaded in [key for key in sys.modules if key.startswith(("thrown_", "beside_"))]:
        del sys.modules[loaded]


def declare(module: str) -> dict[str, dict[str, str]]:
    """Return entry points for every part of a module."""
    return {group: {name: f"{module}:{part}"} for group, (name, part) in NAMES.items()}


def write_config(folder: Path, names: dict[str, str], samples: int = 3) -> Path:
    """Write pictures and a run of two models over them, every part by the name of its kind."""
    (folder / "pictures").mkdir(exist_ok=True)
    for number in range(samples):
        Image.fromarray(np.full((20, 40, 3), number, dtype=np.uint8)).save(
            folder / "pictures" / f"{number}.png"
        )
    config = folder / "own.yaml"
    config.write_text(f"""
name: own
datasets: [{{name: halves, format: '{names["evalkit.datasets"]}', path: pictures}}]
models:
  - {{name: left, provider: '{names["evalkit.providers"]}'}}
  - {{name: right, provider: '{names["evalkit.providers"]}', side: right}}
decode: {{formats: ['{names["evalkit.wire_formats"]}']}}
score: {{protocol: '{names["evalkit.protocols"]}', metrics: ['{names["evalkit.metrics"]}']}}
gate: [{{metric: '{names["evalkit.metrics"]}', min: 0.1, confidence: 0.6}}]
""")
    return config


def invoke(*arguments: object) -> Result:
    """Run a command of evalkit."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def check_run(run: Path, names: dict[str, str]) -> None:
    """Check the numbers that follow from halves: one model is right everywhere, the other nowhere."""
    results = {row["model"]: row for row in json.loads((run / "summary.json").read_text())["results"]}
    for model, iou in (("left", 1.0), ("right", 0.0)):
        result = results[model]
        assert result["giou"]["value"] == iou
        assert result["protocol"]["name"] == names["evalkit.protocols"]
        found = result["protocol"]["found"]
        assert found["value"] == iou
        assert found["low"] - 1e-12 <= iou <= found["high"] + 1e-12
        assert found["low"] < found["high"]
        assert result["metrics"][names["evalkit.metrics"]]["value"] == 0.5
        assert result["wire_formats"] == {"half": result["n"]}
        assert result["cost_usd"] == 0.0
        assert result["strict_failure_rate"]["value"] == 0.0


def test_every_protocol_goes_from_run_to_history(tmp_path: Path) -> None:
    """Each shipped protocol and one of one's own: its numbers are compared, gated and followed by their names."""
    (tmp_path / "thrown_parts.py").write_text(PARTS)
    own = {group: f"thrown_parts:{part}" for group, (_, part) in NAMES.items()}
    config = write_config(tmp_path, own, samples=4)
    first = {name: protocol.keys[0] for name, protocol in PROTOCOLS.items() if name != "default"}
    first[own["evalkit.protocols"]] = "found"
    content = yaml.safe_load(config.read_text())
    (entry,) = content["datasets"]
    sets = {f"set-{number}": name for number, name in enumerate(first)}
    content["datasets"] = [entry | {"name": name, "protocol": sets[name]} for name in sets]
    content["gate"] = [
        {
            "metric": f"protocol.{first[protocol]}",
            "dataset": name,
            "min": -0.1,
            "max_drop": 0.5,
            "confidence": 0.51,
        }
        for name, protocol in sets.items()
    ]
    config.write_text(yaml.safe_dump(content))
    run = tmp_path / "runs" / "night"
    asked = invoke("run", config, "--out", run)
    assert asked.exit_code == 0, asked.output
    results = json.loads((run / "summary.json").read_text())["results"]
    undefined = {
        result["dataset"] for result in results if result["protocol"][first[sets[result["dataset"]]]] is None
    }
    # These two ask for what the answers lack: boxes of one's own.
    assert {sets[name] for name in undefined} <= {"coco-ap-box", "gseval-box"}
    gate = invoke("gate", run, "--baseline", run, "--json")
    judged = {
        check["dataset"]: check for check in json.loads(gate.stdout)["checks"] if check["bound"] == "max_drop"
    }
    compared = json.loads(invoke("compare", run, "--json").stdout)
    pairs = {pair["dataset"]: pair for pair in compared["pairs"]}
    followed = json.loads(invoke("history", run.parent, "--json").stdout)
    for name in set(sets) - undefined:
        metric = f"protocol.{first[sets[name]]}"
        assert judged[name]["metric"] == metric, sets[name]
        assert judged[name]["status"] == "pass", sets[name]
        assert metric in json.dumps(pairs[name]), sets[name]
        assert metric in json.dumps([one for one in followed["series"] if one["dataset"] == name]), sets[name]


def test_a_number_that_no_protocol_has_is_refused_before_the_run(tmp_path: Path) -> None:
    """Under evalkit's own protocols with the nearest name, and by the gate of a run; under one's own it is told."""
    (tmp_path / "thrown_parts.py").write_text(PARTS)
    own = {group: f"thrown_parts:{part}" for group, (_, part) in NAMES.items()}
    config = write_config(tmp_path, own)
    content = yaml.safe_load(config.read_text())
    content["gate"] = [{"metric": "protocol.fuond", "min": 0.1}]
    config.write_text(yaml.safe_dump(content))
    run = tmp_path / "run"
    assert invoke("run", config, "--out", run).exit_code == 0
    told = invoke("gate", run)
    assert "inconclusive" in told.output
    assert "protocol.found" in told.output
    content["score"]["protocol"] = "saco"
    content["gate"] = [{"metric": "protocol.cgf2", "min": 0.1}]
    config.write_text(yaml.safe_dump(content))
    refused = invoke("run", config, "--out", tmp_path / "other")
    assert refused.exit_code == 2
    assert "own.yaml:" in refused.output
    assert "protocol.cgf1" in refused.output
    scored = invoke("score", run, "--protocol", "saco", "--out", tmp_path / "scored")
    assert scored.exit_code == 0, scored.output
    judged = invoke("gate", tmp_path / "scored")
    assert judged.exit_code == 2
    assert "'protocol.fuond' is not a metric" in judged.output


def test_an_installed_package_gives_every_kind_of_part(install: Install, tmp_path: Path) -> None:
    """Layout, provider, wire format, protocol and metric are found by their names, from run to gate and re-scoring."""
    install("thrown_parts", PARTS, declare("thrown_parts"))
    config, run = write_config(tmp_path, INSTALLED), tmp_path / "run"
    asked = invoke("run", config, "--out", run)
    assert asked.exit_code == 0, asked.output
    check_run(run, INSTALLED)
    before = (run / "summary.json").read_bytes(), pd.read_parquet(run / "scores.parquet")
    assert invoke("score", run).exit_code == 0
    assert (run / "summary.json").read_bytes() == before[0]
    pd.testing.assert_frame_equal(pd.read_parquet(run / "scores.parquet"), before[1])
    gate = invoke("gate", run)
    assert gate.exit_code == 0, gate.output
    assert "thrown-metric" in gate.output
    page = (run / "report" / "index.html").read_text()
    assert "half" in page
    assert "area of the image" in page
    assert "As the evaluator of thrown-protocol counts" in page
    compared = invoke("compare", run, "--json")
    assert compared.exit_code == 0, compared.output
    assert "thrown-metric" in compared.output


def test_modules_beside_the_config_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """package.module:name needs no installation, and a run scored elsewhere finds the same modules."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (home / "beside_parts.py").write_text(PARTS)
    names = {group: f"beside_parts:{part}" for group, (_, part) in NAMES.items()}
    config, run = write_config(home, names), elsewhere / "run"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}

    def call(*arguments: object) -> None:
        command = [sys.executable, "-m", "evalkit", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    call("run", config, "--out", run)
    check_run(run, names)
    call("score", run, "--out", elsewhere / "again")
    call("gate", run)
    assert (elsewhere / "again" / "summary.json").read_bytes() == (run / "summary.json").read_bytes()


def test_worker_processes_see_the_parts(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows scored in a pool are those scored in one process, wire format and protocol of the user's included."""
    from evalkit.scoring.score import score_run
    from evalkit.storage.run_folder import RunFolder

    install("thrown_parts", PARTS, declare("thrown_parts"))
    run = tmp_path / "run"
    asked = invoke("run", write_config(tmp_path, INSTALLED), "--out", run)
    assert asked.exit_code == 0, asked.output
    before = pd.read_parquet(run / "scores.parquet")
    monkeypatch.setattr(engine, "INLINE_JOBS", 0)
    monkeypatch.setattr(engine.os, "cpu_count", lambda: 2)
    score_run(RunFolder(run))
    pd.testing.assert_frame_equal(pd.read_parquet(run / "scores.parquet"), before)


BROKEN = "raise RuntimeError('needs a newer numpy')\n"


@pytest.mark.parametrize("group", sorted(NAMES))
def test_a_broken_package_is_told_only_where_it_is_used(install: Install, tmp_path: Path, group: str) -> None:
    """Everything else goes on beside it; using it names the distribution and what its import raised."""
    install("thrown_parts", PARTS, declare("thrown_parts"))
    install("thrown_broken", BROKEN, {one: {"broken": "thrown_broken:X"} for one in NAMES}, name="rotten")
    good = write_config(tmp_path, INSTALLED)
    assert invoke("plan", good).exit_code == 0
    refused = invoke("run", write_config(tmp_path, INSTALLED | {group: "broken"}), "--out", tmp_path / "r")
    assert refused.exit_code == 2
    assert "rotten 1.5" in refused.output
    assert "RuntimeError: needs a newer numpy" in refused.output
    assert "Traceback" not in refused.output
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("group", "own"),
    [
        ("evalkit.providers", "python"),
        ("evalkit.datasets", "jsonl"),
        ("evalkit.wire_formats", "rle"),
        ("evalkit.protocols", "lisa"),
        ("evalkit.metrics", "miou"),
    ],
)
def test_a_name_of_evalkits_own_is_refused_to_others(
    install: Install, tmp_path: Path, group: str, own: str
) -> None:
    """Which of two is meant cannot be told, so neither is taken; other names are not touched by it."""
    install("thrown_parts", PARTS, declare("thrown_parts"))
    taken = write_config(tmp_path, INSTALLED | {group: own})
    install("thrown_clash", PARTS, {group: {own: f"thrown_clash:{NAMES[group][1]}"}}, name="greedy")
    refused = invoke("run", taken, "--out", tmp_path / "run")
    assert refused.exit_code == 2
    assert f"'{own}' is evalkit's own" in refused.output
    assert "greedy 1.5" in refused.output
    assert invoke("plan", write_config(tmp_path, INSTALLED)).exit_code == 0


@pytest.mark.parametrize("name", ["not_run", "cost_usd", "latency_s.p95"])
def test_a_metric_cannot_take_the_name_of_a_gate(install: Install, name: str) -> None:
    """A rule of that name would judge by the one or by the other."""
    install("thrown_parts", PARTS, {"evalkit.metrics": {name: "thrown_parts:METRIC"}})
    with pytest.raises(ConfigError, match="a rule of evalkit's own"):
        metric_of_rule(name)


@pytest.mark.parametrize("group", sorted(NAMES))
def test_an_unknown_name_lists_installed_ones_and_the_nearest(
    install: Install, tmp_path: Path, group: str
) -> None:
    """What a package declares is as known as what evalkit brings."""
    install("thrown_parts", PARTS, declare("thrown_parts"))
    name = INSTALLED[group]
    refused = invoke("run", write_config(tmp_path, INSTALLED | {group: f"{name}x"}), "--out", tmp_path / "r")
    assert refused.exit_code == 2
    assert f"Did you mean '{name}'?" in refused.output


@pytest.mark.parametrize("group", sorted(NAMES))
def test_an_object_of_another_kind_is_refused(install: Install, tmp_path: Path, group: str) -> None:
    """A name that leads to something else says what was wanted."""
    install("thrown_parts", PARTS + "\nNUMBER = 3\n", declare("thrown_parts"))
    names = INSTALLED | {group: "thrown_parts:NUMBER"}
    refused = invoke("run", write_config(tmp_path, names), "--out", tmp_path / "r")
    assert refused.exit_code == 2
    assert "of type int: it has to be" in refused.output


@pytest.mark.parametrize("group", sorted(NAMES))
def test_a_missing_module_and_a_missing_name_say_so(install: Install, tmp_path: Path, group: str) -> None:
    """The two slips of a reference, told apart."""
    install("thrown_parts", PARTS, declare("thrown_parts"))
    for reference, said in (
        ("thrown_nowhere:X", "the module thrown_nowhere cannot be imported"),
        ("thrown_parts:PROTOCOLL", "thrown_parts has no 'PROTOCOLL'. Did you mean 'PROTOCOL'?"),
    ):
        names = INSTALLED | {group: reference}
        refused = invoke("run", write_config(tmp_path, names), "--out", tmp_path / "r")
        assert refused.exit_code == 2
        assert said in refused.output


def test_two_packages_of_one_name_are_refused(install: Install, tmp_path: Path) -> None:
    """Neither of two installed packages wins in silence."""
    install("thrown_parts", PARTS, declare("thrown_parts"))
    install("thrown_twin", PARTS, declare("thrown_twin"), name="twin")
    with pytest.raises(
        ConfigError, match=r"declared by 2 installed packages, thrown-away 1\.5 and twin 1\.5"
    ):
        load_config(write_config(tmp_path, INSTALLED))


def test_a_format_is_asked_only_about_its_own_kind_of_values(install: Install, tmp_path: Path) -> None:
    """A reader of text never sees the lists and objects of other answers, which keep their own formats."""
    install("thrown_parts", PARTS, declare("thrown_parts"))
    settings = DecodeSettings(formats=("thrown-format",))
    for mask in (
        "[[0, 0], [0, 900], [900, 900]]",
        '{"size": [20, 40], "counts": [0, 800]}',
        "3",
        '["half:left"]',
    ):
        plain = decode_answer(f'[{{"mask": {mask}}}]', height_px=20, width_px=40)
        own = decode_answer(f'[{{"mask": {mask}}}]', height_px=20, width_px=40, settings=settings)
        if "half" in mask:
            assert [item.wire_format for item in own.items] == ["half"]
        else:
            assert [item.wire_format for item in own.items] == [item.wire_format for item in plain.items]


def test_a_reader_that_raises_is_told_as_its_own_fault(install: Install, tmp_path: Path) -> None:
    """No row vanishes because a reader of somebody else's is wrong."""
    install(
        "thrown_parts", PARTS.replace('raise Unreadable("mask_placeholder")', "pass"), declare("thrown_parts")
    )
    source = tmp_path / "site" / "thrown_parts.py"
    source.write_text(
        source.read_text().replace("    side = value", "    raise KeyError(3)\n    side = value")
    )
    refused = invoke("run", write_config(tmp_path, INSTALLED), "--out", tmp_path / "run")
    assert refused.exit_code == 2
    assert "the wire format 'thrown-format': `reads` raised KeyError: 3" in refused.output


def test_a_metric_of_a_wrong_shape_is_refused(install: Install, tmp_path: Path) -> None:
    """A pair that is not one number a row is no metric."""
    install("thrown_parts", PARTS.replace(", counted\n", ", counted[:1]\n"), declare("thrown_parts"))
    refused = invoke("run", write_config(tmp_path, INSTALLED), "--out", tmp_path / "run")
    assert refused.exit_code == 2
    assert "one finite number per row" in refused.output


def test_a_strangers_folder_is_not_searched(tmp_path, monkeypatch):
    """Only one whose config the user ran, or that the variable names."""
    from evalkit import extensions

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv(extensions.FOLDERS_VARIABLE, raising=False)
    searched = []
    monkeypatch.setattr(extensions, "search_in", searched.append)
    extensions.search_in_own(tmp_path / "a")
    assert searched == []
    extensions.remember_own(tmp_path / "a")
    extensions.search_in_own(tmp_path / "a")
    monkeypatch.setenv(extensions.FOLDERS_VARIABLE, str(tmp_path / "b"))
    extensions.search_in_own(tmp_path / "b")
    extensions.search_in_own(tmp_path / "c")
    assert searched == [tmp_path / "a", tmp_path / "b"]
