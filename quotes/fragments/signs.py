"""The signs of a page: whether its prices are live, and the elements that keep them live.

They are the pulse of each place with quotes, the announcement for screen readers, the retry, the
opener of each tag, and the end of the page, which has its socket.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from quotes import conf, formats
from quotes.fragments.swaps import addressed, in_selectors, swap_for
from quotes.fragments.templates import Templates
from quotes.htmx import dialect
from quotes.store import Store
from quotes.watch import Edition

# An opener waits beside what its tag watches.
OPENED = ".quotes-watch[name='{name}'][value='{value}']+.quotes-opener"

# A new turn starts the clocks in the stylesheet again. Those of pulses alternate. A sign between
# pulses has its own, because it does not know which one its page had last.
TURNS = (1, 2)
BETWEEN = 3


@dataclass(slots=True)
class Signs:
    """Renders what a page shows beside its quotes, so that a visitor knows if they are live."""

    store: Store
    templates: Templates = field(default_factory=Templates)

    def sign(self, edition: Edition, condition: str = "live", turn: int = BETWEEN) -> str:
        """Return a message with the pulse of every place on a page, its retry and its announcement.

        Screen readers announce when prices stop, and when they are live again. Openers begin again:
        their tags came later than the socket, which does not watch what they show.
        """
        if dialect.reports_missing(edition.htmx):
            return self.state(edition, condition, turn)
        opener = addressed(self.opener(edition), "outerHTML:.quotes-opener")
        return self.state(edition, condition, turn) + opener

    def state(
        self, edition: Edition, condition: str, turn: int = TURNS[0], *, waits: bool = False
    ) -> str:
        """Return a message with all of a sign that stays as it is while a socket is opened."""
        announcement = self.announcement(edition, condition, turn)
        return (
            self.pulses(edition, condition, turn)
            + addressed(announcement, swap_for("outerMorph", edition))
            + addressed(self.retry(edition, condition, turn, waits=waits))
        )

    def pulses(self, edition: Edition, condition: str, turn: int) -> str:
        """Return a message with the pulse of every place on a page."""
        pulse = self.pulse(edition, condition, turn)
        return addressed(pulse, swap_for("outerMorph:.quotes-pulse", edition))

    def pulse(
        self,
        edition: Edition,
        condition: str = "live",
        turn: int = TURNS[0],
        *,
        in_line: bool = False,
    ) -> SafeString:
        """Return the pulse of one place. Without pulses, a page shows "Not live" and loses colour.

        The condition is "live" in messages, "opening" on a page whose socket is not open yet,
        "late" in the answer to a page whose socket was silent, and "polled" in that of a WSGI
        server. While this process does not hear its feed, it is "stopped" everywhere. In a line of
        text, an opening pulse is short: the first message brings the rest.
        """
        condition = self._actual(condition)
        at = self._current_until()
        context = {
            "condition": condition,
            "brief": in_line and condition == "opening",
            "turn": turn,
            "fast": conf.get("PULSE") == conf.FAST,
            "every": conf.not_live_after(),
            "at": at,
            "moment": self.moment(edition),
            "minutes": (self.store.clock() - at).total_seconds() // 60,
        }
        return self.templates.render("quotes/_pulse.html", edition, context)

    def now(self, edition: Edition) -> str:
        """Return a message with the time of the pulse of every place on a page.

        It comes with prices: a page must not state that they stopped before the newest of them.
        """
        return addressed(self.moment(edition), swap_for("outerMorph:.pulse-moment", edition))

    def moment(self, edition: Edition) -> SafeString:
        """Return the time at which prices stop if nothing else comes."""
        at = self._current_until()
        machine = timezone.localtime(at).isoformat(timespec="seconds")
        time = '<time datetime="{}" class="pulse-moment">{}</time>'
        return format_html(time, machine, self._written(at, edition))

    def announcement(
        self, edition: Edition, condition: str = "live", turn: int = TURNS[0]
    ) -> SafeString:
        """Return the announcement for screen readers: that prices stopped, or are live again.

        Each page has one such element. While pulses arrive, it has no visible text. When they end,
        the stylesheet shows its text to screen readers. After that, it shows for some seconds that
        prices are live again, whatever had stopped them.
        """
        at, condition = self.store.stopped_at, self._actual(condition)
        # A page whose socket fails requests this again and again. With a new text each time, screen
        # readers would repeat it.
        context = {
            "stopped": at is not None,
            "written": self._written(at, edition) if at else "",
            "late": condition == "late",
            "polled": condition == "polled",
            "again": condition == "live" and turn == BETWEEN,
            "turn": turn,
            "fast": conf.get("PULSE") == conf.FAST,
        }
        return self.templates.render_once("quotes/_announcement.html", edition, context)

    def end(self, address: Any, *, polled: bool = False, at_once: bool = False) -> SafeString:
        """Return the end of a page: its socket, its retry, and its announcement, each once.

        The end of a page that is polled has no socket. `at_once` polls when the page is loaded.
        """
        edition, condition = address.edition, "polled" if polled else ""
        context = {
            "address": address,
            "edition": edition,
            "polled": polled,
            "retry": self.retry(edition, condition, TURNS[0], at_once=at_once, waits=address.seen),
            "announcement": self.announcement(edition, "opening"),
        }
        return self.templates.render("quotes/_end.html", edition, context)

    def socket(self, address: Any) -> str:
        """Return a message with a new socket for an address, in place of that of the page."""
        context = {"address": address}
        return addressed(self.templates.render("quotes/_socket.html", address.edition, context))

    def retry(
        self,
        edition: Edition,
        condition: str = "",
        turn: int = BETWEEN,
        *,
        at_once: bool = False,
        waits: bool = False,
    ) -> SafeString:
        """Return the element that requests quotes and a new socket unless a pulse replaces it.

        A page that is polled requests the next turn with it. `at_once` also requests it when the
        page is loaded. With `waits`, it waits until the page is in view.
        """
        following = TURNS[turn == TURNS[0]] if condition == "polled" else ""
        more = {"turn": following, "at_once": at_once, "waits": waits}
        return self._requesting("quotes/_retry.html", edition, **more)

    def opener(self, edition: Edition) -> SafeString:
        """Return the element of a tag that requests a socket for all tags of its page."""
        return self._requesting("quotes/_opener.html", edition)

    def opened(self, watched: Iterable[tuple[str, str]], edition: Edition) -> str:
        """Return a message that removes the openers of the tags with these names and values.

        Other openers stay, because their tags came while the socket was requested.
        """
        targets = [
            OPENED.format(name=name, value=in_selectors(value))
            for name, value in dict.fromkeys(watched)
        ]
        if dialect.reports_missing(edition.htmx):
            targets = [",".join(targets)]
        return "".join(f'<span hx-swap-oob="delete:{each}"></span>' for each in targets)

    def _requesting(self, template: str, edition: Edition, **more: Hashable) -> SafeString:
        context = {"not_live_after": conf.not_live_after(), "edition": edition, **more}
        return self.templates.render_once(template, edition, context)

    def _current_until(self) -> datetime:
        return self.store.stopped_at or max(self.store.clock(), self.store.newest)

    def _written(self, at: datetime, edition: Edition) -> str:
        with edition.written():
            return formats.clock_or_day(at, self.store.clock())

    def _actual(self, condition: str) -> str:
        if self.store.stopped_at:
            return "stopped"
        return "opening" if condition == "live" and not self.store.heard else condition
