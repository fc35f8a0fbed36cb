"""What scores and page are made from, as digests: a finished run is left as it is only where each is as it was.

Kept in the manifest's entry ``scoring`` beside the counts of ``scoring_state``: ``basis`` over evalkit's own code,
the packages that can change a number or a picture, the config as it reads today and the files it names; ``answers``
over every row of the ledger; ``files`` over the files that were written. Nothing rests on a time or a version alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.config.shown import masked
from evalkit.storage.ledger import Ledger
from evalkit.version import installed_versions

if TYPE_CHECKING:
    from evalkit.config.schema import RunConfig

DRAWING_PACKAGES = ("matplotlib", "jinja2")
"""Packages that change what a page looks like and no number."""

CODE = (".py", ".yaml", ".html", ".css", ".js")
"""Endings of the files that decide what evalkit does."""


def scoring_basis(
    config: RunConfig, models: Sequence[str], protocols: Mapping[str, str], samples: Path, ledger: Path
) -> dict[str, Any] | None:
    """Return ``basis`` and ``answers``; None where a part of the user's takes part, whose code may change unseen.

    ``models``: those that were asked so far. ``protocols``: dataset -> protocol. Reads every answer's bytes once, which
    costs about a hundredth of scoring them.
    """
    if _own_parts(config, protocols):
        return None
    parts = {
        "made_by": made_by(),
        "config": masked(config.model_dump(mode="json")),
        "models": list(models),
        "protocols": dict(protocols),
        "codebook": [digest_of_file(path) for path in _codebook_files(config.decode.token_codebook)],
        "samples": digest_of_file(samples),
    }
    with Ledger(ledger, read_only=True) as opened:
        answers = opened.digest()
    return {"basis": _digest(parts), "answers": answers}


@cache
def made_by() -> str:
    """Return a digest of evalkit's own code and of the versions it stands on."""
    package = Path(__file__).parents[1]
    code = {
        path.relative_to(package).as_posix(): digest_of_file(path)
        for path in sorted(package.rglob("*"))
        if path.suffix in CODE
    }
    drawing = {name: metadata.version(name) for name in DRAWING_PACKAGES}
    return _digest([code, installed_versions(), drawing])


def digest_of_file(path: Path) -> str | None:
    """Return the SHA-256 of a file's bytes, None where there is no such file."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def digest_of_folder(folder: Path, *, without: str) -> str:
    """Return a digest of all names and bytes below a folder, but of one file at its top."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / without]
    return _digest([[path.relative_to(folder).as_posix(), digest_of_file(path)] for path in files])


def digests_of_files(paths: Sequence[Path]) -> dict[str, str | None]:
    """Return name -> digest of the files that a scoring has written."""
    return {path.name: digest_of_file(path) for path in paths}


def _own_parts(config: RunConfig, protocols: Mapping[str, str]) -> bool:
    """Tell whether a provider, wire format, metric or protocol is not evalkit's own."""
    from evalkit.config.models import PROVIDER_KIND
    from evalkit.decoding.formats import WIRE_FORMAT_KIND
    from evalkit.metrics.protocols import PROTOCOL_KIND

    return (
        bool(config.score.metrics)
        or any(name not in WIRE_FORMAT_KIND.built_in for name in config.decode.formats)
        or any(name not in PROTOCOL_KIND.built_in for name in protocols.values())
        or any(entry.provider not in PROVIDER_KIND.built_in for entry in config.models)
    )


def _codebook_files(path: str | None) -> list[Path]:
    """Return a codebook and the file beside it that proves it (``decoding.token_codebook``)."""
    return [] if path is None else [Path(path), Path(path).with_suffix(".known.npz")]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
