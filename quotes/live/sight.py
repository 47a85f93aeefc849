"""The sight of an embedded page: whether it is in view."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from quotes import conf
from quotes.live.hub import Message

MARK = Message(
    '<span id="quotes-seen" hx-swap-oob="true" hx-ws:send hx-trigger="intersect once"'
    ' class="quotes-view"></span>'
)
Work = Callable[[], None]


class Sight:
    """Sends a page a mark after each answer, and lets it rest after ten seconds without one.

    A mark is an element that sends one message as soon as it is in view. A page that has never
    answered does not rest: it may have a browser that can't send messages.
    """

    def __init__(self, mark: Work, rest: Work) -> None:
        self.mark, self.rest = mark, rest
        self.timer: asyncio.TimerHandle | None = None
        mark()

    def answered(self) -> None:
        """Note that the page is in view now."""
        self._after(conf.get("PULSE"), self._look)

    def end(self) -> None:
        """Do nothing more."""
        if self.timer:
            self.timer.cancel()

    def _look(self) -> None:
        self.mark()
        # early enough for a slow page in view to open its next socket before its clock runs out
        self._after(conf.not_live_after() - 2 * conf.get("PULSE"), self.rest)

    def _after(self, seconds: float, work: Work) -> None:
        self.end()
        self.timer = asyncio.get_running_loop().call_later(seconds, work)
