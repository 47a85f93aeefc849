"""CoinGecko: nearly every coin, each price averaged over many markets; without a key, or with one.

A code is CoinGecko's own id ("bitcoin"), because its symbols are not unique. Prices are in the
instrument's currency. There is REST only. Wire format: https://docs.coingecko.com
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from operator import attrgetter
from typing import Any
from urllib.parse import quote as escaped

from quotes.providers import Candle, Instrument, Plan, Provider, ProviderError
from quotes.providers.kit.batches import Groups
from quotes.providers.kit.client import NotFoundError, of_kind
from quotes.providers.kit.errors import excerpt
from quotes.providers.kit.klines import read_klines
from quotes.providers.kit.options import needed_key
from quotes.quote import Quote
from quotes.quote.values import MILLISECOND, decimal, last_price, price, utc

PUBLIC, PRO = "https://api.coingecko.com/api/v3", "https://pro-api.coingecko.com/api/v3"
BATCH = 250  # coins in one request
MAX_IDS_LENGTH = 6000  # characters in one request: some proxies reject addresses of 8000
PLANS = {  # by the kind of key
    "": Plan(per_minute=5, batch=BATCH),  # shared by all with the same IP address
    "demo": Plan(per_minute=30, per_month=10_000, batch=BATCH),
    "pro": Plan(per_minute=250, per_month=100_000, batch=BATCH),  # the smallest paid plan
}
MAX_MONTH = 31 * 86_400  # seconds
FOR_QUOTES = 0.9  # of the month's requests; the rest is for candles
CACHED = 60  # seconds that CoinGecko caches an answer
COOL_DOWN = 60.0  # seconds to back off after too many requests
DAYS = {1800: (1,), 14_400: (7, 14, 30), 345_600: (90, 180, 365)}  # of history, by step
COLUMNS = ("time", "open", "high", "low", "close")  # of a candle
REFUSED = (401, 403, 1020, 10002, 10005, 10010, 10011)  # error codes about keys and plans
REFERENCE = Context(prec=12)  # digits of a price that follows from a percentage
NO_CURRENCY = "invalid vs_currency"


class CoinGecko(Provider):
    """Reads CoinGecko, under the limits of the given key."""

    name = "coingecko"
    title = "CoinGecko"
    any_currency = True
    attribution = "Data provided by CoinGecko (www.coingecko.com)"
    max_bytes = 4 * 2**20  # for the list of all coins
    steps = DAYS
    sizes = False
    poll_interval = float(CACHED)
    plan = PLANS[""]

    def __init__(
        self,
        rest_url: str = "",  # by default the public address, or with a pro key that of customers
        *,
        demo_key: str = "",
        pro_key: str = "",
        timeout: float = 10.0,  # seconds for an answer
    ) -> None:
        if demo_key and pro_key:
            raise ValueError("CoinGecko takes a demo_key or a pro_key, not both")
        kind, self.key = ("pro" if pro_key else "demo" if demo_key else ""), demo_key or pro_key
        if kind:
            self.key = needed_key(f"COINGECKO_{kind.upper()}_KEY", self.key)
        self.plan = PLANS[kind]
        super().__init__()
        headers = {f"x-cg-{kind}-api-key": self.key} if kind else {}
        url = rest_url or (PRO if pro_key else PUBLIC)
        self.rest = self.make_client(url, timeout=timeout, headers=headers)
        self.unpriced: set[str] = set()  # currencies that CoinGecko rejected
        self._pace(1)

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Return each coin's price and its last 24 hours, without bid, ask and volume.

        CoinGecko's volume is an amount of money. `delay` is the age that a price may reach until
        the next poll, because the month's requests are spread over the month.
        """
        self._pace(sum(len(list(chunks(group))) for group in by_currency(instruments).values()))
        delay = round(self.poll_interval) + CACHED
        found: dict[str, Quote] = {}
        async for requested, rows in self._markets(instruments):
            now = datetime.now(UTC)
            for each in requested:
                if quote := read_market(rows.get(each.code), each, now, delay):
                    found[each.symbol] = quote
        return [found[each.symbol] for each in instruments if each.symbol in found]

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        """Return candles of 1800, 14400 or 345600 seconds, without volume.

        They reach back 1, 30 and 365 days.
        """
        self.check_step(step)
        now = datetime.now(UTC)
        if start >= min(end, now):
            return []
        days = next((d for d in DAYS[step] if d >= (now - start).days + 1), DAYS[step][-1])
        path, currency = f"/coins/{escaped(instrument.code, safe='')}/ohlc", instrument.currency
        try:
            rows = await self._get(path, vs_currency=currency.lower(), days=days, precision="full")
        except NotFoundError:
            self.standing.drop(instrument.code, not_known(instrument.code))
            return []
        found = read_candles(rows, timedelta(seconds=step), start, min(end, now))
        return sorted(found, key=attrgetter("start"))

    async def instruments(self) -> list[Instrument]:
        """Return all coins with their names. Each has prices in many currencies."""
        return [coin for coin in map(read_coin, await self._get("/coins/list")) if coin]

    async def _markets(
        self, instruments: Sequence[Instrument]
    ) -> AsyncIterator[tuple[list[Instrument], dict[str, Any]]]:
        # Yields the instruments of each request, and the rows of its answer by code.
        came: set[str] = set()
        requested: set[str] = set()
        for currency, group in by_currency(instruments).items():
            for codes in chunks(group):
                rows = await self._chunk(currency, codes)
                if rows is None:  # the currency is unknown, not the coins: they have no price
                    rows = {code: {} for code in codes}
                else:
                    came.update(rows)
                    requested.update(codes)
                yield [each for code in codes for each in group[code]], rows
        for code in came:
            self.standing.found(code)
        if came:  # an answer without any coin proves nothing about a single one
            for code in requested - came:
                self.standing.drop(code, not_known(code))

    async def _chunk(self, currency: str, codes: list[str]) -> dict[str, Any] | None:
        if currency in self.unpriced:
            return None
        params = {"vs_currency": currency.lower(), "ids": ",".join(codes)}
        try:
            rows = await self._get("/coins/markets", per_page=BATCH, precision="full", **params)
        except ProviderError as error:
            if complaint(error.body)[1] != NO_CURRENCY:
                raise
            self.unpriced.add(currency)
            return None
        return {row["id"]: row for row in rows if isinstance(row, dict) and row.get("id") in codes}

    async def _get(self, path: str, **params: str | int) -> Any:
        try:
            body = await self.rest.get(path, params)
        except NotFoundError:
            raise
        except ProviderError as error:
            raise self._explained(error, error.body) from error
        if any(complaint(body)):
            raise self._explained(ProviderError(f"{path} answered with an error", body=body), body)
        return of_kind(list, path, body)

    def _explained(self, error: ProviderError, body: Any) -> ProviderError:
        code, words = complaint(body)
        return ProviderError(
            f"{error}: {excerpt(words, self.key)}" if words else str(error),
            retry_after=error.retry_after or (COOL_DOWN if 429 in (code, error.status) else None),
            refused=error.refused or code in REFUSED,
            status=error.status,
            body=body,
        )

    def _pace(self, requests: int) -> None:
        if most := self.plan.per_month:
            self.poll_interval = max(CACHED, requests * MAX_MONTH / (most * FOR_QUOTES))


