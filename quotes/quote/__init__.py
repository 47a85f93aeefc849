"""A quote: the prices of one symbol at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

REFERENCE_KINDS = ("none", "prev_close", "rolling_24h", "utc_day")
SESSIONS = ("always", "pre", "regular", "break", "post", "closed", "halted")
PRICES = ("last", "bid", "ask", "open", "high", "low", "reference", "volume")
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # prices from earlier years are not live
MAX_AHEAD = timedelta(seconds=5)  # of our clock


def utc_now() -> datetime:
    """Return the current time as aware UTC."""
    return datetime.now(UTC)


def plausible(moment: datetime, now: datetime) -> bool:
    """Return whether a price of this time may have arrived now; a source's clock may be ahead."""
    return EARLIEST <= moment <= now + MAX_AHEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The newest prices of a symbol from one provider.

    Prices are Decimals in `currency`, with every digit that the source meant. They are above 0,
    but those of some kinds may be below it. Values that the source did not send are None. Times
    are aware UTC. Providers pass on an invalid last price (such as 0 or a negative number) and a
    bid above the ask: only the feed holds quotes back.
    """

    symbol: str
    provider: str
    currency: str  # ISO 4217 or a crypto code: USD, USDT, GBP; never pence
    last: Decimal  # 0, or negative where the kind forbids it, if the provider has no price
    received_at: datetime  # when it arrived here
    source_time: datetime | None = None  # the exchange's own time of this price
    bid: Decimal | None = None
    ask: Decimal | None = None
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    reference: Decimal | None = None  # the price that change is measured from
    reference_kind: str = "none"  # one of REFERENCE_KINDS
    volume: Decimal | None = None  # units of the base, or shares
    volume_window: str | None = None  # "24h" or "session"
    session: str | None = None  # one of SESSIONS
    delay: int | None = None  # seconds late by licence; 0 is real time, None is unknown
    sequence: int | None = None  # orders only the quotes of one connection

    @property
    def time(self) -> datetime:
        """The exchange's own time of this price; when the quote arrived if that is not known."""
        return self.received_at if self.source_time is None or self.mistimed else self.source_time

    @property
    def mistimed(self) -> bool:
        """Whether the exchange's own time can't be true."""
        return self.source_time is not None and not plausible(self.source_time, self.received_at)

    @property
    def change(self) -> Decimal | None:
        """Last minus reference, in the quote's currency; None without a reference."""
        return None if self.reference is None else self.last - self.reference

    @property
    def change_percent(self) -> Decimal | None:
        """Change as a percentage of the reference's size; None without a reference."""
        if self.reference is None:
            return None
        return (self.last - self.reference) / abs(self.reference) * 100


def false_time(quote: Quote) -> str:
    """Describe the time of a quote that can't be true, for an error."""
    moment = quote.source_time or quote.received_at
    ahead = (moment - quote.received_at).total_seconds()
    why = f"{ahead:,.0f} s ahead of our clock" if ahead > 0 else "before the year 2000"
    return f"{moment.isoformat(timespec='seconds')}, {why}"
