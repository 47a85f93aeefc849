"""Example messages of each source, in its documented form, and the quotes that its reader makes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import reduce
from typing import Any, NamedTuple

from quotes.providers import Instrument
from quotes.providers.alpaca import FEEDS
from quotes.providers.alpaca_stream import Connection as AlpacaConnection
from quotes.providers.alpaca_stream import Snapshot, is_crypto
from quotes.providers.binance import ROW, read_day, take
from quotes.providers.coinbase import read_stats, read_ticker
from quotes.providers.coingecko import CACHED, CoinGecko, read_market
from quotes.providers.finnhub import Finnhub, read_quote
from quotes.providers.kit import rows
from quotes.providers.kraken import read_row as read_ticker_row
from quotes.providers.kraken import read_tick
from quotes.providers.simulated import Walk
from quotes.providers.yahoo import Connection as YahooConnection
from quotes.providers.yahoo_wire import Known, read_row, read_spark
from quotes.quote import Quote
from tests.junk import over_the_wire
from tests.stubs.yahoo import encode

NOW = datetime(2025, 2, 20, 15, 0, tzinfo=UTC)  # half an hour after the opening in New York
SECONDS = int(NOW.timestamp())
MILLISECONDS, TEXT = SECONDS * 1000, "2025-02-20T15:00:00Z"
LATER = {SECONDS: SECONDS + 1, MILLISECONDS: MILLISECONDS + 1000, TEXT: "2025-02-20T15:00:01Z"}
GONE = object()  # in place of a removed value

Message = dict[str, Any]


class Example(NamedTuple):
    """A message, and the function that reads it."""

    message: Message
    read: Callable[[Any], Quote | None]
    before: Quote | None = None  # the quote that the message updates
    texts: Message = {}  # other values of texts that matter, by path

    @property
    def quote(self) -> Quote | None:
        """The quote after this message; if it brings none, the one before."""
        try:
            return self.read(over_the_wire(self.message)) or self.before
        except ValueError:
            return self.before

    def put(self, path: str, value: Any) -> Example:
        """Return an example with another value at a path, or without that value."""
        return self._replace(message=put(self.message, path, value))

    def variants(self, name: str) -> Iterator[Example]:
        """Yield examples in which a value at or below a name differs."""
        for path in paths(self.message):
            if is_below(path, name):
                known = value_at(self.message, path)
                changed = [self.texts[path]] if path in self.texts else others(known)
                yield from (self.put(path, each) for each in changed)


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each text and number in a message."""
    for name, each in enumerate(value) if isinstance(value, list) else value.items():
        here = f"{path}.{name}".removeprefix(".")
        if isinstance(each, dict | list):
            yield from paths(each, here)
        else:
            yield here


def is_below(path: str, name: str) -> bool:
    """Return whether a path is that of a name, or leads through it."""
    return f"{path}.".startswith(f"{name}.")


def value_at(message: Any, path: str) -> Any:
    """Return the value at a path."""
    return reduce(_step, path.split("."), message)


def put(message: Message, path: str, value: Any) -> Message:
    """Return a message with another value at a path, or without that value."""
    way, _, last = path.rpartition(".")
    changed = deepcopy(message)
    place = value_at(changed, way) if way else changed
    if isinstance(place, list):
        place[int(last)] = None if value is GONE else value
    elif value is GONE:
        place.pop(last, None)
    else:
        place[last] = value
    return changed


