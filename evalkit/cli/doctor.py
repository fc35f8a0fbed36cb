"""``evalkit doctor``: is everything in place? Versions, keys, endpoints, models, clock, disk.

Every check is a line with what to do about it. The value of a key is never shown. Endpoints are
asked for a model's description (``models.get``), which costs nothing.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from evalkit.errors import EvalkitError
from evalkit.extensions import nothing_imported
from evalkit.models.google.client import KEY_VARIABLES

if TYPE_CHECKING:
    from evalkit.config.models import ModelEntry
    from evalkit.config.schema import RunConfig

PACKAGES = (
    "evalkit-segmentation",
    "google-genai",
    "aiohttp",
    "httpx2",
    "numpy",
    "pillow",
    "pycocotools",
    "scipy",
    "pyarrow",
)
EXTRAS = {"pillow_heif": "heic", "gcsfs": "gcs", "s3fs": "s3", "distributed": "dask", "openai": "openai"}
SURPRISES = ("GOOGLE_GEMINI_BASE_URL", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_API_VERSION", "HTTPS_PROXY")
"""Variables that the SDK would follow and evalkit pins (or, for a proxy, uses): worth knowing."""

LEAST_FREE_GB = 2.0
MOST_CLOCK_SKEW_S = 60.0

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class DoctorLine:
    """One line of the report; a ``problem`` will stop a run."""

    level: Level
    what: str
    said: str

    def text(self) -> str:
        """Return the line."""
        mark = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}[self.level]
        return f"{mark}  {self.what}: {self.said}"


def doctor(config_path: str | None = None) -> list[DoctorLine]:
    """Return every finding; with a config, its endpoints and models are asked too."""
    findings = [*_installed(), *_environment(), _disk(Path.cwd())]
    if config_path is None:
        return findings
    from evalkit.models.config_file import load_run_config

    with nothing_imported():
        try:
            config = load_run_config(config_path)
        except EvalkitError as error:
            return [*findings, DoctorLine("problem", "config", str(error))]
        valid = DoctorLine("ok", "config", f"{config_path} is valid")
        return [*findings, valid, *asyncio.run(_models(config))]


def _installed() -> list[DoctorLine]:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    found = [
        DoctorLine("ok", "installed", f"Python {platform.python_version()} on {sys.platform}; {versions}")
    ]
    extras = [extra for module, extra in EXTRAS.items() if find_spec(module) is not None]
    missing = [extra for extra in EXTRAS.values() if extra not in extras]
    found.append(
        DoctorLine(
            "note",
            "extras",
            f"installed: {', '.join(extras) or 'none'}; not installed: {', '.join(missing) or 'none'}",
        )
    )
    return found


def _environment() -> list[DoctorLine]:
    named = [name for name in KEY_VARIABLES if os.environ.get(name, "").strip()]
    if named:
        both = f" ({named[0]} is used)" if len(named) > 1 else ""
        found = [DoctorLine("ok", "key", f"{' and '.join(named)} set{both}")]
    else:
        found = [
            DoctorLine(
                "note", "key", "no GEMINI_API_KEY: only local endpoints and the simulator can be asked"
            )
        ]
    surprises = [name for name in SURPRISES if os.environ.get(name)]
    if surprises:
        found.append(
            DoctorLine(
                "note", "environment", f"{', '.join(surprises)} set: say it in the config where it is meant"
            )
        )
    return found


def _disk(folder: Path) -> DoctorLine:
    free_gb = shutil.disk_usage(folder).free / 1e9
    level: Level = "ok" if free_gb >= LEAST_FREE_GB else "problem"
    return DoctorLine(level, "disk", f"{free_gb:.1f} GB free in {folder} (a stored answer takes 1 to 10 kB)")


async def _models(config: RunConfig) -> list[DoctorLine]:
    """Return a finding for each model, and one for the clock from the first answer that tells the time."""
    checked = await asyncio.gather(*(_model(entry, config) for entry in config.models))
    findings = [finding for finding, _ in checked]
    skews = [skew_s for _, skew_s in checked if skew_s is not None]
    return [*findings, _clock(skews[0])] if skews else findings


async def _model(entry: ModelEntry, config: RunConfig) -> tuple[DoctorLine, float | None]:
    from evalkit.models import check_access, check_models, find_provider

    what = f"model {entry.name}"
    try:
        check_models([entry], config)
        check_access([entry])
        provider = find_provider(entry.provider)
        if provider.describe is None:
            return DoctorLine("ok", what, f"{entry.provider} is ready"), None
        said, skew_s = await provider.describe(entry)
    except EvalkitError as error:
        return DoctorLine("problem", what, str(error)), None
    warnings = provider.warnings(entry, dt.datetime.now(dt.UTC).date())
    if warnings:
        return DoctorLine("note", what, f"{said}; {'; '.join(warnings)}"), skew_s
    return DoctorLine("ok", what, said), skew_s


def _clock(skew_s: float) -> DoctorLine:
    if abs(skew_s) <= MOST_CLOCK_SKEW_S:
        return DoctorLine("ok", "clock", f"within {max(abs(skew_s), 1):.0f} s of the endpoint's")
    side = "ahead of" if skew_s > 0 else "behind"
    return DoctorLine(
        "problem",
        "clock",
        f"{abs(skew_s):.0f} s {side} the endpoint's: dated prices and tokens of access go wrong",
    )
