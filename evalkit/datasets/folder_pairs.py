"""A folder of photographs with masks of the same stem -> pairs, so that a file of samples can be written from it."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import DataError

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif")
MASK_PICTURES = (".png", ".bmp", ".tif", ".tiff", ".gif")

MASK_ENDING = re.compile(r"[-_. ](mask|masks|seg|segmentation|label|labels|gt|annotation)$", re.IGNORECASE)
MASK_FOLDER = re.compile(
    r"^(masks?|segs?|segmentations?|labels?|gt|annotations?|ground[-_ ]?truth)$", re.IGNORECASE
)

WORD = re.compile(r"[^\W\d_]{3,}")
CAMERA_WORDS = {
    "img",
    "dsc",
    "dscn",
    "dscf",
    "pxl",
    "image",
    "photo",
    "picture",
    "frame",
    "scan",
    "mvimg",
    "jpeg",
}
"""Words of file names that cameras give: they describe nothing."""

SHOWN = 5


@dataclass(frozen=True, slots=True)
class PicturePair:
    """One photograph and its mask, as paths relative to the folder; ``stem`` names both."""

    stem: str
    image: str
    mask: str


def find_pairs(folder: Path) -> list[PicturePair]:
    """Return the pairs of a folder and its subfolders, by stem. Raises ``DataError`` where a picture has no partner.

    A mask is a picture in a folder called ``masks`` (``labels``, ``gt``, ...), one whose name ends in ``_mask``
    (``_seg``, ...), or else the PNG beside a photograph of another kind and the same stem.
    """
    images: dict[str, list[str]] = defaultdict(list)
    masks: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.suffix.lower() not in PICTURES or not path.is_file() or _hidden(relative):
            continue
        named_mask = MASK_ENDING.search(path.stem)
        is_mask = path.suffix.lower() in MASK_PICTURES and (
            named_mask is not None or any(MASK_FOLDER.match(part) for part in relative.parts[:-1])
        )
        stem = MASK_ENDING.sub("", path.stem) if is_mask else path.stem
        (masks if is_mask else images)[stem].append(relative.as_posix())
    for stem, paths in images.items():
        if stem not in masks and len(paths) == 2:
            _split_by_kind(stem, paths, masks)
    return _paired(folder, images, masks)


def _hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _split_by_kind(stem: str, paths: list[str], masks: dict[str, list[str]]) -> None:
    """Take the PNG of two pictures of one stem for the mask where the other is of another kind."""
    pngs = [path for path in paths if path.lower().endswith(".png")]
    if len(pngs) == 1:
        masks[stem].append(pngs[0])
        paths.remove(pngs[0])


def _paired(folder: Path, images: dict[str, list[str]], masks: dict[str, list[str]]) -> list[PicturePair]:
    if not images:
        raise DataError(f"{folder}: holds no photographs ({', '.join(PICTURES)})")
    for what, found in (("photographs", images), ("masks", masks)):
        for stem, paths in found.items():
            if len(paths) > 1:
                raise DataError(
                    f"{folder}: {len(paths)} {what} are called '{stem}' ({', '.join(paths[:SHOWN])}): which belongs to "
                    "which cannot be told. Give each a stem of its own, or list the samples in a CSV file"
                )
    alone = sorted(images.keys() ^ masks.keys())
    if alone:
        names = [(images.get(stem) or masks[stem])[0] for stem in alone]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise DataError(
            f"{folder}: {len(alone)} pictures have no partner of the same stem: {', '.join(names[:SHOWN])}{more}. A "
            "photograph `desk.jpg` wants its mask as masks/desk.png, desk_mask.png or desk.png beside it"
        )
    return [PicturePair(stem, images[stem][0], masks[stem][0]) for stem in sorted(images)]


def words_of(stem: str) -> str | None:
    """Return the words of a file name as an expression (``red-cup_2`` -> ``red cup``), None where it has none."""
    words = [word for word in re.split(r"[-_. ]+", stem) if WORD.search(word)]
    told = [word for word in words if word.lower() not in CAMERA_WORDS]
    return " ".join(told) if told else None
