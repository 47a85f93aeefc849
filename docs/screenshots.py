"""Take the pictures of the README: a board and a symbol of a seeded market, light and dark."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.servers import Site, find_chromium  # noqa: E402

CHROMIUM_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    """Start the site on a database of its own and look at it."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), SIMULATED_SEED="readme")
        site.manage("migrate", "--verbosity", "0")
        site.manage("loadcatalogue", "--verbosity", "0")
        try:
            shoot(site.start().url)
        finally:
            site.stop()


def shoot(url: str) -> None:
    """Save docs/board-light.png, docs/symbol-light.png, and the same in dark."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_OPTIONS)
        for scheme in ("light", "dark"):
            page = browser.new_page(
                viewport={"width": 1280, "height": 900}, color_scheme=scheme, device_scale_factor=1
            )
            page.goto(f"{url}/boards/crypto/")
            page.locator(".quotes-pulse.pulse-live").wait_for()
            page.locator(".quotes-spark path").nth(30).wait_for(state="attached")
            page.locator("[data-flash]").first.wait_for()
            page.screenshot(path=ROOT / "docs" / f"board-{scheme}.png")
            page.goto(f"{url}/symbols/BTC-USD/?range=6m")
            page.locator(".quotes-pulse.pulse-live").wait_for()
            page.locator(".quotes-chart .tag").wait_for()
            page.screenshot(path=ROOT / "docs" / f"symbol-{scheme}.png")


if __name__ == "__main__":
    main()
