"""Charts: each is drawn once for all pages that show it, and kept current on them.

The last bar, its price and its text are sent at most once a second. The rest is drawn again when
another bar begins or a price leaves the scale, and about once a minute otherwise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence, Set
from datetime import timedelta
from functools import partial
from time import perf_counter
from typing import Protocol

from django.db import Error
from django.utils.safestring import SafeString

from quotes.boards import Listed
from quotes.charts.bars import Bar
from quotes.charts.forms import Form
from quotes.fragments import Fragments
from quotes.fragments.swaps import addressed
from quotes.live.database import DatabaseThread
from quotes.live.drawings import Drawings, Drawn, id_of
from quotes.live.hub import Hub
from quotes.live.tasks import Tasks
from quotes.store import Store
from quotes.watch import Edition, Place, Watch

logger = logging.getLogger(__name__)

MOVE_EVERY = 1.0  # seconds
MOVE_FOR = 0.2  # seconds of work for that, at most; the other charts move in the next turn
DRAW_EVERY = timedelta(seconds=60)
DRAW_SOON = timedelta(seconds=10)  # between two drawings of an outgrown chart
TRY_AGAIN = 2.0  # seconds until a chart that could not be read or drawn has another turn
MAX_TOGETHER = 8  # charts that are drawn for open pages in one turn
MAX_FIRST = 3  # of these that were never drawn, if others wait
MAX_NEW = 8  # charts that are drawn in one turn because a page waits; other pages get theirs later
WAIT = 0.5  # seconds that a page waits for its first drawing; the database may hang
KEPT = timedelta(minutes=5)  # after the last page with a chart has closed
MAX_DRAWN = 500  # charts that no page shows are forgotten if there are more

Key = tuple[Place, Edition]


class Live(Protocol):
    """The attributes of `live.Live` that `Charts` uses."""

    store: Store
    fragments: Fragments
    hub: Hub
    tasks: Tasks
    in_database: DatabaseThread

    @property
    def listed(self) -> Listed:
        """The active symbols and the boards."""


class Charts:
    """The charts of all open pages."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.drawings = Drawings(live)
        self.drawn: dict[Key, Drawn] = {}
        self.begun: dict[Key, tuple[asyncio.Task[None], float]] = {}  # drawings, and since when
        self.failed: dict[Key, float] = {}  # when a chart could not be read or drawn
        self.turn = 0  # counts the turns of `run`
        self.new = 0  # charts that pages waited for in this turn

    # What pages show

    async def ready(self, places: Iterable[Place], edition: Edition) -> None:
        """Draw what was not drawn yet or is old, before a page shows it, unless that takes long.

        While many pages want different charts, some open without theirs, which comes by socket.
        """
        wanted = [key for key in ((place, edition) for place in places) if self._is_due(key)]
        due = [self._begin(key) for key in wanted if key in self.begun or self._has_room()]
        if due:
            left = min(since for _, since in due) + WAIT - perf_counter()
            await asyncio.wait([task for task, _ in due], timeout=max(0, left))

    def whole(self, place: Place, edition: Edition) -> SafeString:
        """Return a chart for the first paint of a page; a text if it can't be drawn now."""
        drawn = self.drawn.get((place, edition))
        return (drawn or self.drawings.without_bars(place, edition, later=True)).current

    def table(self, place: Place, edition: Edition) -> SafeString:
        """Return the values of a chart as a table; "" without bars."""
        drawn = self.drawn.get((place, edition))
        return self.drawings.table(place, edition, drawn) if drawn else SafeString()

    def is_drawn(self, place: Place, edition: Edition) -> bool:
        """Return whether a chart was drawn; if not, its page gets it by its socket."""
        return (place, edition) in self.drawn

    def is_steep(self, place: Place, edition: Edition) -> bool:
        """Return whether a logarithmic scale suits a chart better; False for a comparison."""
        drawn = self.drawn.get((place, edition))
        return bool(drawn and drawn.chart and drawn.chart.frame.is_steep)

    async def stored(self, code: str, form: Form) -> dict[str, Sequence[Bar]]:
        """Return the stored bars of a chart, see `Drawings.stored`."""
        return await self.drawings.stored(code, form)

    def message(self, watch: Watch) -> str:
        """Return a message with all charts of a page."""
        places = "".join(moved_to(now, former) for former, now in watch.renamed)
        return places + "".join(addressed(each.current, "outerMorph") for each in self._of(watch))

    def renew(self, edited: Set[str]) -> None:
        """Read and draw the charts of these symbols again, because the symbols were edited."""
        self.drawings.bars.drop(edited)
        for (place, _), drawn in self.drawn.items():
            if not edited.isdisjoint((place.code, *place.form.others)):
                drawn.drawn_at -= DRAW_EVERY

    # Keeping them current

    async def run(self) -> None:
        """Move the charts of all open pages, and draw them again, forever."""
        while True:
            await asyncio.sleep(MOVE_EVERY)
            self.turn, self.new = self.turn + 1, 0
            watched = self._watched()
            self.drawings.bars.shown = self._shown(watched)
            await self._move(watched)
            for key in self._due(watched):
                self._begin(key)
            if watched:
                self.live.hub.send(self._moved)
            self._forget(watched)

    def _watched(self) -> set[Key]:
        return {(place, watch.edition) for watch in self.live.hub.watches for place in watch.charts}

    def _shown(self, watched: set[Key]) -> set[tuple[str, int]]:
        """Return the series of the charts of open pages."""
        return {
            (code, drawn.step)
            for place, edition in watched
            if (drawn := self.drawn.get((place, edition)))
            for code in (place.code, *place.form.others)
        }

    def _forget(self, watched: set[Key]) -> None:
        now = self.drawings.now()
        old = {key for key, each in self.drawn.items() if abs(now - each.drawn_at) > KEPT}
        for key in old - watched:
            del self.drawn[key]
        self.drawings.bars.forget(KEPT)

    async def _move(self, watched: set[Key]) -> None:
        """Move charts for at most MOVE_FOR seconds, first those that waited longest."""
        spent = 0.0
        for key in sorted(watched & self.drawn.keys(), key=lambda each: self.drawn[each].moved_in):
            if spent > MOVE_FOR:
                break
            began = perf_counter()
            try:
                self.drawings.move(*key, self.drawn[key], self.turn)
            except Exception:
                logger.exception("could not move the chart of %s", key[0].code)
            spent += perf_counter() - began
            await asyncio.sleep(0)  # others come first

    def _moved(self, watch: Watch) -> str:
        """Return a message with the last bars of a page that moved, as often as it wants them."""
        every = max(1, round(watch.rate))
        if self.turn % every:
            return ""
        bars = "".join(
            addressed(each.newest_bar, "outerMorph")
            for each in self._of(watch)
            if each.moved_in > self.turn - every
        )
        alone = bars and len(watch.charts) == len(watch.places)  # no prices bring the time
        return bars + self.live.fragments.signs.now(watch.edition) if alone else bars

    def _of(self, watch: Watch) -> list[Drawn]:
        found = (self.drawn.get((place, watch.edition)) for place in watch.charts)
        return [each for each in found if each and each.html]

    # Drawing

    def _due(self, watched: set[Key]) -> list[Key]:
        """Return the charts to draw in this turn, of which at most some were never drawn.

        A chart that is outgrown stands still, so that it comes before one that is only old.
        """
        due = [key for key in watched - self.begun.keys() if self._is_due(key)]
        self.failed = {key: at for key, at in self.failed.items() if key in watched}
        new = [key for key in due if key not in self.drawn]
        again = [key for key in due if key in self.drawn]
        again.sort(key=lambda key: (not self.drawn[key].is_outgrown, self.drawn[key].drawn_at))
        kept = max(MAX_TOGETHER - len(new), MAX_TOGETHER - MAX_FIRST)
        chosen = again[:kept]
        return chosen + new[: MAX_TOGETHER - len(chosen)]

    def _is_due(self, key: Key) -> bool:
        drawn, failed = self.drawn.get(key), self.failed.get(key)
        if failed is not None and perf_counter() - failed < TRY_AGAIN:
            return False
        if drawn is None:
            return True
        age = abs(self.drawings.now() - drawn.drawn_at)  # the clock may be set back
        return age >= (DRAW_SOON if drawn.is_outgrown else DRAW_EVERY)

    def _has_room(self) -> bool:
        """Count a chart that a page waits for, unless there are too many."""
        if self.new >= MAX_NEW or len(self.begun) >= MAX_NEW + MAX_TOGETHER:
            return False
        self.new += 1
        return True

    def _begin(self, key: Key) -> tuple[asyncio.Task[None], float]:
        """Draw a chart in a task, which all pages share that wait for it."""
        if key not in self.begun:
            self.begun[key] = self.live.tasks.soon(partial(self._draw, key)), perf_counter()
        return self.begun[key]

    async def _draw(self, key: Key) -> None:
        try:
            drawn = await self.drawings.draw(*key)
        except Exception as error:  # the chart stays as it is, and is not drawn again at once
            self.failed[key] = perf_counter()
            if isinstance(error, Error):
                logger.debug("could not read the candles of a chart: %s", error)
            else:
                logger.exception("could not draw the chart of %s", key[0].code)
            return
        finally:
            del self.begun[key]
        self.failed.pop(key, None)
        before = self.drawn.pop(key, None)
        self.drawn[key] = drawn
        if len(self.drawn) > MAX_DRAWN:
            needed = self._watched() | {key}
            for oldest in [each for each in self.drawn if each not in needed][:1]:
                del self.drawn[oldest]
        if drawn.html and (before is None or before.current != drawn.current):
            self.live.hub.send(partial(_renewed, key, addressed(drawn.html, "outerMorph")))


def moved_to(place: Place, former: Place) -> str:
    """Return a message that makes the place of a chart with a former code that of the code now."""
    if place.widget != "chart":
        return ""
    empty = f'<div id="{id_of(place)}" class="quotes-charted"></div>'
    return addressed(empty, f"outerMorph:#{id_of(former)}")


def _renewed(key: Key, message: str, watch: Watch) -> str:
    place, edition = key
    return message if edition == watch.edition and place in watch.charts else ""