def by_currency(instruments: Iterable[Instrument]) -> dict[str, Groups]:
    """Group instruments by currency, and then by code."""
    found: dict[str, Groups] = {}
    for each in instruments:
        found.setdefault(each.currency, {}).setdefault(each.code, []).append(each)
    return found


def chunks(codes: Iterable[str]) -> Iterator[list[str]]:
    """Yield the codes of each request, so that none is too long."""
    chunk: list[str] = []
    length = 0
    for code in codes:
        longer = len(escaped(f"{code},"))
        if chunk and (len(chunk) == BATCH or length + longer > MAX_IDS_LENGTH):
            yield chunk
            chunk, length = [], 0
        chunk.append(code)
        length += longer
    if chunk:
        yield chunk


def not_known(code: str) -> str:
    """Return the reason to drop a code."""
    return f"{code} is not known to CoinGecko"


def complaint(body: Any) -> tuple[int | None, str]:
    """Return the code and the text of an error, which has one of three forms."""
    error = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(error, str):
        return None, error
    status = error.get("status") if isinstance(error, dict) else None
    if not isinstance(status, dict):
        return None, ""
    code = status.get("error_code")
    return code if type(code) is int else None, str(status.get("error_message") or "")


def read_market(row: Any, instrument: Instrument, now: datetime, delay: int) -> Quote | None:
    """Turn a row of the markets into a quote; return None if it is not a row."""
    if not isinstance(row, dict):
        return None
    last = last_price(row.get("current_price"))
    percentage = decimal(row.get("price_change_percentage_24h"))
    reference = read_reference(last, percentage, decimal(row.get("price_change_24h")))
    return Quote(
        symbol=instrument.symbol,
        provider="coingecko",
        currency=instrument.currency,
        last=last,
        received_at=now,
        source_time=utc(row.get("last_updated")),
        high=price(row.get("high_24h")),
        low=price(row.get("low_24h")),
        reference=reference,
        reference_kind="rolling_24h" if reference else "none",
        session="always",
        delay=delay,
    )


def read_reference(
    last: Decimal, percentage: Decimal | None, change: Decimal | None
) -> Decimal | None:
    """Return the price of 24 hours ago; None if it is not known.

    The two changes of a row can disagree by 0.3 points. The percentage is what CoinGecko's own
    pages show.
    """
    if last <= 0:
        return None
    if percentage is not None and percentage > -100:
        return price(REFERENCE.divide(last, 1 + percentage / 100))
    return None if change is None else price(last - change)


def read_candles(
    rows: Iterable[Any], step: timedelta, start: datetime, end: datetime
) -> list[Candle]:
    """Return the valid candles from `start` to before `end`; a row has the end of its candle."""
    found = read_klines(rows, COLUMNS, start + step, end + step, MILLISECOND)
    return [replace(each, start=each.start - step) for each in found.values()]


def read_coin(row: Any) -> Instrument | None:
    """Turn a row of the list of coins into an instrument."""
    code = row.get("id") if isinstance(row, dict) else None
    if not code or not isinstance(code, str):
        return None
    base = str(row.get("symbol") or "").upper()
    return Instrument(symbol="", code=code, name=str(row.get("name") or ""), base=base)
