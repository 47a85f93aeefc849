"""Providers: the sources of quotes.

A provider turns the wire format of one source into `Quote`s. It does not use the web framework
(except `database`, for its connections). It takes `Instrument`s, returns or yields their quotes,
and raises one exception, `ProviderError`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from importlib import import_module
from inspect import signature
from typing import Any, ClassVar

from quotes.providers.kit.budgets import Budget, Plan
from quotes.providers.kit.client import MAX_BYTES, Client
from quotes.providers.kit.errors import ProviderError
from quotes.providers.kit.standing import Standing
from quotes.quote import Quote

__all__ = ["Candle", "Instrument", "Plan", "Provider", "ProviderError"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A symbol with the provider's code for it."""

    symbol: str  # ours: "BTC-USD"
    code: str  # theirs: "XXBTZUSD"
    kind: str = "crypto"  # one of quotes.kinds.KINDS
    exchange: str = ""  # it has the market hours of this exchange: "NASDAQ"
    currency: str = "USD"
    tick_size: Decimal | None = None  # the smallest step of its price
    name: str = ""
    start: Decimal | None = None  # around which the price of a simulated market moves
    base: str = ""  # in a list: what a pair prices, if its code does not show it: "BTC"
    isin: str = ""  # in a list, if the source knows it: "US0378331005"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """Open, high, low, close and volume of one period that begins at `start` (UTC)."""

    start: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None = None


class Provider(ABC):
    """A source of quotes.

    Each method leaves out the given instruments that the source lacks. It raises ProviderError,
    and nothing else, if the source can't be read. It drops an unknown code in `standing`, with a
    reason, and still returns the quotes of the other codes. If one of several requests fails, it
    returns the quotes of the others. All codes of a batch that failed twice rest in `standing`.
    """

    name: ClassVar[str]  # as in QUOTES_PROVIDERS: "coinbase"
    title: ClassVar[str]  # as people know it: "Coinbase"
    attribution: ClassVar[str]  # the line that its terms, or fairness, require on every page
    streams: ClassVar[bool] = False  # whether it has `stream`
    steps: ClassVar[Collection[int]] = ()  # seconds of the candles that `candles` returns
    adjusts: ClassVar[bool] = False  # whether `candles` from before a split are adjusted for it
    max_bytes: ClassVar[int] = MAX_BYTES  # of an answer; a list of all instruments may be longer
    sizes: ClassVar[bool] = True  # whether `instruments` returns tick sizes
    needs_code: ClassVar[bool] = True  # whether a symbol must have a code for this provider
    any_currency: ClassVar[bool] = False  # whether a code has prices in many currencies
    invented: ClassVar[bool] = False  # its prices are simulated, and never replace real ones
    poll_interval: float = 5.0  # seconds between two calls of `quotes`; it may depend on the plan
    plan: Plan = Plan()  # the limits of the source
    database: str = ""  # the alias in DATABASES that it reads, if it reads one

    def __init__(self) -> None:
        self.standing = Standing(Budget(self.plan))
        self.clients: list[Client] = []
        # set by the feed: whether a price may have changed since it was polled
        self.may_differ: Callable[[Instrument, datetime | None], bool] = lambda each, got_at: True

    @abstractmethod
    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Return the newest quote of each instrument that the source has."""

    def stream(self, instruments: Sequence[Instrument]) -> AsyncIterator[Quote]:
        """Yield quotes as they come, until the source fails with ProviderError."""
        raise NotImplementedError(f"{self.name} has no stream: poll `quotes`")

    async def candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        """Return the candles of `step` seconds from `start` to before `end`, oldest first."""
        return []

    def make_candles(
        self, instrument: Instrument, step: int, start: datetime, end: datetime
    ) -> list[Candle]:
        """Return invented candles as `candles` does, at once; none if its prices are real."""
        return []

    def check_step(self, step: int) -> None:
        """Raise ProviderError unless a step is one of `steps`."""
        if step not in self.steps:
            allowed = ", ".join(map(str, self.steps))
            raise ProviderError(
                f"{self.name} has no candles of {step} s, must be one of: {allowed}"
            )

    async def instruments(self) -> list[Instrument]:
        """Return all instruments that the source lists; none if it has no list.

        Their `symbol` is empty, because the source does not know our names.
        """
        return []

    async def check(self) -> Quote | None:
        """Try the source without a symbol of the site; return its quote, if there is one.

        Raise ProviderError if it fails. Not every source offers something to try.
        """
        return None

    async def aclose(self) -> None:
        """Close the connections that are kept between requests; the next one opens new ones."""
        for client in self.clients:
            await client.aclose()

    @classmethod
    def title_for(cls, kind: str, options: Mapping[str, Any]) -> str:
        """Return the title, with the part of the source that has this kind under these options."""
        return cls.title

    @classmethod
    def option_names(cls) -> list[str]:
        """Return the names of the options that can be given as text."""
        options = signature(cls).parameters.values()
        return [each.name for each in options if "str" in str(each.annotation)]

    def make_client(
        self,
        base_url: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        used: str = "",
    ) -> Client:
        """Return a client that spends the budget of this provider and closes with it."""
        budget = self.standing.budget
        client = Client(
            base_url,
            timeout=timeout,
            headers=headers,
            budget=budget,
            used=used,
            max_bytes=self.max_bytes,
        )
        self.clients.append(client)
        return client


REGISTRY = {
    "alpaca": "quotes.providers.alpaca.Alpaca",
    "binance": "quotes.providers.binance.Binance",
    "coinbase": "quotes.providers.coinbase.Coinbase",
    "coingecko": "quotes.providers.coingecko.CoinGecko",
    "database": "quotes.providers.database.Database",
    "finnhub": "quotes.providers.finnhub.Finnhub",
    "http": "quotes.providers.http.Http",
    "kraken": "quotes.providers.kraken.Kraken",
    "simulated": "quotes.providers.simulated.Simulated",
    "yahoo": "quotes.providers.yahoo.Yahoo",
}


def provider_class(name: str) -> type[Provider]:
    """Return the class of a provider's name; raise ValueError for an unknown one."""
    if name not in REGISTRY:
        raise ValueError(f"Unknown provider {name!r}, must be one of: {', '.join(REGISTRY)}")
    module, _, attribute = REGISTRY[name].rpartition(".")
    found: type[Provider] = getattr(import_module(module), attribute)
    return found


def make_provider(name: str, options: Mapping[str, Any]) -> Provider:
    """Build a provider with its options; raise ValueError for an unknown name or option."""
    made = provider_class(name)
    allowed = signature(made).parameters
    if unknown := [option for option in options if option not in allowed]:
        raise ValueError(
            f"Unknown option {unknown[0]!r} of the {name} provider, "
            f"must be one of: {', '.join(allowed)}"
        )
    try:
        return made(**options)
    except TypeError as error:
        raise ValueError(f"invalid options for provider {name!r}: {error}") from error
