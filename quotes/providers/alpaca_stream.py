"""The protocol of Alpaca's stream: one connection, and a snapshot of each symbol.

Wire format: https://docs.alpaca.markets/docs/streaming-market-data; every frame is a list.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from quotes.providers import Instrument, ProviderError
from quotes.providers.alpaca_trades import (
    ALL,
    VOID,
    Effect,
    corrected,
    effect_of,
    is_same,
    original_of,
)
from quotes.providers.kit.errors import excerpt
from quotes.quote import Quote
from quotes.quote.values import amount, last_price, price, utc

CHUNK = 400  # symbols in one subscription: the stream ignores longer messages
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
TAKEN = 30.0  # seconds until Alpaca notices that a connection was lost, and allows another one
TOO_MANY_SYMBOLS, TOO_MANY_CONNECTIONS = 405, 406
CANCELLED = 100  # cancelled trades of a symbol that are remembered
REFUSED = (402, 409)  # a wrong key, a plan without this feed

# Trades, quotes and daily bars in a frame, each a flat object. Only a trade with the same
# conditions supersedes a trade, because the conditions decide whether it sets the last price.
TICK = re.compile(r'\{"T":\s*"([tqd])"[^{}]*?"S":\s*"([^"]*)"(?:[^{}]*?"c":\s*\[([^\]]*)\])?')

Row = Mapping[str, Any]


class Snapshot:
    """The newest trade, quote and daily bars of one symbol, as Alpaca writes them."""

    def __init__(self, crypto: bool = False, cancelled: Iterable[Row] = ()) -> None:
        self.crypto = crypto
        self.trade: Row = {}
        self.bid_ask: Row = {}
        self.day: Row = {}  # of the trade's day, or of the one before if that has no bar yet
        self.day_before: Row = {}
        # Low and high of the day's trades since REST sent its bar. The stream sends a bar after the
        # end of a minute, so there may have been trades since.
        self.since: tuple[Decimal, ...] = ()
        self.cancelled = deque(cancelled, maxlen=CANCELLED)  # trades that were the last

    @property
    def is_doubtful(self) -> bool:
        """Whether the last trade was cancelled: only REST knows the one before it."""
        return self._is_cancelled(self.trade)

    def update(self, row: Row) -> None:
        """Update the parts of which REST has newer data than the stream."""
        self._update_trade(row)
        self.bid_ask = newer(self.bid_ask, row.get("latestQuote"))
        bar = part(row, "dailyBar")
        if bar and newer(self.day, bar) is bar:
            self.day, self.since = bar, ()
        self.day_before = newer(self.day_before, row.get("prevDailyBar"))

    def take(self, message: Row) -> bool:
        """Update a part from a message of the stream; return whether it changed."""
        takers = {
            "t": self._take_trade,
            "x": self._take_cancel,
            "c": self._take_correction,
            "q": self._take_bid_ask,
            "d": self._take_day,
        }
        take = takers.get(str(message.get("T")))
        return take is not None and take(message)

    def quote(self, instrument: Instrument, delay: int, now: datetime) -> Quote:
        """Return the snapshot as a quote."""
        last = last_price(self.trade.get("p"))
        day, reference = self.day, price(self.day_before.get("c"))
        if not self._is_of_the_day(self.trade):
            day, reference = {}, price(self.day.get("c"))
        high, low, volume = price(day.get("h")), price(day.get("l")), amount(day.get("v"))
        inside = (low or last) <= last <= (high or last)
        is_extreme = last > 0 and not inside and self._effect(self.trade).range
        seen = (*self.since, last) if is_extreme else self.since
        return Quote(
            symbol=instrument.symbol,
            provider="alpaca",
            currency=currency(instrument.code),
            last=last,
            received_at=now,
            source_time=self._known_at(),
            bid=price(self.bid_ask.get("bp")),
            ask=price(self.bid_ask.get("ap")),
            open=price(day.get("o")),
            high=high and max((high, *seen)),
            low=low and min((low, *seen)),
            reference=reference,
            reference_kind="prev_close" if reference else "none",
            volume=volume,
            volume_window="session",
            session="always" if is_crypto(instrument.code) else None,
            delay=delay,
        )

    def _update_trade(self, row: Row) -> None:
        latest = part(row, "latestTrade")
        if latest.get("u") in VOID and latest not in self.cancelled:
            self.cancelled.append(latest)
        trade = self._last_of(latest, part(row, "minuteBar"))
        is_newer = newer(self.trade, trade) is trade or self.is_doubtful
        if not self.trade or (price(trade.get("p")) and is_newer):
            self.trade = trade

    def _last_of(self, trade: Row, bar: Row) -> Row:
        is_last = self._is_last(trade, self._effect(trade)) and not self._is_cancelled(trade)
        if price(trade.get("p")) is None or is_last:
            return trade
        # The trade hides an earlier one that set the last price. So did the close of the bar, some
        # time in its minute. The start of that minute is never too late a time.
        return {} if self._has_cancelled_close(bar) else {"p": bar.get("c"), "t": bar.get("t")}

    def _take_trade(self, message: Row) -> bool:
        last, effect = price(message.get("p")), self._effect(message)
        if last is None:
            return False
        is_last = newer(self.trade, message) is message and self._is_last(message, effect)
        is_late = effect.first and not effect.last
        known = self.since
        if effect.range and (is_last or is_late) and self.day and self._days_after(message) == 0:
            self.since = min((last, *known)), max((last, *known))
            if is_last:
                self.day = {**self.day, "c": last}
        if is_last:
            self.trade = message
        return is_last or self.since != known

    def _take_cancel(self, message: Row) -> bool:
        """Take back a trade. REST and the next bar know what it had replaced."""
        known, wrong = self.since, price(message.get("p"))
        if is_same(self.trade, message):
            self.cancelled.append(self.trade)
        if wrong in known:
            self.since = ()
        return self.since != known

    def _take_correction(self, message: Row) -> bool:
        wrong, trade = original_of(message), self.trade
        changed = self._take_cancel(wrong)
        return (is_same(trade, wrong) and self._take_trade(corrected(trade, message))) or changed

    def _is_cancelled(self, trade: Row) -> bool:
        return trade.get("u") in VOID or any(is_same(trade, each) for each in self.cancelled)

    def _has_cancelled_close(self, bar: Row) -> bool:
        close, begun = price(bar.get("c")), moment(bar)
        inside = (each for each in self.cancelled if begun <= moment(each) < begun + MINUTE)
        return any(price(each.get("p")) == close for each in inside)

    def _known_at(self) -> datetime | None:
        # A cancelled trade leaves the price before it. That was still the last at the time of the
        # cancelled one. With an earlier time, the quote would be late to the feed.
        times = (utc(each.get("t")) for each in (self.trade, *self.cancelled))
        return max(filter(None, times), default=None)

    def _is_last(self, trade: Row, effect: Effect) -> bool:
        is_first = not self.trade or self._days_after(trade) > self._days_after(self.trade)
        return effect.last or (effect.first and is_first)

    def _effect(self, trade: Row) -> Effect:
        return ALL if self.crypto else effect_of(trade)

    def _take_bid_ask(self, message: Row) -> bool:
        known, self.bid_ask = self.bid_ask, newer(self.bid_ask, message)
        return self.bid_ask is not known

    def _take_day(self, message: Row) -> bool:
        if newer(self.day, message) is not message:
            return False
        if moment(message) > moment(self.day):
            self.day_before, self.since = self.day or self.day_before, ()
            self.day = message
        else:
            self.day = completed(message, self.day)
        return True

    def _is_of_the_day(self, trade: Row) -> bool:
        # Until a day has a bar, the newest one is of the day before.
        return not self.day or self._days_after(trade) < 1

    def _days_after(self, trade: Row) -> int:
        # A bar begins at midnight, and stocks are not traded at night.
        return (moment(trade) - moment(self.day)) // DAY


class Connection:
    """Subscribes to as many symbols as the plan allows, and reads their messages."""

    def __init__(
        self,
        path: str,
        login: Mapping[str, str],
        codes: Sequence[str],
        snapshot: Callable[[str], Snapshot],  # of a code
    ) -> None:
        self.path, self.login, self.snapshot = path, login, snapshot
        self.codes = frozenset(codes)
        self.waiting = list(codes)  # not subscribed, or not yet
        self.requested: list[str] = []  # in the subscription that is not acknowledged yet
        self.given: list[str] = []
        self.size = CHUNK
        self.due: list[dict[str, Any]] = []  # messages to send

    def take(self, frame: Sequence[Any]) -> list[str]:
        """Return the codes that a frame changed; raise ProviderError for an error."""
        moved: dict[str, None] = {}
        for message in frame:
            if not isinstance(message, dict):
                continue
            code = message.get("S")
            if not isinstance(code, str):
                self._heed(message)
            elif code in self.codes and self.snapshot(code).take(message):
                moved[code] = None
        return list(moved)

    def probe(self) -> None:
        """Repeat a subscription: its acknowledgement shows that the connection works."""
        self.due.append({"action": "subscribe", "trades": self.given[:1]})

    def _heed(self, message: Row) -> None:
        match message.get("T"), message.get("msg"):
            case "success", "connected":
                self.due.append({"action": "auth", **self.login})
            case "success", "authenticated":
                self._subscribe()
            case "subscription", _:
                self.given += self.requested
                self.waiting = self.waiting[len(self.requested) :]
                self._subscribe()
            case "error", words:
                self._fail(message.get("code"), self._excerpt(words))

    def _subscribe(self) -> None:
        self.requested = codes = self.waiting[: self.size]
        if codes:
            channels = {"trades": codes, "quotes": codes, "dailyBars": codes}
            self.due.append({"action": "subscribe", **channels})

    def _excerpt(self, words: object) -> str:
        return excerpt(words, *self.login.values())

    def _fail(self, number: Any, words: str) -> None:
        if number == TOO_MANY_SYMBOLS and (len(self.requested) > 1 or self.given):
            # Alpaca rejects all of a subscription that is too large, so half of it is tried.
            self.size = len(self.requested) // 2
            self._subscribe()
            return
        raise ProviderError(
            f"the stream answered with error {self._excerpt(number)}: {words}",
            refused=number in REFUSED,
            retry_after=TAKEN if number == TOO_MANY_CONNECTIONS else None,
        )


def ticks_in(frame: str) -> list[str]:
    """Return the code and kind of each tick; nothing if the frame has other messages, too."""
    found = TICK.findall(frame)
    if len(found) != frame.count("{"):
        return []
    return [f"{code} {kind} {of if kind == 't' else ''}" for kind, code, of in found]


def part(row: Row, name: str) -> Row:
    """Return a part of a snapshot; an empty one if it is missing."""
    found = row.get(name)
    return found if isinstance(found, dict) else {}


def newer(known: Row, other: Any) -> Row:
    """Return the row with the later time; the other one if their times are equal."""
    return other if isinstance(other, dict) and moment(other) >= moment(known) else known


def moment(row: Row) -> datetime:
    """Return the time of a trade, quote or bar; without one, a time long ago."""
    return utc(row.get("t")) or LONG_AGO


def completed(bar: Row, known: Row) -> Row:
    """Return a bar of the day; if it lacks high or low, with that of the bar before it."""
    return {**bar, **{name: known.get(name) for name in "hl" if price(bar.get(name)) is None}}


def is_crypto(code: str) -> bool:
    """Return whether a code is a pair like BTC/USD, and not a stock."""
    return "/" in code


def currency(code: str) -> str:
    """Return the currency of a code."""
    return code.rpartition("/")[2] if is_crypto(code) else "USD"
