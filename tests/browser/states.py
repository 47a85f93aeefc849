"""A site with every state of a row, in its longest texts and numbers, at any hour of the week."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import Site, eventually, manage, site

# NASDAQ is closed for days, before and after. Markets without a known exchange are open, halted or
# closed because their source states it. BTC-JPY and its like have the longest numbers.
STATES = """
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from quotes import sessions
from quotes.candles import archive
from quotes.candles.growing import DAY, Row
from quotes.models import Board, LastQuote, MarketDay, ProviderSymbol, Symbol
from quotes.quote import Quote
from quotes.quote.wire import to_wire
now = datetime.now(UTC)
for days in range(-2, 5):
    MarketDay.objects.create(venue="XNYS", day=(now + timedelta(days)).date())
sessions.correct(MarketDay.corrections())
closed = sessions.timeline("XNYS", False).trading_before(now)[1]
LATE, OTHER, OLD = {"delay": 900}, {"provider": "yahoo"}, {"received_at": now - timedelta(days=3)}
ROWS = (
    ("BTC-JPY", "Bitcoin", "crypto", "", "JPY", "13729604", "0.8494", {}),
    ("ETH-BTC", "Ether", "crypto", "", "BTC", "0.00142433", "0.85", OTHER),
    ("SHIB-USD", "Shiba Inu", "crypto", "", "USD", "0.00000694", "1.02", OLD),
    ("XMR-USD", "Monero", "crypto", "", "USD", "", "", {}),
    ("US0378331005", "Microsoft Corporation of the North", "stock", "NASDAQ", "USD", "805000.51",
        "1.2155", {"source_time": closed}),
    ("MSFT", "Microsoft Corporation", "stock", "NASDAQ", "USD", "412.37", "0.9852",
        LATE | OTHER),
    ("005930.KS", "Samsung Electronics Co., Ltd.", "stock", "", "KRW", "119800", "0.99",
        {"session": "halted"} | LATE | OTHER),
    ("AAPL", "Apple Inc.", "stock", "", "USD", "271.86", "1.0158", {"session": "regular"} | LATE),
    ("BRK.B-PREF-A", "Berkshire Hathaway Inc. Class B", "stock", "", "USD", "489.20", "1",
        {"session": "pre"} | OTHER),
    ("^IXIC", "NASDAQ Composite Total Return Index", "index", "NASDAQ", "USD", "123456.78", "1.1",
        {"source_time": closed}),
    ("EUR/USD", "Euro to US dollar", "currency", "none", "USD", "1.16354", "1.0012", {}),
    ("CL=F", "Crude oil, West Texas Intermediate", "future", "", "USD", "-37.63", "-0.5",
        {"session": "closed", "provider": "simulated"}),
    ("BOND 2.1 % 15.06.2033 (EUR/USD; MINI)", "A bond", "bond", "", "EUR", "98.765", "1.01", {}),
    ("AFTER", "Traded after hours since the last day of trading", "stock", "NASDAQ", "USD",
        "805001.51", "0.99", OTHER | {"source_time": closed + timedelta(hours=1)}),
    ("7010.SR", "شركة الاتصالات السعودية", "stock", "", "SAR", "43.15", "0.97",
        {"session": "post"} | OTHER),
)
Board.objects.all().delete()
Symbol.objects.all().delete()
boards = [
    Board.objects.create(slug=slug, title=title, position=place) for place, (slug, title) in
    enumerate({"all": "Everything that can be seen", "few": "Crypto", "none": "Empty"}.items())
]
for place, (code, name, kind, exchange, currency, last, part, more) in enumerate(ROWS):
    symbol = Symbol.objects.create(code=code, name=name, kind=kind, exchange=exchange,
        currency=currency, stale_after=86400,
        tick_size=D(1).scaleb(D(last or 1).as_tuple().exponent))
    if code != "AFTER":
        boards[0].symbols.add(symbol, through_defaults={"position": place})
    if place < 4:
        boards[1].symbols.add(symbol, through_defaults={"position": place})
    for position, provider in enumerate(("finnhub", "yahoo")[code == "7010.SR":]):
        ProviderSymbol.objects.create(
            symbol=symbol, provider=provider, code=code, position=position)
    if last:
        last = D(last)
        low, high = sorted((last * D(share)).quantize(last) for share in ("0.9283", "1.0179"))
        quote = Quote(symbol=code, currency=currency, last=last, reference=last * D(part),
            reference_kind="rolling_24h" if kind == "crypto" else "prev_close",
            bid=last, ask=last, open=last, low=low, high=high, volume=D("805510000"),
            **{"provider": "finnhub", "received_at": now} | more)
        LastQuote.objects.create(symbol=symbol, epoch=1, batch=1, wire=to_wire(quote))
    if code in ("BTC-JPY", "SHIB-USD", "005930.KS", "^IXIC", "AFTER"):
        today = sessions.day_of(exchange, kind, quote.time)
        midnight = int(datetime(today.year, today.month, today.day, tzinfo=UTC).timestamp())
        days = (midnight - DAY * back for back in range(400))
        closes = (last * D(share) for share in ("0.9283", "1.0179") * 200)
        archive.save(1, [
            Row(symbol=code, step=DAY, start=start, opened=0, closed=1, open=close, high=close,
                low=close, close=close, volume=D("805510000"), counter=None, provider="yahoo",
                mixed=False)
            for start, close in zip(days, closes)
        ])
"""
NOWHERE = "127.0.0.1:1"


@contextmanager
def states(folder: Path, template: Path) -> Iterator[Site]:
    """Run the site with every state of a row and with two sources that can't be reached."""
    paged = {"DJANGO_SETTINGS_MODULE": "tests.browser.paged"}
    with unreachable(folder, template, STATES, **paged) as running:
        eventually(lambda: "2 providers" in running.get("/boards/all/"), "both sources are out")
        yield running


@contextmanager
def unreachable(folder: Path, template: Path, script: str, **more: str) -> Iterator[Site]:
    """Run the site in Berlin with the prices of a script, because no source can be reached."""
    listed = shutil.copy(template, folder / "listed.sqlite3")
    manage("shell", "--verbosity", "0", "-c", script, DATABASE_URL=f"sqlite:///{listed}")
    given = {
        "DJANGO_TIME_ZONE": "Europe/Berlin",
        "QUOTES_PROVIDERS": "finnhub,yahoo",
        "FINNHUB_API_KEY": "any",
        "YAHOO_ACCEPT": "personal-use",
    }
    for name in ("FINNHUB", "YAHOO"):
        given |= {f"{name}_REST_URL": f"http://{NOWHERE}", f"{name}_WS_URL": f"ws://{NOWHERE}"}
    with site(folder, listed, "daphne", **given | more) as running:
        yield running
