"""gIoU against the threshold of the masks' grey values: one figure per dataset, as SVG and PNG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.report.data import MODEL_COLOURS
from evalkit.report.figures import MUTED, STYLE, plain_figure, save_figure, short
from evalkit.safe_text import file_part


def draw_sweep(swept: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw a sweep's results and return the files written, ``sweep-threshold*.svg`` and ``.png``."""
    import matplotlib as mpl

    datasets = list(dict.fromkeys(result["dataset"] for result in swept["results"] if result["giou"]))
    written = []
    with mpl.rc_context(STYLE):
        for dataset in datasets:
            stem = "sweep-threshold" if len(datasets) == 1 else f"sweep-threshold-{file_part(dataset)}"
            save_figure(_figure(swept, dataset), folder, stem)
            written += [folder / f"{stem}.svg", folder / f"{stem}.png"]
    return written


def _figure(swept: Mapping[str, Any], dataset: str) -> Any:
    figure, axes = plain_figure(4.8, 3.4)
    names = list(dict.fromkeys(result["model"] for result in swept["results"]))
    for result in swept["results"]:
        if result["dataset"] != dataset or result["giou"] is None:
            continue
        colour = MODEL_COLOURS[names.index(result["model"]) % len(MODEL_COLOURS)]
        thresholds = swept["thresholds"]
        axes.fill_between(
            thresholds, result["giou_low"], result["giou_high"], color=colour, alpha=0.15, linewidth=0
        )
        axes.plot(thresholds, result["giou"], color=colour, linewidth=1.8, label=short(result["model"]))
    axes.axvline(swept["threshold"], color=MUTED, linewidth=0.8, linestyle=":")
    simulated = ", simulated answers" if swept["simulated"] else ""
    axes.set(xlim=(0, 255), ylim=(0, 1.02), xlabel="threshold (dotted: the run's own)", ylabel="gIoU")
    axes.set_title(f"{dataset}{simulated}, 95 % intervals", loc="left", fontsize=9)
    axes.grid(axis="y")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(-0.02, -0.17), ncols=2)
    return figure
