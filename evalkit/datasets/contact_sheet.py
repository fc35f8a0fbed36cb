"""A contact sheet: photographs with the ground truth outlined and the expression in the caption."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.errors import DataError
from evalkit.images import read_image
from evalkit.masks import region_mask
from evalkit.types import Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4
CELL_WIDTH_IN, CELL_HEIGHT_IN = 4.0, 3.6
CAPTION_CHARACTERS = 52
UNKNOWN_SIZE_HW = (360, 480)
"""The cell of a photograph that is missing and whose size nothing says, in pixels."""

TARGET_COLOURS = ("#00e5ff", "#ff2d55", "#ffd60a", "#30d158", "#bf5af2", "#ff9f0a")
"""Outlines of the target objects in turn; all stand out on photographs and from each other."""

FALLBACK_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans JP",
    "Noto Sans SC",
    "IPAGothic",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Noto Sans Devanagari",
    "Lohit Devanagari",
    "Noto Naskh Arabic",
    "Noto Sans Arabic",
    "FreeSans",
    "Arial Unicode MS",
)
"""Fonts with scripts that Matplotlib's own DejaVu Sans lacks; those that are installed are used."""


def spread(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """Return at most ``limit`` samples, evenly spaced over the whole dataset."""
    if len(samples) <= limit:
        return list(samples)
    return [samples[index * len(samples) // limit] for index in range(limit)]


def draw_sheet(samples: Sequence[Sample], out: Path) -> list[str]:
    """Write a PNG with a cell per sample; return notes on what could not be shown as it is.

    Photographs that cannot be read leave a grey cell with the reason. Letters for which no font is
    installed appear as boxes, and the note says which.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not samples:
        raise DataError("there is no sample to draw: the split is empty")
    columns = min(COLUMNS, len(samples))
    rows = -(-len(samples) // columns)
    figure = Figure(figsize=(columns * CELL_WIDTH_IN, rows * CELL_HEIGHT_IN), dpi=100, layout="tight")
    FigureCanvasAgg(figure)
    fonts = installed_fonts()
    notes = []
    for index in range(rows * columns):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_axis_off()
        if index < len(samples):
            notes += _draw_cell(axes, samples[index], fonts)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(out, format="png")
    return notes + _missing_glyphs(caught)


def installed_fonts() -> list[str]:
    """Return DejaVu Sans and the installed fonts for other scripts, in the order they are tried."""
    from matplotlib import font_manager

    present = {entry.name for entry in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in FALLBACK_FONTS if name in present)]


def _draw_cell(axes: Axes, sample: Sample, fonts: list[str]) -> list[str]:
    from PIL import Image

    truth, notes = sample.truth, []
    try:
        sent = read_image(sample.image, (truth.width_px, truth.height_px))
        picture = np.asarray(Image.open(io.BytesIO(sent.data)).convert("RGB"))
    except (DataError, OSError) as error:
        size_hw = (truth.height_px, truth.width_px) if truth.size_known else UNKNOWN_SIZE_HW
        picture = np.full((*size_hw, 3), 200, dtype=np.uint8)
        notes.append(f"{sample.sample_id}: {error}")
        axes.text(0.5, 0.5, "photograph not readable", transform=axes.transAxes, ha="center")
    axes.imshow(picture)
    for number, region in enumerate(truth.instances):
        mask_hw = region_mask(region, truth.height_px, truth.width_px)
        _outline(axes, mask_hw, TARGET_COLOURS[number % len(TARGET_COLOURS)])
    if truth.ignore is not None:
        ignored_hw = region_mask(truth.ignore, truth.height_px, truth.width_px)
        axes.contourf(ignored_hw, levels=[0.5, 1.5], colors="none", hatches=["////"])
    axes.set_title(_caption(sample), fontsize=9, family=fonts, loc="left")
    return notes


def _outline(axes: Axes, mask_hw: Any, colour: str) -> None:
    """Draw a mask's outline twice, dark below light, so that it shows on any background."""
    padded = np.pad(mask_hw.astype(np.uint8), 1)
    xs, ys = np.arange(-1, mask_hw.shape[1] + 1), np.arange(-1, mask_hw.shape[0] + 1)
    if mask_hw.any():
        axes.contour(xs, ys, padded, levels=[0.5], colors="black", linewidths=2.6)
        axes.contour(xs, ys, padded, levels=[0.5], colors=colour, linewidths=1.4)


def _caption(sample: Sample) -> str:
    words = textwrap.wrap(sample.expression, CAPTION_CHARACTERS, max_lines=3, placeholder=" ...") or [
        "(no text)"
    ]
    kind = "no target" if sample.truth.no_target else f"{len(sample.truth.instances)} target"
    plural = "s" if len(sample.truth.instances) > 1 else ""
    # A dollar sign would start Matplotlib's mathematics.
    return "\n".join([*words, f"[{sample.sample_id} · {kind}{plural}]"]).replace("$", r"\$")


def _missing_glyphs(caught: list[warnings.WarningMessage]) -> list[str]:
    """Return a note on letters without a font; warnings about anything else go on as warnings."""
    missing = sorted({_letter_name(w) for w in caught if "missing from" in str(w.message)})
    for warning in caught:
        if "missing from" not in str(warning.message):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if not missing:
        return []
    shown = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
    advice = "install for example fonts-noto-cjk or fonts-noto-core"
    return [f"{len(missing)} letters have no installed font and appear as boxes ({shown}); {advice}"]


def _letter_name(warning: warnings.WarningMessage) -> str:
    """Return the Unicode name out of Matplotlib's warning about a glyph, for example hiragana letter a."""
    words = str(warning.message).split(" missing from")[0]
    return words.split("{")[1].split("}")[0].lower() if "{" in words else words
