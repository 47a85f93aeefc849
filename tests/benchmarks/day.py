"""The day of an operator: the seconds from each edit in the admin until an open board shows it."""

from __future__ import annotations

from playwright.sync_api import sync_playwright

from tests.benchmarks import browser
from tests.benchmarks.bench import Bench
from tests.benchmarks.large import READY_WITHIN, ticks
from tests.benchmarks.servers import Uvicorn
from tests.browser.conftest import STAFF, Exchange
from tests.browser.day import Day, sources
from tests.browser.tab import Tab
from tests.servers import eventually, manage

RATES = {300: 60, 5_000: 12, 20_000: 3}  # ticks a minute and symbol: 300 to 1,000 a second in all


def day(bench: Bench) -> None:
    """Do an operator's day in Chromium, beside a market of each size."""
    for symbols, rate in list(RATES.items())[: 1 if bench.quick else None]:
        with bench.attempt(f"an edit at {symbols:,} symbols") as title:
            for edit, seconds in seconds_of_edits(bench, symbols, rate).items():
                bench.figures.add(f"{title}: {edit}", "s", seconds)


def seconds_of_edits(bench: Bench, symbols: int, rate: float) -> dict[str, float]:
    """Return the seconds until a board showed each edit."""
    exchange = Exchange()
    try:
        env = browser.ENV | STAFF | sources(exchange)
        with bench.ours(symbols, rate, Uvicorn, **env) as server, sync_playwright() as playwright:
            eventually(lambda: ticks(server) >= 2 * symbols, "the start is over", READY_WITHIN)
            manage("createsuperuser", "--noinput", **server.env)
            chromium = playwright.chromium.launch(
                executable_path=browser.chromium_path(), args=browser.FLAGS
            )
            context = chromium.new_context(reduced_motion="reduce")
            work = Day(server.url, exchange, "bench", lambda: Tab(context))
            work.work()
            chromium.close()
            return work.seconds
    finally:
        exchange.process.stop()
