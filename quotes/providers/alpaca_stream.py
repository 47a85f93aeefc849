"""What a connection to Alpaca's stream asks for, and what is known of each symbol.

Wire format: https://docs.alpaca.markets/docs/streaming-market-data; every frame is a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from quotes.providers import Instrument, ProviderError
from quotes.providers.kit.errors import excerpt
from quotes.quote import Quote, amount, last_price, price, utc

CHUNK = 400  # symbols in one subscription: of longer messages the stream takes none
DAY = timedelta(days=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
TAKEN = 30.0  # seconds until a connection that was not closed well no longer counts
TOO_MANY_SYMBOLS, TOO_MANY_CONNECTIONS = 405, 406
REFUSED = (402, 409)  # a wrong key, and a plan without this feed
NOT_LAST = frozenset("IZT")  # odd lots, late reports, out of hours: no such trade moves the last

Row = Mapping[str, Any]


class Snapshot:
    """The newest trade, quote and daily bars of one symbol, as Alpaca writes them."""

    def __init__(self) -> None:
        self.trade: Row = {}
        self.bid_ask: Row = {}
        self.day: Row = {}  # the day of the trade, or one before it where that has no bar yet
        self.day_before: Row = {}

    def update(self, row: Row) -> None:
        """Take over what REST tells, except where the stream told of something newer."""
        trade = newer(self.trade, row.get("latestTrade"))
        if price(trade.get("p")) or not self.trade:
            self.trade = trade
        self.bid_ask = newer(self.bid_ask, row.get("latestQuote"))
        self.day = newer(self.day, row.get("dailyBar"))
        self.day_before = newer(self.day_before, row.get("prevDailyBar"))

    def take(self, message: Row) -> bool:
        """Take over a message of the stream; say whether it tells of anything new."""
        takers = {"t": self._take_trade, "q": self._take_bid_ask, "d": self._take_day}
        taker = takers.get(str(message.get("T")))
        return taker is not None and taker(message)

    def quote(self, instrument: Instrument, delay: int, now: datetime) -> Quote:
        """Say it as a quote."""
        last = last_price(self.trade.get("p"))
        day, reference = self.day, price(self.day_before.get("c"))
        if not self._is_of_the_day(self.trade):
            day, reference = {}, price(self.day.get("c"))
        high, low, volume = price(day.get("h")), price(day.get("l")), amount(day.get("v"))
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
            high=high and max(high, last),
            low=low and (min(low, last) if last > 0 else low),
            reference=reference,
            reference_kind="prev_close" if reference else "none",
            volume=volume,
            volume_window="session",
            session="always" if is_crypto(instrument.code) else None,
            delay=delay,
        )

    def _take_trade(self, message: Row) -> bool:
        last, conditions = price(message.get("p")), message.get("c")
        if last is None or newer(self.trade, message) is not message:
            return False
        if isinstance(conditions, list) and not NOT_LAST.isdisjoint(map(str, conditions)):
            return False
        self.trade = message
        if self.day and self._is_of_the_day(message):
            self.day = widened(self.day, {"h": last, "l": last}) | {"c": last}
        return True

    def _take_bid_ask(self, message: Row) -> bool:
        known, self.bid_ask = self.bid_ask, newer(self.bid_ask, message)
        return self.bid_ask is not known

    def _take_day(self, message: Row) -> bool:
        if newer(self.day, message) is not message:
            return False
        if moment(message) > moment(self.day):
            self.day_before, self.day = self.day or self.day_before, message
        else:
            # A bar is told of when a minute is over, and there may have been trades since.
            self.day = widened(message, self.day)
        return True

    def _is_of_the_day(self, trade: Row) -> bool:
        # A bar begins at midnight, and nobody trades stocks at night. Until a day has a bar, the
        # newest one is of the day before.
        return not self.day or moment(trade) - moment(self.day) < DAY


class Connection:
    """What one connection asks for, of which it is given as much as the plan allows."""

    def __init__(
        self,
        path: str,
        login: Mapping[str, str],
        codes: Sequence[str],
        snapshots: dict[str, Snapshot],
    ) -> None:
        self.path, self.login, self.snapshots = path, login, snapshots
        self.codes = frozenset(codes)
        self.waiting = list(codes)  # not subscribed to, or not yet
        self.asked: list[str] = []  # in the subscription that is on its way
        self.given: list[str] = []
        self.size = CHUNK
        self.due: list[dict[str, Any]] = []  # messages to send

    def take(self, frame: Sequence[Any]) -> list[str]:
        """Return the codes that a frame moved; raise ProviderError where it ends the connection."""
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
        """Ask for a sign of life: what is subscribed to once more is acknowledged once more."""
        self.due.append({"action": "subscribe", "trades": self.given[:1]})

    def _snapshot(self, code: str) -> Snapshot:
        return self.snapshots.setdefault(code, Snapshot())

    def _heed(self, message: Row) -> None:
        match message.get("T"), message.get("msg"):
            case "success", "connected":
                self.due.append({"action": "auth", **self.login})
            case "success", "authenticated":
                self._ask()
            case "subscription", _:
                self.given += self.asked
                self.waiting = self.waiting[len(self.asked) :]
                self._ask()
            case "error", said:
                self._fail(message.get("code"), self._excerpt(said))

    def _ask(self) -> None:
        self.asked = codes = self.waiting[: self.size]
        if codes:
            wanted = {"trades": codes, "quotes": codes, "dailyBars": codes}
            self.due.append({"action": "subscribe", **wanted})

    def _excerpt(self, words: object) -> str:
        return excerpt(words, *self.login.values())

    def _fail(self, number: Any, said: str) -> None:
        if number == TOO_MANY_SYMBOLS and (len(self.asked) > 1 or self.given):
            # Of a subscription that is too large nothing is given, so half of it is tried.
            self.size = len(self.asked) // 2
            self._ask()
            return
        raise ProviderError(
            f"the stream answered with error {self._excerpt(number)}: {said}",
            refused=number in REFUSED,
            retry_after=TAKEN if number == TOO_MANY_CONNECTIONS else None,
        )


def newer(known: Row, told: Any) -> Row:
    """Return what has the later time, and of two that have the same what was told last."""
    return told if isinstance(told, dict) and moment(told) >= moment(known) else known


def moment(row: Row) -> datetime:
    """Read the time of a trade, quote or bar; one that has none was long ago."""
    return utc(row.get("t")) or LONG_AGO


def widened(bar: Row, other: Row) -> dict[str, Any]:
    """Return a bar whose high and low are those of another, too."""
    highs = [high for each in (bar, other) if (high := price(each.get("h")))]
    lows = [low for each in (bar, other) if (low := price(each.get("l")))]
    return {**bar, "h": max(highs, default=None), "l": min(lows, default=None)}


def is_crypto(code: str) -> bool:
    """Tell a pair like BTC/USD from a stock."""
    return "/" in code


def currency(code: str) -> str:
    """Read the currency off a code."""
    return code.rpartition("/")[2] if is_crypto(code) else "USD"
