"""A page in Chromium for tests, with its texts, requests, received frames and errors."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from itertools import starmap
from typing import Any, ClassVar
from urllib.parse import urlsplit
from weakref import WeakSet

from playwright.sync_api import BrowserContext, Error, Locator, Route, WebSocket, expect

from tests.servers import PATIENCE

UNSEEN = 4410  # the code for an embed that is out of view
LOCAL = ("127.0.0.1", "localhost", "")  # hosts that a page may use; data: and blob: have none
WATCH = """
window.quotesTest = {violations: [], shifts: [], codes: [], flashes: []};
document.addEventListener("animationstart", ({animationName: name, target}) => {
  const quote = target.closest("[data-symbol]");
  if (name.startsWith("quotes-flash")) quotesTest.flashes.push(
    `${quote.dataset.symbol} ${target.dataset.field} ${quote.dataset.flash}`);
});
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    this.addEventListener("close", ({code}) => quotesTest.codes.push(code));
  }
};
document.addEventListener("securitypolicyviolation", (event) =>
  quotesTest.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const nodes = entry.sources.map(({node, previousRect: was, currentRect: is}) =>
      [node?.outerHTML?.slice(0, 120) ?? node?.data, was.toJSON(), is.toJSON()]);
    quotesTest.shifts.push({value: entry.value, at: entry.startTime, nodes});
  }
}).observe({type: "layout-shift", buffered: true});
"""
# Records what screen readers get from the announcement, at each message and each end of a clock.
LISTEN = """() => {
  const place = document.querySelector("#quotes-announcement"), heard = window.quotesHeard = [];
  const listen = () => {
    const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT), texts = [];
    while (walker.nextNode()) {
      const {data, parentElement} = walker.currentNode;
      if (getComputedStyle(parentElement).visibility === "visible") texts.push(data);
    }
    const text = texts.join(" ").trim();
    if (text && text !== heard.at(-1)) heard.push(text);
  };
  new MutationObserver(listen).observe(place,
    {subtree: true, childList: true, characterData: true, attributes: true});
  place.addEventListener("animationend", listen);
}"""
MOVED = re.compile(r"<(?:tr|span|section)[^>]*data-symbol=\"([^\"]+)\"[^>]*>")


class Tab:
    """One page, listened to from its beginning."""

    _all: ClassVar[WeakSet[Tab]] = WeakSet()

    def __init__(self, context: BrowserContext) -> None:
        self.page = context.new_page()
        self._all.add(self)
        self.page.set_default_timeout(PATIENCE * 1000)
        self.sockets: list[str] = []  # addresses, as they were opened
        self.frames: list[str] = []  # all that came through any socket
        self.sent: list[str] = []  # all that went through any socket
        self.complaints: list[str] = []  # of the console, and requests to strangers
        self.asked: list[str] = []  # paths, over HTTP
        self.loads = 0
        self.holds = False
        self.held: list[Route] = []
        self.page.on("websocket", self._opened)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._asked)
        self.page.on("load", lambda _: self._loaded())
        self.page.add_init_script(WATCH)

    @classmethod
    def of_open_pages(cls) -> list[Tab]:
        """Return the tabs whose pages are open now."""
        return [each for each in cls._all if not each.page.is_closed()]

    def evidence(self) -> str:
        """Return what explains a failure: what came through sockets, complaints, and the text."""
        try:
            text = self.page.inner_text("body", timeout=2_000)
        except Error as error:
            text = str(error)
        frames = [each[:200] for each in self.frames[-5:]]
        heard = f"{len(self.frames)} frames through {self.sockets}, the last: {frames}"
        return f"{heard}\ncomplaints: {self.complaints}\n{text[:2_000]}"

    def open(self, url: str) -> Tab:
        """Go to an address."""
        self.page.goto(url)
        return self

    def hold(self, pattern: str) -> None:
        """Hold requests back until `release`; they wait in `held`."""

        def wait(route: Route) -> None:
            if self.holds:
                self.held.append(route)
            else:
                route.continue_()

        self.holds = True
        self.page.route(pattern, wait)

    def release(self) -> None:
        """Release the held requests, and hold no more."""
        self.holds = False
        while self.held:
            self.held.pop(0).continue_()

    def row(self, code: str) -> Locator:
        """Return the place, row or panel of a symbol."""
        return self.page.locator(f".quote[data-symbol='{code}']")

    def rows(self) -> list[str]:
        """Return the symbols on the page, in order."""
        found = self.page.locator(".quote[data-symbol]").evaluate_all(
            "places => places.map((place) => place.dataset.symbol)"
        )
        return [str(code) for code in found]

    def field(self, code: str, name: str) -> str:
        """Return the text of one of a symbol's values."""
        return self.row(code).locator(f"[data-field='{name}']").first.inner_text()

    def until(self, happened: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """Wait, while the page goes on, until something is true, and return it."""
        end = time.monotonic() + patience
        while not (result := happened()):
            if time.monotonic() > end:
                raise AssertionError(f"not within {patience:.0f} s: {what}")
            self.page.wait_for_timeout(20)
        return result

    def after_frames(self, count: int) -> None:
        """Wait until this many more frames arrived."""
        wanted = len(self.frames) + count
        self.until(lambda: len(self.frames) >= wanted, f"{count} frames", count + PATIENCE)

    def live(self, patience: float = PATIENCE) -> Tab:
        """Wait until the page shows “Live”."""
        expect(self.page.locator(".quotes-pulse.pulse-live .pulse-well").first).to_be_visible(
            timeout=patience * 1000
        )
        return self

    def says_not_live(self) -> bool:
        """Whether the page shows "Not live"."""
        return self.page.locator(".quotes-pulse .pulse-ill").first.is_visible()

    def moves(self, code: str, before: str | None = None) -> None:
        """Wait until a symbol's price differs from the one before, or else from that of now.

        The price of BTC-USD always moves. One of few ticks, as that of DOGE-USD, may rest for some
        minutes in a day, where it touches the highest or lowest price of a simulated hour.
        """
        before = self.value(code) if before is None else before
        price = self.row(code).locator("data").first
        expect(price).not_to_have_attribute("value", before, timeout=PATIENCE * 1000)

    def any_moves(self) -> None:
        """Wait until one price of the page differs from that of now.

        The price of a cheap symbol may stay for minutes while its exchange is closed.
        """
        before = self.values()
        self.until(lambda: self.values() != before, "another price")

    def values(self) -> list[str]:
        """Return the prices on the page as machines read them, in order."""
        found = self.page.locator(".quote[data-symbol] data[data-field='last']").evaluate_all(
            "prices => prices.map((price) => price.value)"
        )
        return [str(value) for value in found]

    def value(self, code: str) -> str:
        """Return a symbol's price as machines read it."""
        value = self.row(code).locator("data").first.get_attribute("value")
        return value or ""

    def listen(self) -> Tab:
        """Begin to record what screen readers announce."""
        self.page.evaluate(LISTEN)
        return self

    def heard(self) -> list[str]:
        """Return what screen readers announced since `listen`, in order."""
        return [str(text) for text in self.page.evaluate("quotesHeard")]

    def mark(self, code: str) -> None:
        """Mark the document and a symbol's element, so that `same` can recognise them."""
        self.row(code).first.evaluate("(place) => { window.known = place; }")

    def same(self, code: str) -> bool:
        """Return whether the document and the symbol's element are the same as at `mark`."""
        return bool(self.row(code).first.evaluate("(place) => window.known === place"))

    def shifts(self) -> list[Any]:
        """Return the elements that moved on the page although no visitor moved them.

        A number that gains a digit or a sign begins further left in its box, because numbers are
        aligned at their ends. So does the arrow before it. Chromium counts this as a move, too
        (0.00002 each time). The sum must stay negligible.
        """
        found = self.page.evaluate("quotesTest.shifts")
        assert sum(shift["value"] for shift in found) < 0.005, found
        return [shift for shift in found if any(starmap(_moved, shift["nodes"]))]

    def codes(self) -> list[int]:
        """Return the codes with which sockets were closed, without that of a page out of view.

        On a busy machine, an embed may answer too late that it is in view.
        """
        return [code for code in self.page.evaluate("quotesTest.codes") if code != UNSEEN]

    def violations(self) -> list[str]:
        """Return the violations of the content security policy."""
        return list(self.page.evaluate("quotesTest.violations"))

    def _opened(self, socket: WebSocket) -> None:
        self.sockets.append(socket.url)
        socket.on("framereceived", lambda frame: self.frames.append(str(frame)))
        socket.on("framesent", lambda frame: self.sent.append(str(frame)))

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, request: Any) -> None:
        self.asked.append(urlsplit(request.url).path)
        if (host := urlsplit(request.url).hostname or "") not in LOCAL:
            self.complaints.append(f"a request to {host}: {request.url}")

    def _loaded(self) -> None:
        self.loads += 1


def symbols_in(frame: str) -> list[str]:
    """Return the symbols in a frame, in its order."""
    return MOVED.findall(frame)


def _moved(node: str, was: dict[str, float], now: dict[str, float]) -> bool:
    """Return whether an element moved; an arrow may move on its line, with its number."""
    sides = ("top", "bottom") if "quotes-arrow" in node else was
    return any(was[side] != now[side] for side in sides)
