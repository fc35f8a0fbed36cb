"""No secret of a config or of the environment reaches a file or a stream, whatever goes wrong on the way."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner

from evalkit.cli.app import main
from evalkit.types import Sample

PASSWORD = "pass-w0rd-of-somebody"
TOKEN = "t0ken-that-nobody-may-read"
KEY = "AIza-a-key-that-must-never-be-written-anywhere"
PROXY = f"http://me:{PASSWORD}@127.0.0.1:9"
SECRETS = (PASSWORD, TOKEN, KEY)

MODULE = f"""
import os
def raises(image, expression):
    raise ValueError("cannot reach https://me:{PASSWORD}@host/?token={TOKEN} with " + os.environ["GEMINI_API_KEY"])
"""


def told(arguments: list[str]) -> str:
    """Return all that a command says, with the traceback of what it raises."""
    ended = CliRunner().invoke(main, arguments)
    raised = "" if ended.exception is None else "".join(traceback.format_exception(ended.exception))
    return f"{ended.stdout}{ended.stderr}{raised}"


def unpacked(path: Path) -> str:
    """Return what a file holds as text, also where it is packed."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path).to_csv()
    if path.suffix != ".sqlite":
        return path.read_bytes().decode("utf-8", "replace")
    with contextlib.closing(sqlite3.connect(path)) as opened:
        rows = opened.execute("SELECT body, body_bytes, error FROM attempts").fetchall()
        meta = opened.execute("SELECT * FROM meta").fetchall()
    packed = [pa.decompress(body, size, codec="zstd", asbytes=True) for body, size, _ in rows if body]
    return repr([meta, packed, [error for *_, error in rows]])


def everything(folder: Path) -> str:
    """Return all that the files below a folder hold."""
    return "".join(unpacked(path) for path in folder.rglob("*") if path.is_file())


ENTRIES: dict[str, Callable[[str], dict[str, Any]]] = {
    "answered": lambda port: {
        "base_url": f"http://me:{PASSWORD}@127.0.0.1:{port}/persona/perfect?key=${{TOK}}"
    },
    "refused": lambda port: {"base_url": f"http://me:{PASSWORD}@127.0.0.1:{port}/${{TOK}}?api_key={TOKEN}"},
    "nothing listens": lambda port: {"base_url": f"http://me:{PASSWORD}@127.0.0.1:9/${{TOK}}?token={TOKEN}"},
    "by a proxy": lambda port: {"base_url": f"https://me:{PASSWORD}@nowhere.invalid/${{TOK}}?token={TOKEN}"},
    "unreadable": lambda port: {"base_url": f"http://me:{PASSWORD}@127.0.0.1:{port}0000/?token={TOKEN}"},
    "extra_body": lambda port: {
        "base_url": f"http://127.0.0.1:{port}/persona/perfect",
        "generation": {"extra_body": {"api_key": TOKEN, "labels": {"note": "${TOK}", "password": PASSWORD}}},
    },
    "function": lambda port: {"provider": "python", "function": "leaky:raises"},
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_secrets_are_written_nowhere(
    entry: Callable[[str], dict[str, Any]],
    simulate: Callable[..., Any],
    samples: list[Sample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every command is given with `--debug`; each file and both streams are looked through."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for name, value in {"GEMINI_API_KEY": KEY, "TOK": TOKEN, "HTTPS_PROXY": PROXY}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "leaky.py").write_text(MODULE)
    lines = [
        {
            "id": sample.sample_id,
            "image": sample.image.path,
            "expression": sample.expression,
            "mask": sample.truth.instances[0].to_json(),
        }
        for sample in samples[:2]
    ]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = {"name": "m", "provider": "gemini", "model": "gemini-2.5-flash", "limits": {"max_attempts": 1}}
    given = model | entry(str(simulate().port))
    if given["provider"] == "python":
        del given["model"]
    config = {
        "name": "t",
        "datasets": [{"name": "d", "format": "jsonl", "path": "d.jsonl"}],
        "models": [given],
    }
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    out = tmp_path / "made"
    commands = (
        ["doctor", "c.yaml"],
        ["run", "c.yaml", "--out", "made/run", "--yes"],
        ["report", "made/run"],
        ["gate", "made/run", "--junit", "made/gate.xml", "--markdown", "made/gate.md"],
        ["export", "made/run", "--to", "csv"],
        ["history", "made", "--page", "made/history.html"],
        ["ask", samples[0].image.path, "a thing", "--config", "c.yaml", "--out", "made/ask.png"],
    )
    seen = "".join(told(["--debug", *command]) for command in commands) + told(
        ["run", "c.yaml", "--out", "made/run"]
    )
    if out.exists():
        seen += everything(out)
    found = [seen[max(0, seen.index(secret) - 200) :][:300] for secret in SECRETS if secret in seen]
    assert not found
