"""Settings of every test: no proxy stands between a test and its own server."""

import os

from hypothesis import settings

os.environ["NO_PROXY"] = "127.0.0.1,localhost"
os.environ["no_proxy"] = "127.0.0.1,localhost"
for key in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GEMINI_BASE_URL"):
    os.environ.pop(key, None)


def pytest_report_header():
    """Print the versions that can change a number at the head of every test run."""
    from evalkit.runner.manifest import versions

    return "evalkit stands on " + ", ".join(f"{name} {version}" for name, version in versions().items())


# `make test` draws the same examples every time; `make fuzz` searches at random, and what it finds becomes an `@example`.
settings.register_profile("repeatable", derandomize=True, database=None)
settings.register_profile("fuzz", max_examples=5_000, deadline=None)
settings.load_profile(os.environ.get("EVALKIT_HYPOTHESIS_PROFILE", "repeatable"))
