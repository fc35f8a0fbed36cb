"""The configs that ship with evalkit: `evalkit demo` runs one, `evalkit init --template` copies one."""

from __future__ import annotations

from pathlib import Path

from evalkit.errors import ConfigError, nearest


def shipped_configs() -> dict[str, Path]:
    """Return every shipped config by name: of the checkout, or of the installed package (``evalkit/_configs``)."""
    package = Path(__file__).parents[1]
    for folder in (package / "_configs", package.parent / "configs"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return {}


def shipped_config(name: str) -> Path:
    """Return the path of one shipped config. Raises ``ConfigError`` listing the known ones."""
    known = shipped_configs()
    if name not in known:
        raise ConfigError(f"there is no template '{name}'.{nearest(name, known)}")
    return known[name]


def summary_of(path: Path) -> str:
    """Return what a config says of itself: the sentence its first comment begins with."""
    comment = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    return " ".join(comment).partition(". ")[0].rstrip(".:")
