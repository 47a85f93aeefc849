"""The quotes of a site without providers: a test sends them, and reads what pages receive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Self

from django.core.signals import request_started
from django.http.response import HttpResponseBase

from quotes import conf, live, sessions
from quotes.feed.batch import Batch
from quotes.live import Live
from quotes.models import Symbol
from quotes.quote import PRICES, Quote
from quotes.testing.page import Page
from quotes.testing.server import Server, socket_of

OPEN = datetime(2026, 3, 4, 15, tzinfo=UTC)  # a Wednesday; New York, London and Frankfurt trade
EPOCH = 10**10  # later than that of any quote in the database
SET_HERE = {"symbol", "provider", "currency", "last", "received_at"}
VALUES = [each.name for each in fields(Quote) if each.name not in SET_HERE]


class Clock:
    """The clock of the quotes, which stands still until a test moves it."""

    def __init__(self, moved: Callable[[], None]) -> None:
        self.now, self._moved = OPEN, moved

    def __call__(self) -> datetime:
        """Return the time, as the live parts read it."""
        return self.now

    def move_to(self, moment: datetime) -> None:
        """Set the time; pages then show ages and sessions of this moment."""
        if moment.tzinfo is None:
            raise ValueError(f"{moment!r} has no time zone: use datetime(…, tzinfo=UTC)")
        self.now = moment.astimezone(UTC)
        self._moved()

    def shift(self, **by: float) -> None:
        """Move on: `shift(minutes=20)`, with the arguments of a timedelta."""
        self.move_to(self.now + timedelta(**by))


class LiveQuotes:
    """The live parts of this process without a feed and without tasks of their own.

    Nothing happens by itself: after each call, all pages have received what follows from it.
    """

    def __init__(self) -> None:
        self.clock = Clock(self._clock_moved)
        self.live = Live(self.clock)
        self.live.seen = (EPOCH, 0)
        self.server = Server(self.live)

    def __enter__(self) -> Self:
        """Begin, with the symbols of the database, and with a feed that has sent no price yet."""
        self.server.start()
        live.use(self.live)
        self._send()
        request_started.connect(self._read_symbols)
        return self

    def __exit__(self, *exception: object) -> None:
        """Close all pages, and leave no live parts."""
        request_started.disconnect(self._read_symbols)
        live.use(None)
        sessions.correct({})
        self.server.stop()

    def push(self, symbol: str, last: str | int | Decimal, **values: Any) -> Quote:
        """Send a quote to all pages, as the feed does: `push("AAPL", "101.5", reference="100")`.

        `values` are other values of a quote, and `provider`. Without them, the quote is from the
        preferred provider, in the currency of its symbol, and of this moment.
        """
        __tracebackhide__ = True
        self._read_symbols()
        quote = self._quote(symbol, last, **values)
        self._send(quote)
        return quote

    def open(self, page: HttpResponseBase | str) -> Page:
        """Open the socket of a page: `open(client.get("/"))`, or its HTML."""
        __tracebackhide__ = True
        html = page if isinstance(page, str) else _content(page)
        self._read_symbols()
        return Page(html, self.server.open(socket_of(html)))

    def stop_prices(self) -> None:
        """Let pages show that prices have stopped, until the next quote."""
        self.live.beat.stopped = True
        self.server.run(self.live.prices_stopped)

    def _send(self, *quotes: Quote) -> None:
        epoch, number = self.live.seen
        batch = Batch(number + 1, list(quotes), dict(self.live.store.outages))
        self.server.run(lambda: self.live.take(epoch, batch))

    def _read_symbols(self, **signal: Any) -> None:
        """Read symbols and boards, which a test may have made since the last time."""
        self.server.run(self.live.reload)

    def _clock_moved(self) -> None:
        self._read_symbols()
        self.live.hub.publish(self.live.store.age())
        self.server.run(self.live.ranking.look)
        self.server.run(lambda: self.live.hub.send(self.live.changed_notes))

    def _quote(self, code: str, last: object, provider: str = "", **values: Any) -> Quote:
        __tracebackhide__ = True
        state = self.live.store.states.get(code)
        if state is None:
            raise LookupError(_no_symbol(code, sorted(self.live.store.states)))
        if unknown := sorted(values.keys() - set(VALUES)):
            raise TypeError(f"a quote has no {unknown[0]!r}, only: {', '.join(VALUES)}")
        if "reference" in values:
            values.setdefault("reference_kind", _usual_reference(state.symbol))
        values |= {name: _price(name, values[name]) for name in values.keys() & set(PRICES)}
        chain = self.live.store.chains.get(code) or conf.get("PROVIDERS")
        return Quote(
            symbol=code,
            provider=provider or chain[0],
            currency=state.symbol.currency,
            last=_price("last", last),
            received_at=self.clock.now,
            **{"source_time": self.clock.now} | values,
        )


def _content(page: HttpResponseBase) -> str:
    if page.status_code != 200:
        raise ValueError(f"the page answers {page.status_code}, must be 200: {page!r}")
    content: bytes = page.getvalue()
    return content.decode(page.charset)


def _price(name: str, given: object) -> Decimal:
    if not isinstance(given, str | int | Decimal):
        raise TypeError(f'{name} is {given!r}, must be a text or a Decimal: "{given}"')
    try:
        return Decimal(given)
    except InvalidOperation:
        raise ValueError(f'{name} is {given!r}, must be a number, such as "64000.01"') from None


def _usual_reference(symbol: Symbol) -> str:
    return "rolling_24h" if symbol.kind == "crypto" else "prev_close"


def _no_symbol(code: str, known: list[str]) -> str:
    return (
        f"there is no active symbol {code!r} in the database of this test, only: "
        f"{', '.join(known[:20]) or 'none'}. Create it with Symbol.objects.create(code={code!r}, "
        'name="…", kind="…", currency="…") of quotes.models'
    )
