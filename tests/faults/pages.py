"""Open pages for tests of faults: the quotes that they show, and whether they show them as live."""

from __future__ import annotations

import re
import signal
import sqlite3
import threading
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import dropwhile

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.servers import PATIENCE, Runfeed, Site

RARE, BUSY = "BTC-USD", ("AAPL", "MSFT")  # ticks when the stub sends one; tick every second
PANELS = f"/ws/quotes/?panel={RARE},{','.join(BUSY)}&lang=en"
FRAGMENT = re.compile(r'<(tr|section)\b[^>]*data-symbol="([^"]*)".*?</\1>', re.DOTALL)
FOR_THE_WIRE = re.compile(r' (?:hx-swap-oob|data-flash)="[^"]*"')
LAST = re.compile(r'data-field="last" value="([^"]*)"')
TIME = re.compile(r'data-field="time" datetime="([^"]+)"')
PULSE = re.compile(r'class="quotes-pulse pulse-(\w+)')
CONDITION = re.compile(r'data-condition="(\w*)"')
SOURCE = re.compile(r'data-field="source">([^<]*)<')


@dataclass(frozen=True)
class Row:
    """A quote that a page received."""

    code: str
    time: datetime
    last: str
    html: str

    @property
    def condition(self) -> str:
        """The condition of its row: "live", "stale" or "closed"."""
        found = CONDITION.search(self.html)
        return found[1] if found else ""

    @property
    def source(self) -> str:
        """The provider that its row names; only a panel does so."""
        found = SOURCE.search(self.html)
        return found[1] if found else ""


def read(text: str) -> list[Row]:
    """Find the quotes in a page or a message."""
    found = []
    for match in FRAGMENT.finditer(text):
        html = FOR_THE_WIRE.sub("", match[0])
        if (made := TIME.search(html)) and (last := LAST.search(html)):
            found.append(Row(match[2], datetime.fromisoformat(made[1]), last[1], html))
    return found


class Page:
    """An open page, which keeps everything that its socket received."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.told: list[Row] = []
        self.pulses: list[str] = []  # their conditions: "opening", "live", "stopped"
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self) -> None:
        """Read until the page or the server closes the socket."""
        with (
            connect(self.site.ws + PANELS, origin=self.site.url, open_timeout=PATIENCE) as socket,
            suppress(ConnectionClosed),
        ):
            while not self.closing.is_set():
                with suppress(TimeoutError):
                    text = str(socket.recv(timeout=0.1))
                    self.pulses += PULSE.findall(text)
                    self.told += read(text)

    @property
    def open(self) -> bool:
        """Whether its socket is open."""
        return self.thread.is_alive()

    def shown(self, code: str) -> Row:
        """Return the quote that it shows for a symbol now."""
        told = [each for each in self.told if each.code == code]
        assert told, f"no quote of {code} was received"
        return told[-1]

    @property
    def live(self) -> bool:
        """Whether it shows its prices as live."""
        return self.pulses[-1:] == ["live"]

    @property
    def stayed_live(self) -> bool:
        """Whether it always showed prices as live, since it did first."""
        return set(dropwhile(lambda pulse: pulse == "opening", self.pulses)) == {"live"}

    def close(self) -> None:
        """Close the socket."""
        self.closing.set()
        self.thread.join(5)


def now() -> datetime:
    return datetime.now(UTC)


def current(pages: list[Page], since: datetime) -> bool:
    """Return whether all pages show quotes of the busy symbols that were made after a moment."""
    return all(page.shown(code).time >= since for page in pages for code in BUSY)


def pause(feed: Runfeed, site: Site) -> None:
    """Pause a feed, but not while it writes to SQLite: nobody else could write then."""
    while True:
        feed.signal(signal.SIGSTOP)
        if writable(site, 0.1):
            return
        feed.signal(signal.SIGCONT)
        assert writable(site, PATIENCE)  # it ends its write


def writable(site: Site, seconds: float) -> bool:
    """Return whether a site's SQLite can be written within some seconds."""
    try:
        with closing(sqlite3.connect(site.folder / "site.sqlite3", timeout=seconds)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
    except sqlite3.OperationalError:
        return False
    return True
