"""Charts: drawn once for all pages that show the same, and moved by the quotes.

The last bar, its price and its text are sent at most once a second. The rest is drawn again when
another bar begins or a price leaves the scale, and about once a minute otherwise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple, Protocol
from zlib import crc32
from zoneinfo import ZoneInfo

from django.db import Error
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy

from quotes import conf, sessions
from quotes.charts.bars import Bar, Period
from quotes.charts.chart import Chart
from quotes.charts.comparison import Comparison
from quotes.charts.drawing import Drawing
from quotes.charts.forms import Form
from quotes.charts.frame import Frame
from quotes.charts.ranges import RANGES, reaching
from quotes.fragments import Fragments, addressed
from quotes.graphs import table
from quotes.live.bars import Bars
from quotes.live.database import DatabaseThread
from quotes.live.hub import Hub
from quotes.live.tasks import Tasks
from quotes.models import Symbol
from quotes.quote import Quote
from quotes.shown.charts import TITLES, ChartTexts
from quotes.store import State, Store
from quotes.watch import Edition, Place, Watch

logger = logging.getLogger(__name__)

MOVE_EVERY = 1.0  # seconds
DRAW_EVERY = timedelta(seconds=60)
DRAW_SOON = timedelta(seconds=10)  # between two drawings, if a price left the scale
READ_WITHIN = 0.5  # seconds that a page waits for its first drawing; the database may hang
SESSIONS = timedelta(days=14)  # in which five days of trading are found
MOST_DRAWINGS = 500
PLAIN = Decimal("0.01")
DAY = timedelta(days=1)

Key = tuple[Place, Edition]


class Live(Protocol):
    """The attributes of `live.Live` that `Charts` uses."""

    store: Store
    fragments: Fragments
    hub: Hub
    tasks: Tasks
    in_database: DatabaseThread


class Read(NamedTuple):
    """The bars of a chart."""

    step: int  # seconds
    bars: Sequence[Bar]
    since: datetime | None  # from when they are wanted; None for all

    @property
    def begins(self) -> datetime | None:
        """When they begin, if that is so late that a visitor should know."""
        first, last = self.bars[0].start, self.bars[-1].start
        late = self.since and first - self.since > max((last - self.since) / 10, DAY)
        return first if late else None


@dataclass(slots=True)
class Drawn:
    """A chart as it was drawn."""

    html: SafeString
    drawn_at: datetime
    step: int = 0  # seconds of its stored bars
    chart: Chart | None = None  # which moves; None for a comparison, or without bars
    drawing: Drawing | None = None
    quote: Quote | None = None  # with which it was drawn or moved
    table: SafeString = field(default_factory=SafeString)  # of its bars, once a page has shown it


class Charts:
    """Draws the charts of all open pages."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.bars = Bars(live, self.now)
        self.drawn: dict[Key, Drawn] = {}
        self.drawing: dict[Key, asyncio.Task[None]] = {}  # for pages that wait

    def now(self) -> datetime:
        """Return the time of the store."""
        return self.live.store.clock()

    # What pages show

    async def ready(self, places: Iterable[Place], edition: Edition) -> None:
        """Draw what was not drawn yet or is old, before a page shows it, unless that takes long."""
        due = [self._begin(place, edition) for place in places if self._is_due(place, edition)]
        if due:
            await asyncio.wait(due, timeout=READ_WITHIN)

    def _is_due(self, place: Place, edition: Edition) -> bool:
        drawn = self.drawn.get((place, edition))
        return drawn is None or abs(self.now() - drawn.drawn_at) > DRAW_EVERY

    def _begin(self, place: Place, edition: Edition) -> asyncio.Task[None]:
        """Draw a chart in a task, which all pages share that wait for it."""
        key = place, edition
        if key not in self.drawing:
            self.drawing[key] = self.live.tasks.soon(partial(self._finish, key))
        return self.drawing[key]

    async def _finish(self, key: Key) -> None:
        try:
            await self.draw(*key)
        except Error as error:  # the page opens without it; others log the outage
            logger.debug("could not read the candles of a chart: %s", error)
        finally:
            del self.drawing[key]

    def whole(self, place: Place, edition: Edition) -> SafeString:
        """Return a chart for the first paint of a page; a text if it can't be drawn now."""
        drawn = self.drawn.get((place, edition))
        return drawn.html if drawn else self._without_bars(place, edition, later=True).html

    def table(self, place: Place, edition: Edition) -> SafeString:
        """Return the bars of a chart as a table; "" for a comparison, or without bars."""
        drawn, state = self.drawn.get((place, edition)), self.live.store.states.get(place.code)
        if state is None or drawn is None or drawn.chart is None:
            return SafeString()
        if not drawn.table:
            rows = table(state.symbol, drawn.chart.frame, edition.language)
            context = {"rows": rows}
            drawn.table = self.live.fragments.render("quotes/_chart_table.html", edition, context)
        return drawn.table

    def message(self, watch: Watch) -> str:
        """Return a message with all charts of a page."""
        found = (self.drawn.get((place, watch.edition)) for place in watch.places)
        return "".join(addressed(each.html, "outerMorph") for each in found if each)

    # Drawing

    async def run(self) -> None:
        """Move the charts of all open pages, and draw them again, forever."""
        while True:
            await asyncio.sleep(MOVE_EVERY)
            messages: dict[Key, str] = {}
            for place, edition in self._watched():
                try:
                    messages[place, edition] = await self._next(place, edition)
                except Error as error:  # the chart stays; others log the outage
                    logger.debug("could not read the candles of a chart: %s", error)
            if any(messages.values()):
                self.live.hub.send(partial(_of, messages))

    def _watched(self) -> set[Key]:
        return {
            (place, watch.edition)
            for watch in self.live.hub.watches
            for place in watch.places
            if place.widget == "chart"
        }

    async def _next(self, place: Place, edition: Edition) -> str:
        """Return the message that brings a chart up to date, or ""."""
        drawn = self.drawn.get((place, edition))
        age = DRAW_EVERY if drawn is None else abs(self.now() - drawn.drawn_at)
        if drawn is not None and age < DRAW_EVERY:
            moved = self._moved(place, edition, drawn)
            if moved is not None:
                return moved
            if age < DRAW_SOON:
                return ""
        again = await self.draw(place, edition)
        same = drawn is not None and drawn.html == again.html
        return "" if same else addressed(again.html, "outerMorph")

    def _moved(self, place: Place, edition: Edition, drawn: Drawn) -> str | None:
        """Return the message that moves the last bar, or ""; None if all must be drawn again."""
        state = self.live.store.states.get(place.code)
        if state is None or state.quote is None or state.quote is drawn.quote:
            return ""
        if drawn.drawing is None:  # there may be bars now
            return None
        if drawn.chart is None:  # a comparison does not move
            return ""
        newest = self.bars.newest(place.code, drawn.step)
        now = newest and drawn.chart.now(newest)
        if now is None:
            return None
        drawn.quote = state.quote
        context = self._words(place, state) | {"chart": drawn.drawing, "now": now}
        context["id"] += "-now"
        html = self.live.fragments.render("quotes/_chart_now.html", edition, context)
        return addressed(html, "outerMorph")

    async def draw(self, place: Place, edition: Edition) -> Drawn:
        """Read the bars of a chart and draw it.

        Raise the errors of the database if bars that are not in memory can't be read.
        """
        state = self.live.store.states.get(place.code)
        read = await self.read(place.code, place.form)
        if state is None or read is None:
            drawn = self._without_bars(place, edition)
        else:
            drawn = await self._with_bars(place, edition, state, read)
        self.drawn.pop((place, edition), None)
        self.drawn[place, edition] = drawn
        while len(self.drawn) > MOST_DRAWINGS:
            del self.drawn[next(iter(self.drawn))]
        return drawn

    async def read(self, code: str, form: Form) -> Read | None:
        """Return the bars of a chart, or None if there are none; raise errors of the database."""
        state = self.live.store.states.get(code)
        if state is None:
            return None
        wanted, symbol, now = RANGES[form.range], state.symbol, self.now()
        since = wanted.since(now, _zone(symbol) or UTC, self._hours(state, now - SESSIONS))
        choices = []
        for step in wanted.stored(since, now, conf.get("RETENTION")):
            bars = await self.bars.read(symbol.code, step, since)
            choices.append(Read(step, bars, since))
            if bars and since and bars[0].start <= since:
                break
        found = reaching((each.bars for each in choices), since)
        return next((each for each in choices if found and each.bars is found), None)

    async def _with_bars(self, place: Place, edition: Edition, state: State, read: Read) -> Drawn:
        form, symbol, quote = place.form, state.symbol, state.quote
        frame = Frame(
            bars=read.bars,
            step=read.step,
            zone=_zone(symbol) or UTC,
            hours=self._hours(state, read.since or read.bars[0].start),
        )
        texts = ChartTexts(edition.language, symbol.digits_near(read.bars[-1].close))
        chart, drawing = None, None
        if form.others:
            drawing = await self._compared(place, frame, texts, read.since)
        else:
            chart = Chart(
                frame=frame,
                texts=texts,
                kind=form.kind or RANGES[form.range].kind,
                logarithmic=_is_logarithmic(form, frame),
                tick=symbol.tick_size or PLAIN,
                previous=_previous_close(form, quote),
            )
            drawing = chart.draw()
        words = self._words(place, state) | {"chart": drawing, "begins": read.begins}
        html = self.live.fragments.render("quotes/_charted.html", edition, words)
        return Drawn(html, self.now(), read.step, chart, drawing, quote)

    async def _compared(
        self, place: Place, frame: Frame, texts: ChartTexts, since: datetime | None
    ) -> Drawing:
        codes = [code for code in place.form.others if code in self.live.store.states]
        others = [await self.bars.read(code, frame.step, since) for code in codes]
        return Comparison(
            frame=frame, texts=texts, names=[place.code, *codes], others=others
        ).draw()

    def _without_bars(self, place: Place, edition: Edition, *, later: bool = False) -> Drawn:
        state = self.live.store.states.get(place.code)
        words = (self._words(place, state) if state else {}) | {"later": later}
        html = self.live.fragments.render("quotes/_charted.html", edition, words)
        return Drawn(html, self.now())

    def _words(self, place: Place, state: State) -> dict[str, Any]:
        form, zone = place.form, _zone(state.symbol)
        others = crc32(",".join(form.others).encode()) if form.others else 0
        return {
            "id": f"quotes-chart-{state.symbol.pk}-{form.options.replace('.', '-')}-{others:x}",
            "title": format_lazy("{}, {}", place.code, gettext_lazy(TITLES[form.range])),
            "zone": zone.key.rpartition("/")[2].replace("_", " ") if zone else "UTC",
        }

    def _hours(self, state: State, begin: datetime) -> list[Period]:
        """Return the regular trading of a market that began between a time and now."""
        symbol = state.symbol
        hours = sessions.trading_between(symbol.exchange, symbol.kind, begin, self.now())
        return [Period(*each) for each in hours]


def _of(messages: Mapping[Key, str], watch: Watch) -> str:
    return "".join(messages.get((place, watch.edition), "") for place in watch.places)


def _zone(symbol: Symbol) -> ZoneInfo | None:
    return sessions.zone(symbol.exchange, symbol.kind)


def _is_logarithmic(form: Form, frame: Frame) -> bool:
    return form.scale == "log" or (not form.scale and form.range == "all" and frame.is_steep)


def _previous_close(form: Form, quote: Quote | None) -> Decimal | None:
    if quote is None or form.range != "1d" or quote.reference_kind != "prev_close":
        return None
    return quote.reference
