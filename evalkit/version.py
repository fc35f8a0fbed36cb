"""The version, which every document that evalkit writes carries, and those of what it stands on."""

__version__ = "0.1.0"

PACKAGES = (
    "google-genai",
    "aiohttp",
    "httpx2",
    "pycocotools",
    "pillow",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
)
"""Packages whose version can change an answer or a number."""


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a number."""
    import platform
    from importlib import metadata

    found = {"python": platform.python_version()}
    for package in PACKAGES:
        found[package] = metadata.version(package)
    return found
