"""What the page of a symbol shows beside its quote: figures from candles, and market hours."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

from django.utils import dateformat, timezone
from django.utils.formats import get_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop, pgettext

from quotes import formats, sessions
from quotes.candles.figures import Figures
from quotes.shown import SESSIONS, Shown, translated
from quotes.store import State

PERIODS = {
    "5D": gettext_noop("5 days"),
    "1M": gettext_noop("1 month"),
    "YTD": gettext_noop("This year"),
    "1Y": gettext_noop("1 year"),
}
DAYS_AHEAD = 60  # in which the page of a symbol names days with unusual hours
MAX_DAYS = 3


VALUES = ("bid", "ask", "open", "reference", "volume", "low", "high")  # that a source may not send


def values_of(state: State) -> tuple[str, ...]:
    """Return the names of those VALUES that are known.

    The price of 24 hours ago is the opening of many sources, and is stated once.
    """
    known = [name for name in VALUES if getattr(state.quote, name, None) is not None]
    quote = state.quote
    if quote and quote.reference_kind != "prev_close" and quote.open == quote.reference:
        known = [name for name in known if name != "open"]
    return tuple(known)


class Move(NamedTuple):
    """A price and its change, as texts. Texts that are not known are empty."""

    value: str = ""  # the price for machines
    last: str | SafeString = ""
    way: str = "flat"  # for `data-way`
    arrow: str = ""
    change: str = ""
    percent: str = ""


class Panel(Shown):
    """A state and the figures of its symbol, as the strings that its page prints."""

    def __init__(
        self,
        state: State,
        language: str,
        figures: Figures,
        known: Collection[str] = (),
        zone: tzinfo | None = None,
    ) -> None:
        super().__init__(state, language, zone)
        self.figures = figures
        # A value that was known before keeps its place: one that goes would move all below it.
        self.known = (*known, *(name for name in values_of(self.state) if name not in known))

    @property
    def title(self) -> str:
        """The code with its price and change, in plain text: “AAPL 271.74 USD ▲ +0.98%”."""
        if self.quote is None:
            return self.symbol.code
        move = self.headline
        text = f"{self.symbol.code} {self.as_text(Decimal(move.value))} {self.unit}"
        return f"{text} {move.arrow} {move.percent}".rstrip()

    @property
    def summary(self) -> str:
        """The price with its time and its state, in plain text, as other sites may show it.

        They may show it for days, so that it has a date.
        """
        if self.quote is None:
            return gettext("No price yet")
        move = self.headline
        change = f", {move.arrow} {move.percent} {self.since}" if move.arrow else ""
        price = f"{self.as_text(Decimal(move.value))} {self.unit}{change.rstrip()}"
        of = self._closed or self.quote.time
        when = dateformat.format(timezone.localtime(of), f"{get_format('DATE_FORMAT')}, H:i e")
        texts = [gettext("%(price)s, as of %(when)s") % {"price": price, "when": when}]
        texts += [self.label, *self.asides, gettext("simulated") if self.simulated else ""]
        return " · ".join(text for text in texts if text)

    @property
    def average_volume(self) -> str:
        """The average volume of a day, abbreviated, or "" if candles have too few volumes."""
        volume = self.figures.volume
        return "" if volume is None else formats.compact(volume, self.language)

    @property
    def volume_days(self) -> str:
        """The number of days in the average volume."""
        return str(self.figures.volume_days or "")

    @cached_property
    def _year(self) -> tuple[Decimal, Decimal] | None:
        return self.figures.range_with(self.quote) if self.quote else None

    @property
    def year_low(self) -> str | SafeString:
        """The lowest price of 52 weeks, or "" if candles do not reach that far."""
        return self._price(self._year[0]) if self._year else ""

    @property
    def year_high(self) -> str | SafeString:
        """The highest price of 52 weeks, or ""."""
        return self._price(self._year[1]) if self._year else ""

    @property
    def year_low_value(self) -> str:
        """The lowest price of 52 weeks for machines, or ""."""
        return formats.plain(self._year[0]) if self._year else ""

    @property
    def year_high_value(self) -> str:
        """The highest price of 52 weeks for machines, or ""."""
        return formats.plain(self._year[1]) if self._year else ""

    @property
    def periods(self) -> tuple[tuple[str, str, str], ...]:
        """The change over some periods: the name of each, the percentage, and its direction."""
        last = self._close[1] if self._close else self.quote.last if self.quote else None
        found = {} if last is None else self.figures.changes(last)
        return tuple(
            (gettext(name), formats.percent(found[each], self.language), _way(found[each]))
            for each, name in PERIODS.items()
            if each in found
        )

    @property
    def headline(self) -> Move:
        """The large price of the symbol's page: the last one, or the close if `outside`."""
        if self._close is not None:
            return self._move(*self._close[1:])
        change = (self.arrow, self.change, self.change_percent) if self.arrow else ("", "", "")
        return Move(self.value, self.last, self.direction, *change)

    @property
    def extended(self) -> bool:
        """Whether its market trades outside regular hours, so that the page keeps a line free."""
        return self.session != "always" and sessions.has_hours_outside(
            self.symbol.exchange, self.symbol.kind
        )

    @property
    def outside(self) -> str:
        """The session of a price from outside regular trading, if the close before is known.

        It is "Pre-market", "After hours", or "".
        """
        return translated(SESSIONS, self._hours, self.language) if self._close else ""

    @property
    def outside_move(self) -> Move:
        """That price, and its change from the close."""
        if self.quote is None or self._close is None:
            return Move()
        return self._move(self.quote.last, self._close[1])

    @property
    def closed_at(self) -> str:
        """The time of that close, or "" if it is not known."""
        if self.quote is None or self._closed is None:
            return ""
        return formats.day_and_time(self._closed, self.quote.received_at)

    @property
    def _closed(self) -> datetime | None:
        """The time of the close, if it is the headline."""
        if self._close is None:
            return None
        trading = sessions.trading_on(self.symbol.exchange, self.symbol.kind, self._close[0])
        return trading[-1][1] if trading else None

    @cached_property
    def _hours(self) -> str:
        """The session that the price belongs to: "pre", "post", or "" for any other."""
        quote, symbol = self.quote, self.symbol
        if quote is None or quote.source_time is None or quote.mistimed:
            return ""
        if self.session == "always":  # of a simulated market, around the clock
            return ""
        of = sessions.of_price(symbol.exchange, symbol.kind, quote.time)
        return of if of in ("pre", "post") else ""

    @cached_property
    def _close(self) -> tuple[date, Decimal, Decimal | None] | None:
        """The day and the price of the close before a price outside trading, and the one before.

        It is None if the candles lack the last day of trading.
        """
        quote, symbol, closes = self.quote, self.symbol, self.figures.closes
        if quote is None or not closes or not self._hours:
            return None
        moment, earlier = quote.time, quote.reference
        if self._hours == "pre":
            session = sessions.at(symbol.exchange, symbol.kind, moment)
            began = session.since if session and session.since else moment
            moment, earlier = began - timedelta.resolution, None
        day, last = closes[-1]
        if day != sessions.day_of(symbol.exchange, symbol.kind, moment):
            return None
        if earlier is None and len(closes) > 1:
            earlier = closes[0].last
        return day, last, earlier

    def _price(self, value: Decimal) -> SafeString:
        return formats.price(value, self.digits, self.language)

    def _move(self, last: Decimal, base: Decimal | None) -> Move:
        price = formats.plain(last), self._price(last)
        if not base:
            return Move(*price)
        change = (last - base) / abs(base) * 100
        return Move(
            *price,
            _way(change),
            formats.ARROWS[_way(change)],
            formats.price_change(last - base, self.digits, self.language),
            formats.percent(change, self.language),
        )


