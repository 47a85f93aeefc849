"""The browser: the load of the main thread of a page that shows a busy board."""

from __future__ import annotations

from playwright.sync_api import CDPSession, Page, WebSocket, expect, sync_playwright

from tests.benchmarks.bench import Bench
from tests.benchmarks.servers import SETTINGS, MissingError, Uvicorn
from tests.servers import find_chromium

ROWS = 100  # each with a tick a second
SETTLE = 3.0  # seconds
WINDOW = 20.0  # seconds
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
WORK = {
    "TaskDuration": "all work",
    "ScriptDuration": "script",
    "RecalcStyleDuration": "style",
    "LayoutDuration": "layout",
}
ENV = {
    "DJANGO_DEBUG": "True",  # static files without a build step; the server is not measured here
    "DJANGO_SETTINGS_MODULE": SETTINGS,
}
ROW = 'data-field="time"'  # stands once in each row


def browser(bench: Bench) -> None:
    """Measure a page on which a hundred rows change and flash each second."""
    with (
        bench.attempt(f"main thread of a {ROWS}-row page") as title,
        bench.ours(ROWS, 60, Uvicorn, **ENV) as server,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        page = chromium.new_page()
        rows = count_rows(page)
        open_board(page, server.url)
        tools = page.context.new_cdp_session(page)
        tools.send("Performance.enable", {"timeDomain": "threadTicks"})  # of the processor
        rows.clear()
        before = metrics(tools)
        page.wait_for_timeout(bench.seconds(WINDOW) * 1000)
        after = metrics(tools)
        seconds = after["Timestamp"] - before["Timestamp"]
        for name, work in WORK.items():
            busy = (after[name] - before[name]) / seconds * 1000
            bench.figures.add(f"{title}: {work}", "ms/s", busy)
        bench.figures.add(f"{title}: row changes", "rows/s", sum(rows) / seconds)
        if not page.evaluate("document.getAnimations().length"):
            bench.figures.warn(f"{title}: nothing flashed")
        chromium.close()


def open_board(page: Page, url: str) -> None:
    """Open the board and wait until it is live and has settled."""
    page.goto(f"{url}/boards/bench/")
    expect(page.locator(".quotes-pulse.pulse-live")).to_be_attached(timeout=20_000)
    expect(page.locator("tr.quote")).to_have_count(ROWS)
    page.wait_for_timeout(SETTLE * 1000)


def count_rows(page: Page) -> list[int]:
    """Return a list that grows with each frame, by the number of rows that it brings."""
    rows: list[int] = []

    def opened(connection: WebSocket) -> None:
        connection.on("framereceived", lambda frame: rows.append(str(frame).count(ROW)))

    page.on("websocket", opened)
    return rows


def metrics(tools: CDPSession) -> dict[str, float]:
    """Return the browser's measurements of a page so far: seconds, by kind of work."""
    result = tools.send("Performance.getMetrics")["metrics"]
    return {each["name"]: each["value"] for each in result}


def chromium_path() -> str:
    """Return the path of Chromium; raise MissingError without it."""
    if found := find_chromium():
        return found
    raise MissingError("install Chromium: apt-get install chromium-headless-shell")
