"""The protocol of Alpaca's stream: one connection, and a snapshot of each symbol.

Wire format: https://docs.alpaca.markets/docs/streaming-market-data; every frame is a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from quotes.providers import Instrument, ProviderError
from quotes.providers.alpaca_trades import ALL, Effect, effect_of
from quotes.providers.kit.errors import excerpt
from quotes.quote import Quote
from quotes.quote.values import amount, last_price, price, utc

CHUNK = 400  # symbols in one subscription: the stream ignores longer messages
DAY = timedelta(days=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
TAKEN = 30.0  # seconds until Alpaca notices that a connection was lost, and allows another one
TOO_MANY_SYMBOLS, TOO_MANY_CONNECTIONS = 405, 406
REFUSED = (402, 409)  # a wrong key, a plan without this feed

Row = Mapping[str, Any]


class Snapshot:
    """The newest trade, quote and daily bars of one symbol, as Alpaca writes them."""

    def __init__(self, crypto: bool = False) -> None:
        self.crypto = crypto
        self.trade: Row = {}
        self.bid_ask: Row = {}
        self.day: Row = {}  # of the trade's day, or of the one before if that has no bar yet
        self.day_before: Row = {}

    def update(self, row: Row) -> None:
        """Update the parts of which REST has newer data than the stream."""
        trade = self._last_of(row)
        if not self.trade or (price(trade.get("p")) and newer(self.trade, trade) is trade):
            self.trade = trade
        self.bid_ask = newer(self.bid_ask, row.get("latestQuote"))
        self.day = newer(self.day, row.get("dailyBar"))
        self.day_before = newer(self.day_before, row.get("prevDailyBar"))

    def take(self, message: Row) -> bool:
        """Update a part from a message of the stream; return whether it changed."""
        takers = {"t": self._take_trade, "q": self._take_bid_ask, "d": self._take_day}
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
        if last > 0 and not inside and self._effect(self.trade).range:
            high, low = high and max(high, last), low and min(low, last)
        return Quote(
            symbol=instrument.symbol,
            provider="alpaca",
            currency=currency(instrument.code),
            last=last,
            received_at=now,
            source_time=utc(self.trade.get("t")),
            bid=price(self.bid_ask.get("bp")),
            ask=price(self.bid_ask.get("ap")),
            open=price(day.get("o")),
            high=high,
            low=low,
            reference=reference,
            reference_kind="prev_close" if reference else "none",
            volume=volume,
            volume_window="session",
            session="always" if is_crypto(instrument.code) else None,
            delay=delay,
        )

    def _take_trade(self, message: Row) -> bool:
        last, effect = price(message.get("p")), self._effect(message)
        if last is None:
            return False
        is_last = newer(self.trade, message) is message and self._is_last(message, effect)
        is_late = effect.first and not effect.last
        known = self.day
        if effect.range and (is_last or is_late) and known and self._days_after(message) == 0:
            self.day = widened(known, {"h": last, "l": last}) | ({"c": last} if is_last else {})
        if is_last:
            self.trade = message
        return is_last or self.day != known

    def _last_of(self, row: Row) -> Row:
        trade, bar = part(row, "latestTrade"), part(row, "minuteBar")
        if price(trade.get("p")) is None or self._is_last(trade, self._effect(trade)):
            return trade
        # The trade hides an earlier one that set the last price. So did the close of the bar, some
        # time in its minute. The start of that minute is never too late a time.
        return {"p": bar.get("c"), "t": bar.get("t")} if price(bar.get("c")) else {}

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
            self.day_before, self.day = self.day or self.day_before, message
        else:
            # A bar comes after the end of a minute, so there may have been trades since.
            self.day = widened(message, self.day)
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
        snapshots: dict[str, Snapshot],
    ) -> None:
        self.path, self.login, self.snapshots = path, login, snapshots
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
            elif code in self.codes and self._snapshot(code).take(message):
                moved[code] = None
        return list(moved)

    def probe(self) -> None:
        """Repeat a subscription: its acknowledgement shows that the connection works."""
        self.due.append({"action": "subscribe", "trades": self.given[:1]})

    def _snapshot(self, code: str) -> Snapshot:
        return self.snapshots.setdefault(code, Snapshot(is_crypto(code)))

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


def widened(bar: Row, other: Row) -> dict[str, Any]:
    """Return a bar whose range includes that of another one."""
    highs = [high for each in (bar, other) if (high := price(each.get("h")))]
    lows = [low for each in (bar, other) if (low := price(each.get("l")))]
    return {**bar, "h": max(highs, default=None), "l": min(lows, default=None)}


def is_crypto(code: str) -> bool:
    """Return whether a code is a pair like BTC/USD, and not a stock."""
    return "/" in code


def currency(code: str) -> str:
    """Return the currency of a code."""
    return code.rpartition("/")[2] if is_crypto(code) else "USD"
