"""Settings of every test: no proxy stands between a test and its own server."""

import os

os.environ["NO_PROXY"] = "127.0.0.1,localhost"
os.environ["no_proxy"] = "127.0.0.1,localhost"
for key in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GEMINI_BASE_URL"):
    os.environ.pop(key, None)


def pytest_report_header():
    """Print the versions that can change a number at the head of every test run."""
    from evalkit.runner.manifest import versions

    return "evalkit stands on " + ", ".join(f"{name} {version}" for name, version in versions().items())
