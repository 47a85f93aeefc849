"""Take the pictures of the documents: pages of a seeded market, with the exchanges closed today."""

from __future__ import annotations

import sys
import tempfile
from io import BytesIO
from math import dist
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.servers import Site, find_chromium  # noqa: E402

CHROMIUM_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
COLOURS, NEAR = 160, 12  # colours of a picture, and how near two are that become one
CLOSED = """
from datetime import UTC, datetime, timedelta
from quotes.models import MarketDay
for days in (-1, 0, 1):
    MarketDay.objects.create(venue="XNYS", day=(datetime.now(UTC) + timedelta(days)).date())
"""


class Picture(NamedTuple):
    """A page, how it is looked at, and the bar whose values are read, if any."""

    path: str
    options: dict[str, Any] = {}  # of Chromium
    bar: int | None = None


DARK, GERMAN = {"color_scheme": "dark"}, {"locale": "de-DE"}
SMALL = {"viewport": PHONE, "device_scale_factor": 2}
PICTURES = {
    "board-light": Picture("/boards/crypto/"),
    "board-dark": Picture("/boards/crypto/", DARK),
    "symbol-light": Picture("/symbols/BTC-USD/?range=6m"),
    "symbol-dark": Picture("/symbols/BTC-USD/?range=6m", DARK),
    "chart-line": Picture("/symbols/ETH-USD/?range=1d"),
    "chart-logarithmic": Picture("/symbols/SOL-USD/?range=all&scale=log"),
    "chart-comparison": Picture("/symbols/AAPL/?range=1y&with=MSFT,NVDA,GOOGL,AMZN", DARK),
    "chart-reading": Picture("/symbols/NVDA/?range=1y", bar=150),
    "symbol-phone": Picture("/symbols/BTC-USD/?range=5y", SMALL),
    "symbol-closed": Picture("/symbols/AAPL/?range=1d", SMALL | DARK),
    "symbol-german": Picture("/symbols/MSFT/?range=1m", GERMAN),
    "symbol-forced-colours": Picture("/symbols/AAPL/?range=6m", DARK | {"forced_colors": "active"}),
}


def main() -> None:
    """Start the site on a database of its own and look at it."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), SIMULATED_SEED="readme", SIMULATED_HOURS="exchange")
        site.manage("migrate", "--verbosity", "0")
        site.manage("loadcatalogue", "--verbosity", "0")
        site.manage("shell", "--verbosity", "0", "-c", CLOSED)
        try:
            shoot(site.start().url)
        finally:
            site.stop()


def shoot(url: str) -> None:
    """Save all pictures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_OPTIONS)
        for name, picture in PICTURES.items():
            save(take(browser, url, picture), ROOT / "docs" / f"{name}.png")


def take(browser: Browser, url: str, picture: Picture) -> bytes:
    """Return a picture of a page that is live."""
    page = browser.new_page(**{"viewport": DESK} | picture.options)
    page.goto(url + picture.path)
    page.locator(".quotes-pulse.pulse-live").wait_for()
    if "/boards/" in picture.path:
        page.locator(".quotes-spark path").nth(30).wait_for(state="attached")
        page.locator("[data-flash]").first.wait_for()
    else:
        page.locator(".quotes-chart .line, .quotes-chart .up").first.wait_for(state="attached")
    if picture.bar is not None:
        page.locator(".quotes-chart .columns [tabindex]").nth(picture.bar).hover()
    taken = page.screenshot()
    page.context.close()
    return taken


def save(taken: bytes, path: Path) -> None:
    """Save a picture with few colours, the most frequent first; others become the nearest one."""
    image = Image.open(BytesIO(taken)).convert("RGB")
    colours = [each for _, each in sorted(image.getcolors(1 << 24), reverse=True)]
    kept: list[Any] = []
    for each in colours:
        if len(kept) < COLOURS and all(dist(each, other) > NEAR for other in kept):
            kept.append(each)
    place = {each: min(range(len(kept)), key=lambda n: dist(each, kept[n])) for each in colours}
    parts = iter(image.tobytes())
    places = bytes(place[each] for each in zip(parts, parts, parts, strict=True))
    small = Image.frombytes("P", image.size, places)
    small.putpalette([part for each in kept for part in each])
    small.save(path, optimize=True)


if __name__ == "__main__":
    main()
