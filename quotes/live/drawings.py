"""Drawings: the chart of a place as HTML, drawn from bars and moved by quotes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, Protocol
from zlib import crc32
from zoneinfo import ZoneInfo

from django.utils.safestring import SafeString, mark_safe
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy

from quotes import conf, sessions
from quotes.boards import Listed
from quotes.charts.bars import DAY, Bar, Period
from quotes.charts.chart import Chart
from quotes.charts.comparison import Comparison
from quotes.charts.drawing import Drawing
from quotes.charts.forms import Form
from quotes.charts.frame import Frame
from quotes.charts.ranges import RANGES, begins_late, reaches
from quotes.fragments import Fragments
from quotes.graphs import compared, table
from quotes.live.bars import Bars
from quotes.live.database import DatabaseThread
from quotes.models import Symbol
from quotes.quote import Quote
from quotes.shown.charts import TITLES, ChartTexts
from quotes.store import State, Store
from quotes.watch import Edition, Place

SESSIONS = timedelta(days=14)  # in which five days of trading are found


class Live(Protocol):
    """The attributes of `live.Live` that `Drawings` uses."""

    store: Store
    fragments: Fragments
    in_database: DatabaseThread

    @property
    def listed(self) -> Listed:
        """The active symbols and the boards."""


class Read(NamedTuple):
    """The bars of a chart, at least one."""

    step: int  # seconds
    bars: Sequence[Bar]
    since: datetime | None  # from when they are wanted; None for all
    opened: datetime | None  # the first trading since then
    hours: Sequence[Period]  # of trading since then

    @property
    def begins(self) -> date | None:
        """The day on which they begin, if that is so late that a visitor should know."""
        return self.bars[0].start.date() if begins_late(self.bars, self.opened) else None


@dataclass(slots=True)
class Drawn:
    """A chart as it was drawn, and its last bar, which moves."""

    drawn_at: datetime
    html: SafeString
    last_bar: SafeString = field(default_factory=SafeString)  # as it is in `html`
    newest_bar: SafeString = field(default_factory=SafeString)  # as it is now
    moved_in: int = 0  # the turn in which it moved
    is_outgrown: bool = False  # another bar began, or the price left the scale
    step: int = 0  # seconds of its stored bars
    chart: Chart | None = None  # which moves; None for a comparison, or without bars
    comparison: Comparison | None = None
    drawing: Drawing | None = None
    quote: Quote | None = None  # with which it was drawn or moved
    table: SafeString = field(default_factory=SafeString)  # of its bars, once a page has shown it

    @property
    def current(self) -> SafeString:
        """The chart as it is now."""
        if self.newest_bar == self.last_bar:
            return self.html
        moved = self.html.replace(self.last_bar, self.newest_bar, 1)
        return mark_safe(moved)  # noqa: S308  both are ours


class Drawings:
    """Draws charts, and moves what it has drawn."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.bars = Bars(live, self.now)

    def now(self) -> datetime:
        """Return the time of the store."""
        return self.live.store.clock()

    async def draw(self, place: Place, edition: Edition) -> Drawn:
        """Read the bars of a chart and draw it.

        Raise the errors of the database if bars that are not in memory can't be read.
        """
        state = self.live.store.states.get(place.code)
        read = await self.read(place.code, place.form)
        if state is None or read is None:
            return self.without_bars(place, edition)
        frame = Frame(
            bars=read.bars, step=read.step, zone=_zone(state.symbol) or UTC, hours=read.hours
        )
        texts = ChartTexts(edition.language, state.symbol.digits_near(read.bars[-1].close))
        splits = self._splits((place.code, *place.form.others), frame)
        chart = comparison = None
        if place.form.others:
            comparison = await self._compared(place, frame, texts, read.since)
            drawing = comparison.draw()
        else:
            events = [(day, texts.split(ratio)) for _, day, ratio in splits]
            chart = await self._chart(place.form, state, frame, texts, events)
            drawing = chart.draw()
        shown = {"chart": drawing, "begins": read.begins, "splits": splits}
        words = _words(place, state) | shown
        last_bar = self._last_bar(edition, words | {"now": drawing.now}) if drawing.now else ""
        html = self._render("quotes/_charted.html", edition, words | {"last_bar": last_bar})
        return Drawn(
            self.now(), html, SafeString(last_bar), SafeString(last_bar),
            step=read.step, chart=chart, comparison=comparison, drawing=drawing, quote=state.quote,
        )  # fmt: skip

    def without_bars(self, place: Place, edition: Edition, *, later: bool = False) -> Drawn:
        """Return the text in place of a chart; with `later`, its bars are not read yet."""
        state = self.live.store.states.get(place.code)
        if state is None:  # it became inactive just now
            return Drawn(self.now(), SafeString())
        words = _words(place, state) | {"later": later}
        return Drawn(self.now(), self._render("quotes/_charted.html", edition, words))

    def move(self, place: Place, edition: Edition, drawn: Drawn, turn: int) -> None:
        """Move the last bar of a chart with the newest quote, or note that it is outgrown."""
        state = self.live.store.states.get(place.code)
        if state is None or state.quote is None or state.quote is drawn.quote:
            return
        drawn.quote = state.quote
        if drawn.chart is None:  # a comparison does not move, but now there may be bars
            drawn.is_outgrown = drawn.drawing is None
            return
        newest = self.bars.newest(place.code, drawn.step)
        now = newest and drawn.chart.now(newest)
        if now is None:
            drawn.is_outgrown = True
            return
        context = _words(place, state) | {"chart": drawn.drawing, "now": now}
        drawn.newest_bar, drawn.moved_in = self._last_bar(edition, context), turn

    def table(self, place: Place, edition: Edition, drawn: Drawn) -> SafeString:
        """Return the values of a chart as a table; "" without bars."""
        state = self.live.store.states.get(place.code)
        shown = drawn.chart or drawn.comparison
        if state is None or shown is None:
            return SafeString()
        if not drawn.table:
            language, names, frame = edition.language, list[str](), shown.frame
            if isinstance(shown, Comparison):
                names, rows = [*shown.names], compared(shown, language)
            else:
                rows = table(state.symbol, frame, language)
            context = {"names": names, "rows": rows, "dated": frame.drawn_step >= DAY}
            drawn.table = self._render("quotes/_chart_table.html", edition, context)
        return drawn.table

    async def read(self, code: str, form: Form) -> Read | None:
        """Return the bars of a chart, or None if there are none.

        These are the finest that reach back far enough, or else those that reach back farthest.
        Raise the errors of the database.
        """
        state = self.live.store.states.get(code)
        if state is None:
            return None
        wanted, now, best = RANGES[form.range], self.now(), None
        zone = _zone(state.symbol) or UTC
        since = wanted.since(now, zone, self._hours(state, now - SESSIONS))
        hours = self._hours(state, since) if since else []
        opened = max(since, hours[0].begins) if since and hours else since
        for step in wanted.stored(since, now, conf.get("RETENTION")):
            bars = await self.bars.read(code, step, since)
            if bars and (best is None or bars[0].start < best.bars[0].start):
                best = Read(step, bars, since, opened, hours)
            if reaches(bars, opened):
                break
        if best and since is None:
            return best._replace(hours=self._hours(state, best.bars[0].start))
        return best

    async def stored(self, code: str, form: Form) -> dict[str, Sequence[Bar]]:
        """Return the stored bars of a chart, by the code of each symbol in it.

        Raise the errors of the database.
        """
        read = await self.read(code, form)
        if read is None:
            return {code: []}
        return {code: read.bars} | await self._others(form, read.step, read.since)

    async def _chart(
        self,
        form: Form,
        state: State,
        frame: Frame,
        texts: ChartTexts,
        events: Sequence[tuple[date, str]],
    ) -> Chart:
        return Chart(
            frame=frame,
            texts=texts,
            kind=form.kind or RANGES[form.range].kind,
            logarithmic=form.is_logarithmic(steep=frame.is_steep),
            tick=state.symbol.tick_size
            or Decimal(1).scaleb(-texts.digits_of(frame.bars[-1].close)),
            previous=await self._previous_close(form, state, frame.hours),
            events=events,
        )

    def _splits(self, codes: Iterable[str], frame: Frame) -> list[tuple[str, date, str]]:
        """Return the splits of some symbols after the first bar of a frame."""
        listed, (first, last) = self.live.listed.symbols, frame.days
        return [
            (code, day, ratio)
            for code in codes
            if code in listed
            for day, ratio in listed[code].split_days
            if first < day <= last
        ]

    async def _previous_close(
        self, form: Form, state: State, hours: Sequence[Period]
    ) -> Decimal | None:
        """Return the close before the session of a chart of one day; None if it is not known.

        Before the market opens, the reference of a quote is the close of the session that the
        chart shows.
        """
        quote, market = state.quote, (state.symbol.exchange, state.symbol.kind)
        if quote is None or form.range != "1d" or quote.reference_kind != "prev_close":
            return None
        if not hours or not sessions.is_after_day(*market, hours[-1].ends, quote.time):
            return quote.reference
        day = sessions.day_of(*market, hours[-1].begins)
        daily = await self.bars.read(state.symbol.code, DAY, hours[-1].begins - SESSIONS)
        return next((bar.close for bar in reversed(daily) if bar.start.date() < day), None)

    async def _compared(
        self, place: Place, frame: Frame, texts: ChartTexts, since: datetime | None
    ) -> Comparison:
        others = await self._others(place.form, frame.step, since)
        names = [place.code, *others]
        return Comparison(frame=frame, texts=texts, names=names, others=[*others.values()])

    async def _others(
        self, form: Form, step: int, since: datetime | None
    ) -> dict[str, Sequence[Bar]]:
        codes = [code for code in form.others if code in self.live.store.states]
        return {code: await self.bars.read(code, step, since) for code in codes}

    def _last_bar(self, edition: Edition, context: dict[str, Any]) -> SafeString:
        context = context | {"id": context["id"] + "-now"}
        return self._render("quotes/_chart_now.html", edition, context)

    def _render(self, template: str, edition: Edition, context: dict[str, Any]) -> SafeString:
        return self.live.fragments.templates.render(template, edition, context)

    def _hours(self, state: State, begin: datetime) -> list[Period]:
        """Return the regular trading of a market that began between a time and now."""
        symbol = state.symbol
        hours = sessions.trading_between(symbol.exchange, symbol.kind, begin, self.now())
        return [Period(*each) for each in hours]


def id_of(place: Place) -> str:
    """Return the id of a chart on a page."""
    # a symbol that is deleted and made again has another primary key, and the page stays open
    name = crc32(f"{place.code} {place.form.options} {place.form.others}".encode())
    return f"quotes-chart-{name:x}"


def _words(place: Place, state: State) -> dict[str, Any]:
    zone = _zone(state.symbol)
    return {
        "id": id_of(place),
        "title": format_lazy("{}, {}", place.code, gettext_lazy(TITLES[place.form.range])),
        "zone": zone.key.rpartition("/")[2].replace("_", " ") if zone else "UTC",
    }


def _zone(symbol: Symbol) -> ZoneInfo | None:
    return sessions.zone(symbol.exchange, symbol.kind)