def market_days(state: State, now: datetime) -> list[tuple[str, str]]:
    """Return the regular hours of a symbol's market today and on the next unusual days.

    These are pairs of texts, the day and its hours. There are none if the hours are not known, or
    the market never closes.
    """
    market = state.symbol.exchange, state.symbol.kind
    place = sessions.zone(*market)
    if place is None or (state.session and state.session.name == "always"):
        return []
    today, here = now.astimezone(place).date(), timezone.localtime(now).date()
    ahead = [today + timedelta(days) for days in range(1, DAYS_AHEAD)]
    days = {today, *sessions.unusual_days(*market, ahead)[:MAX_DAYS]}
    session = sessions.at(*market, now)
    if not sessions.trading_on(*market, today) and session and session.next_open:
        days -= {today} - {here}
        days.add(session.next_open.astimezone(place).date())
    found = ((day, sessions.trading_on(*market, day)) for day in sorted(days))
    return [
        (gettext("Today") if day == today == here else _day(day), _hours_of(day, trading))
        for day, trading in found
        if trading is not None
    ]


def _hours_of(day: date, trading: Sequence[tuple[datetime, datetime]]) -> str:
    pairs = (tuple(map(timezone.localtime, pair)) for pair in trading)
    return ", ".join(_clock(day, *pair) for pair in pairs) or gettext("Closed")


def _clock(day: date, begins: datetime, ends: datetime) -> str:
    pattern = "H:i" if begins.date() == ends.date() == day else "D\N{NO-BREAK SPACE}H:i"
    return "\N{EN DASH}".join(dateformat.format(each, pattern) for each in (begins, ends))


def _day(day: date) -> str:
    pattern = pgettext("day and month, for Django's date filter", "j M")
    return dateformat.format(day, f"D, {pattern}").replace(" ", "\N{NO-BREAK SPACE}")


def _way(percent: Decimal) -> str:
    return formats.direction(percent, 2)
