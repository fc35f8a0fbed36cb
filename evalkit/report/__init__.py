"""The HTML report of a run: one folder that opens from disk, without a network.

::

    data.py           run folders -> ReportData     words.py    verdicts and codes in words
    sample_chunks.py  photographs, run lengths and details of every sample -> data/
    gallery.py        the index of all answers      figures.py  SVG and PNG
    tables.py         CSV, LaTeX, Markdown          page.py     templates -> index.html, sample.html
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def build_report(
    run_paths: Sequence[str | Path], out: str | Path | None = None, *, conventions: bool = False
) -> Path:
    """Write the report of one run, or one that compares several; return the path of its first page.

    One run: ``RUN/report/index.html``. Several: the folder ``report-<names>`` beside the first run.
    ``out`` names another folder. ``conventions``: also measure what decoding conventions and wire
    formats cost, which decodes every stored answer again under each. Holds the lock of the folder that is written.
    Raises ``DataError`` where a path is not a scored run, or where ``out`` holds something else than a report, and
    ``FolderInUse`` where another process writes there.
    """
    from evalkit.errors import DataError
    from evalkit.report.page import write_report
    from evalkit.storage.locks import SHORT_WORK_S, run_lock
    from evalkit.storage.run_folder import RunFolder

    folders = [RunFolder(path) for path in run_paths]
    target = None if out is None else Path(out)
    if not folders:
        raise DataError("a report needs at least one run folder, for example reports/demo")
    with run_lock(folders[0].written_with(target), wait_s=SHORT_WORK_S):
        return write_report(folders, target, conventions=conventions)