def others(value: Any) -> list[Any]:
    """Return other values of the same form: a later time, or twice and half of a number."""
    if value in LATER:
        return [LATER[value]]
    if isinstance(value, str):
        try:
            return [str(Decimal(value) * 2), str(Decimal(value) / 2)]
        except InvalidOperation:
            return []
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [value * 2, value // 2 if isinstance(value, int) else value / 2]
    return []


def _step(place: Any, name: str) -> Any:
    return place[int(name)] if isinstance(place, list) else place[name]


def instrument(code: str, kind: str) -> Instrument:
    return Instrument(symbol=code, code=code, kind=kind)


COIN, SHARE = instrument("BTC-USD", "crypto"), instrument("AAPL", "stock")

# Alpaca

SNAPSHOT: Message = {
    "latestTrade": {"t": TEXT, "x": "V", "p": 160.5, "s": 200, "c": ["@"], "i": 39, "z": "C"},
    "latestQuote": {"t": TEXT, "ax": "V", "ap": 160.75, "as": 2, "bx": "V", "bp": 160.25, "bs": 5},
    "minuteBar": {"t": TEXT, "o": 161.5, "h": 161.625, "l": 161.25, "c": 161.375, "v": 1100},
    "dailyBar": {"t": "2025-02-20T05:00:00Z", "o": 160.125, "h": 162, "l": 159, "c": 160.5, "v": 7},
    "prevDailyBar": {"t": "2025-02-19T05:00:00Z", "o": 158, "h": 161, "l": 157, "c": 159.5, "v": 6},
}
CHANNELS: Message = {
    "trades": {"T": "t", "t": TEXT, "p": 160.625, "s": 100, "c": ["@"], "i": 40, "z": "C"},
    "quotes": {"T": "q", "t": TEXT, "ap": 161, "as": 1, "bp": 160, "bs": 3, "z": "C"},
    "dailyBars": {
        "T": "d", "t": "2025-02-20T05:00:00Z", "o": 160.25, "h": 163, "l": 158, "c": 160, "v": 9,
    },
}  # fmt: skip


def alpaca(
    code: str, kind: str, feed: str, conditions: Sequence[str] = "@"
) -> tuple[Example, Example]:
    """Return a snapshot whose trade has these conditions, and a message of each channel."""

    def snapshot(row: Message) -> Snapshot:
        found = Snapshot(is_crypto(code))
        found.update(row)
        return found

    def read(found: Snapshot) -> Quote:
        return found.quote(instrument(code, kind), FEEDS[feed], NOW)

    def update(messages: Message) -> Quote:
        found = snapshot(over_the_wire(row))
        connection = AlpacaConnection("", {}, [code], lambda code: found)
        connection.take([each | {"S": code} for each in messages.values()])
        return read(found)

    row = put(SNAPSHOT, "latestTrade.c", list(conditions))
    poll = Example(row, lambda row: read(snapshot(row)))
    texts = {} if is_crypto(code) else {"trades.c.0": "I"}  # an odd lot
    return poll, Example(CHANNELS, update, poll.quote, texts)


ALPACA = [
    alpaca("AAPL", "stock", "iex"),
    alpaca("AAPL", "stock", "iex", "@I"),  # an odd lot
    alpaca("AAPL", "stock", "delayed_sip"),
    alpaca("BTC/USD", "crypto", "iex"),
]

# Binance, Coinbase, CoinGecko

BINANCE: Message = {
    "symbol": "BTCUSDT", "priceChange": "1000.00", "priceChangePercent": "1.587",
    "weightedAvgPrice": "64100.00", "prevClosePrice": "63010.00", "lastPrice": "64000.00",
    "lastQty": "0.10", "bidPrice": "63999.00", "bidQty": "1.00", "askPrice": "64001.00",
    "askQty": "2.00", "openPrice": "63000.00", "highPrice": "65250.50", "lowPrice": "62750.25",
    "volume": "1200.50", "quoteVolume": "77000000.00", "openTime": MILLISECONDS - 86_400_000,
    "closeTime": MILLISECONDS, "firstId": 100, "lastId": 200, "count": 101,
}  # fmt: skip
BINANCE_TICK: Message = {
    "e": "24hrTicker", "E": MILLISECONDS, "s": "BTCUSDT", "p": "1000.00", "P": "1.587",
    "w": "64100.00", "x": "63010.00", "c": "64000.00", "Q": "0.10", "b": "63999.00", "B": "1.00",
    "a": "64001.00", "A": "2.00", "o": "63000.00", "h": "65250.50", "l": "62750.25",
    "v": "1200.50", "q": "77000000.00", "O": MILLISECONDS - 86_400_000,
    "C": MILLISECONDS - 30_000, "F": 100, "L": 200, "n": 101,
}  # fmt: skip
COINBASE: Message = {
    "stats_30day": {"volume": "36000.00"},
    "stats_24hour": {
        "open": "63000.00", "high": "65250.50", "low": "62750.25", "last": "64000.00",
        "volume": "1200.50",
    },
}  # fmt: skip
COINBASE_TICK: Message = {
    "type": "ticker", "sequence": 1000, "product_id": "BTC-USD", "price": "64000.00",
    "open_24h": "63000.00", "volume_24h": "1200.50", "low_24h": "62750.25",
    "high_24h": "65250.50", "volume_30d": "36000.00", "best_bid": "63999.00",
    "best_bid_size": "0.50", "best_ask": "64001.00", "best_ask_size": "0.25", "side": "buy",
    "time": TEXT, "trade_id": 77, "last_size": "0.01",
}  # fmt: skip
COINGECKO: Message = {
    "id": "bitcoin", "symbol": "btc", "name": "Bitcoin", "current_price": 64000,
    "market_cap": 1270000000000, "fully_diluted_valuation": 1340000000000,
    "total_volume": 33235034316, "high_24h": 65250.5, "low_24h": 62750.25,
    "price_change_24h": 1000.5, "price_change_percentage_24h": 1.6,
    "market_cap_change_24h": 15000000000, "circulating_supply": 19800000, "ath": 126080,
    "ath_date": "2025-01-20T07:30:00Z", "roi": None, "last_updated": TEXT,
}  # fmt: skip
DELAY_OF_COINGECKO = CoinGecko.poll_interval + CACHED

# Finnhub

FINNHUB: Message = {
    "c": 191.5, "d": 1, "dp": 0.5249, "h": 192, "l": 189, "o": 190, "pc": 190.5, "t": SECONDS,
}  # fmt: skip
FINNHUB_TRADE: Message = {"c": ["1"], "p": 191.75, "s": "AAPL", "t": MILLISECONDS, "v": 5}
CODES_OF_TRADES = {"c.0": "24"}  # it stood on trades after hours
finnhub = Finnhub(api_key="key", now=lambda: NOW)


def after_trade(trade: Message) -> Quote | None:
    """Return the quote of Finnhub after an answer and then a trade."""
    finnhub.polled.clear()
    finnhub.known.clear()
    finnhub._take_quote("AAPL", over_the_wire(FINNHUB), [SHARE])
    found = finnhub._take({"type": "trade", "data": [trade]}, {"AAPL": [SHARE]})
    return found[0] if found else None


FINNHUB_POLL = Example(FINNHUB, lambda row: read_quote("AAPL", row, NOW))

# Kraken

KRAKEN: Message = {
    "a": ["64001.0", "1", "1.000"], "b": ["63999.0", "2", "2.000"], "c": ["64000.0", "0.01"],
    "v": ["500.5", "1200.5"], "p": ["63900.0", "64100.0"], "t": [35, 3276],
    "l": ["63100.0", "62750.2"], "h": ["64900.0", "65250.5"], "o": "63500.0",
}  # fmt: skip
KRAKEN_TICK: Message = {
    "symbol": "BTC/USD", "bid": 63999.5, "bid_qty": 1.5, "ask": 64001.5, "ask_qty": 2.5,
    "last": 64000.5, "volume": 1200.25, "vwap": 64100.5, "low": 62750.5, "high": 65250.5,
    "change": 1000.5, "change_pct": 1.59, "timestamp": TEXT,
}  # fmt: skip

# Yahoo

SPARK: Message = {
    "meta": {
        "currency": "USD", "symbol": "AAPL", "exchangeName": "NMS", "fullExchangeName": "NasdaqGS",
        "instrumentType": "EQUITY", "regularMarketTime": SECONDS, "hasPrePostMarketData": True,
        "gmtoffset": -18000, "exchangeTimezoneName": "America/New_York",
        "regularMarketPrice": 101.5, "fiftyTwoWeekHigh": 120.5, "fiftyTwoWeekLow": 80.5,
        "regularMarketDayHigh": 102.5, "regularMarketDayLow": 99.5, "regularMarketVolume": 32129951,
        "chartPreviousClose": 100.25, "previousClose": 100.5, "priceHint": 2,
        "currentTradingPeriod": {
            "pre": {"start": SECONDS - 21_600, "end": SECONDS - 1800},
            "regular": {"start": SECONDS - 1800, "end": SECONDS + 21_600},
            "post": {"start": SECONDS + 21_600, "end": SECONDS + 36_000},
        },
    },
    "timestamp": [SECONDS - 900, SECONDS - 600, SECONDS - 300],
    "indicators": {"quote": [{"close": [100.75, 101.25, None]}]},
}  # fmt: skip
FRAME: Message = {
    "id": "AAPL", "price": 101.75, "time": MILLISECONDS, "exchange": "NMS", "quote_type": 8,
    "market_hours": 1, "change_percent": 1.25, "day_volume": 32130051, "day_high": 103,
    "day_low": 99, "change": 1.25, "open_price": 100, "previous_close": 100.5, "bid": 101.625,
    "ask": 101.875, "price_hint": 2, "market_cap": 3.5e12,
}  # fmt: skip
OVER_THE_COUNTER = {"meta.fullExchangeName": "OTC Markets OTCPK"}


def yahoo(of: Instrument, response: Message) -> tuple[Example, Example]:
    """Return a response of spark, and a frame of the stream after it."""

    def known(response: Message) -> Known:
        rows = [{"symbol": of.code, "response": [response]}]
        found = read_spark({"spark": {"result": rows, "error": None}})[of.code]
        return read_row(replace(found, came_at=NOW), of)

    def update(frame: Message) -> Quote | None:
        connection = YahooConnection([of], {of.code: known(over_the_wire(response))})
        raw = b64encode(encode(**frame | {"id": of.code})).decode()
        found = connection.take({"type": "pricing", "message": raw})
        return found[0] if found else None

    poll = Example(response, lambda row: known(row).quote, texts=OVER_THE_COUNTER)
    return poll, Example(FRAME, update, poll.quote)


YAHOO = [
    yahoo(SHARE, SPARK),
    yahoo(COIN, put(SPARK, "meta.instrumentType", "CRYPTOCURRENCY")),
    yahoo(SHARE, put(SPARK, "meta.regularMarketVolume", None)),
]

# The operator's own sources, and none

COLUMNS: Message = {
    "code": "AAPL", "last": "101.5", "bid": "101.25", "ask": "101.75", "open": "100.5",
    "high": "102.5", "low": "99.5", "reference": "100", "volume": "5000", "time": TEXT,
    "currency": "USD",
}  # fmt: skip


def own(provider: str, of: Instrument) -> Example:
    """Return a row of the operator's."""
    return Example(COLUMNS, lambda row: rows.read_row(provider, row, of, NOW))


def simulated(of: Instrument) -> Example:
    """Return a simulated quote, which needs no message."""
    return Example({}, lambda _: Walk(of, seed=1).step(NOW))


EXAMPLES = {  # by provider and message
    ("alpaca", "poll"): [poll for poll, _ in ALPACA],
    ("alpaca", "stream"): [stream for _, stream in ALPACA],
    ("binance", "poll"): [Example(BINANCE, lambda row: read_day(row, ROW, COIN, NOW))],
    ("binance", "stream"): [
        Example(BINANCE_TICK, lambda tick: take({"data": tick}, {"BTCUSDT": [COIN]})[0])
    ],
    ("coinbase", "poll"): [Example(COINBASE, lambda row: read_stats(row, COIN, NOW))],
    ("coinbase", "stream"): [Example(COINBASE_TICK, lambda tick: read_ticker(tick, COIN, NOW))],
    ("coingecko", "poll"): [
        Example(COINGECKO, lambda row: read_market(row, COIN, NOW, round(DELAY_OF_COINGECKO)))
    ],
    ("database", "poll"): [own("database", each) for each in (SHARE, COIN)],
    ("finnhub", "poll"): [FINNHUB_POLL],
    ("finnhub", "stream"): [
        Example(FINNHUB_TRADE, after_trade, FINNHUB_POLL.quote, CODES_OF_TRADES)
    ],
    ("http", "poll"): [own("http", each) for each in (SHARE, COIN)],
    ("kraken", "poll"): [Example(KRAKEN, lambda row: read_ticker_row(row, COIN, NOW))],
    ("kraken", "stream"): [Example(KRAKEN_TICK, lambda tick: read_tick(tick, COIN, NOW))],
    ("simulated", "poll and stream"): [simulated(each) for each in (SHARE, COIN)],
    ("yahoo", "poll"): [poll for poll, _ in YAHOO],
    ("yahoo", "stream"): [stream for _, stream in YAHOO],
}
