"""Draw docs/images/report.png: the first screen of the demo's report, in a real browser.

    evalkit run configs/demo.yaml --yes && python docs/make_screenshot.py

Needs the dependency group `browser` and Chromium (Debian's package `chromium`).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def main() -> None:
    """Take the picture; says what is missing where something is."""
    page_file = ROOT / "reports" / "demo" / "report" / "index.html"
    chromium = shutil.which("chromium")
    if not page_file.is_file() or chromium is None:
        sys.exit("needs reports/demo (evalkit run configs/demo.yaml --yes) and the Debian package chromium")
    target = ROOT / "docs" / "images" / "report.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 1180}, color_scheme="light")
        page.goto(page_file.as_uri())
        page.wait_for_timeout(500)
        page.screenshot(path=str(target))
        browser.close()
    print(target)


if __name__ == "__main__":
    main()
