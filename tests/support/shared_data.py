"""Material that is not part of the repository: a test that needs it is skipped where it is absent."""

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(os.environ.get("EVALKIT_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


def need_shared(name: str) -> Path:
    """Return a file or folder of the shared material; skip the test where it is absent."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not in ../shared/data")
    return path
