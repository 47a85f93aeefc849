"""Panels: the figures of a symbol's page, prices from outside trading, and market hours."""

from __future__ import annotations

import html as html_module
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation

from quotes.candles.figures import Close, Figures
from quotes.fragments import Fragments
from quotes.models import Symbol
from quotes.quote import Quote
from quotes.sessions import Session
from quotes.shown.panels import Panel, market_days
from quotes.store import State, Store
from quotes.watch import Edition

FIGURES = Figures(
    low=Decimal("90.5"),
    high=Decimal(120),
    volume=Decimal(51_230_000),
    volume_days=30,
    bases={"5D": Decimal(100), "YTD": Decimal(202), "1Y": Decimal(101)},
    closes=(Close(date(2026, 11, 24), Decimal(98)), Close(date(2026, 11, 25), Decimal(100))),
)
NEW_YORK = ZoneInfo("America/New_York")
REGULAR = datetime(2026, 11, 25, 12, tzinfo=NEW_YORK)  # a Wednesday; Thursday is Thanksgiving
POST = datetime(2026, 11, 25, 17, 30, tzinfo=NEW_YORK)
PRE = datetime(2026, 11, 27, 8, tzinfo=NEW_YORK)


def symbol(kind: str = "stock", exchange: str = "NASDAQ", **more: Any) -> Symbol:
    given = {"pk": 1, "code": "AAPL", "name": "Apple", "currency": "USD"} | more
    return Symbol(kind=kind, exchange=exchange, tick_size=Decimal("0.01"), **given)


def panel(
    made_at: datetime = REGULAR,
    figures: Figures = FIGURES,
    listed: Symbol | None = None,
    language: str = "en",
    **more: Any,
) -> str:
    """Return the panel of Apple at 101, with a previous close of 98, at the time of its price."""
    now = made_at.astimezone(UTC)
    store = Store(clock=lambda: now)
    store.keep([listed or symbol()])
    fragments = Fragments(store)
    given = {"last": Decimal(101), "reference": Decimal(98), "reference_kind": "prev_close"}
    given |= {"provider": "yahoo", "currency": "USD", "received_at": now, "source_time": now}
    store.put((1, 1), [Quote(symbol="AAPL", **given | more)])
    fragments.known.figures["AAPL"] = figures
    return str(fragments.paint("panel", "AAPL", Edition(language)))


def read(html: str) -> str:
    """Return what a reader sees of some HTML."""
    return " ".join(html_module.unescape(re.sub(r"<[^>]*>", " ", html)).split())


def part(html: str, name: str) -> str:
    """Return what a reader sees of the element with a class."""
    found = re.search(rf'<(\w+) class="{name}"[^>]*>(.*?)</\1>\n', html, re.DOTALL)
    return read(found[2]) if found else ""


def meters(html: str) -> list[tuple[str, ...]]:
    return re.findall(r'<meter min="([^"]*)" max="([^"]*)" value="([^"]*)">', html)


class TestFigures:
    def test_they_are_on_the_page_with_their_names(self):
        shown = panel(low=Decimal(97), high=Decimal(102), volume=Decimal(42_300_000))
        assert meters(shown) == [("97", "102", "101"), ("90.5", "120", "101")]
        assert part(shown, "ranges") == "Day range 97.00 102.00 52 weeks 90.50 120.00"
        assert part(shown, "periods") == "5 days +1.00% This year −50.00% 1 year 0.00%"
        assert re.findall(r'data-field="period" data-way="(\w+)"', shown) == ["up", "down", "flat"]
        assert "Volume 42.30M Average volume, 30 days 51.23M" in read(shown)

    def test_a_new_low_of_today_is_the_low_of_52_weeks(self):
        shown = panel(low=Decimal(90), high=Decimal(102))
        assert part(shown, "ranges").endswith("52 weeks 90.00 120.00")

    def test_germans_read_them_in_german(self):
        shown = panel(language="de")
        assert part(shown, "ranges") == "52 Wochen 90,50 120,00"
        assert part(shown, "periods") == "5 Tage +1,00 % Dieses Jahr −50,00 % 1 Jahr 0,00 %"
        assert "Volumen im Schnitt, 30 Tage 51,23 Mio." in read(shown)

    def test_what_is_unknown_is_left_out(self):
        shown = panel(figures=Figures(), low=Decimal(97), reference=None)
        assert (meters(shown), part(shown, "ranges"), part(shown, "periods")) == ([], "", "")
        assert read(shown).partition("Key figures")[2] == " Provider Yahoo Finance"

    @pytest.mark.parametrize(
        ("kind", "opened", "stated"),
        [
            ("rolling_24h", Decimal(98), False),
            ("rolling_24h", Decimal(99), True),
            ("prev_close", Decimal(98), True),
        ],
    )
    def test_an_opening_that_is_the_price_of_24_hours_ago_is_stated_once(
        self, kind: str, opened: Decimal, *, stated: bool
    ):
        shown = panel(reference_kind=kind, open=opened)
        assert ('data-field="open"' in shown) == stated
        assert 'data-field="reference"' in shown

    def test_what_a_source_sent_before_keeps_its_place_on_all_pages(self):
        now, store = REGULAR.astimezone(UTC), Store(clock=lambda: REGULAR.astimezone(UTC))
        store.keep([symbol()])
        fragments = Fragments(store)
        given = {"symbol": "AAPL", "provider": "yahoo", "currency": "USD", "received_at": now}
        book = dict.fromkeys(("bid", "ask", "low", "high"), Decimal(101))
        for number, more in enumerate((book, {}), start=1):
            store.put((1, number), [Quote(last=Decimal(101), **given, **more)])
            shown = str(fragments.paint("panel", "AAPL", Edition("en" if more else "de")))
        assert "Geld / Brief — / —" in read(shown)
        assert part(shown, "ranges") == "Tagesspanne — —"
        assert meters(shown) == []
        assert "Volumen" not in read(shown)

    def test_a_range_of_tiny_prices_has_all_digits_for_machines(self):
        tiny = Figures(low=Decimal("0.00000842"), high=Decimal("0.00001448"))
        listed = Symbol(pk=1, code="AAPL", name="Pepe", kind="crypto", currency="USD")
        shown = panel(figures=tiny, listed=listed, last=Decimal("0.00001423"))
        assert meters(shown) == [("0.00000842", "0.00001448", "0.00001423")]


class TestOutsideOfTrading:
    @pytest.mark.parametrize(("made_at", "name"), [(PRE, "Pre-market"), (POST, "After hours")])
    def test_the_close_stays_the_large_price_and_the_new_one_is_below(
        self, made_at: datetime, name: str
    ):
        shown = panel(made_at)
        assert part(shown, "panel-last") == "100.00 USD"
        assert part(shown, "panel-move") == "▲ +2.00 ( +2.04% ) vs prev. close"
        assert part(shown, "panel-outside").startswith(f"{name} 101.00 ▲ +1.00 ( +1.00% ) ")
        assert part(shown, "panel-state").endswith("At close Wed 21:00")
        assert len(re.findall('data-field="last"', shown)) == 1
        assert meters(shown) == [("90.5", "120", "100")]
        assert part(shown, "periods").startswith("5 days 0.00%")

    def test_other_sites_get_the_close_with_its_time(self):
        now = POST.astimezone(UTC)
        store = Store(clock=lambda: now)
        store.keep([symbol()])
        times = {"received_at": now, "source_time": now}
        given = {"symbol": "AAPL", "provider": "yahoo", "currency": "USD"}
        store.put((1, 1), [Quote(last=Decimal(101), reference=Decimal(98), **given, **times)])
        card = Panel(store.states["AAPL"], "en", FIGURES)
        assert card.title == "AAPL 100.00 USD ▲ +2.04%"
        assert card.summary.endswith("as of Nov. 25, 2026, 21:00 UTC")

    @pytest.mark.parametrize(
        ("made_at", "closes"),
        [
            (POST, FIGURES.closes[:1]),  # the candle of today is missing
            (PRE, FIGURES.closes[:1]),  # that of yesterday is
            (POST, ()),
            (REGULAR, FIGURES.closes),
        ],
    )
    def test_without_the_close_before_the_last_price_is_the_large_one(
        self, made_at: datetime, closes: tuple[Close, ...]
    ):
        shown = panel(made_at, Figures(closes=closes))
        assert part(shown, "panel-last") == "101.00 USD"
        assert part(shown, "panel-outside") == ""

    def test_a_close_without_the_one_before_has_no_change(self):
        shown = panel(PRE, Figures(closes=FIGURES.closes[1:]))
        assert (part(shown, "panel-last"), part(shown, "panel-move")) == ("100.00 USD", "")

    @pytest.mark.parametrize(
        ("kind", "exchange", "keeps"),
        [
            ("stock", "NASDAQ", True),
            ("index", "NASDAQ", False),
            ("stock", "XETRA", False),
            ("stock", "", False),
            ("crypto", "", False),
        ],
    )
    def test_a_line_is_kept_free_where_a_market_trades_outside_its_hours(
        self, kind: str, exchange: str, *, keeps: bool
    ):
        shown = panel(listed=symbol(kind, exchange))
        assert ("data-extended" in shown) == keeps

    @pytest.mark.parametrize("made_at", [PRE, REGULAR, POST])
    def test_a_market_that_is_simulated_around_the_clock_has_no_hours(self, made_at: datetime):
        shown = panel(made_at, session="always", provider="simulated")
        assert part(shown, "panel-last") == "101.00 USD"
        assert part(shown, "panel-state").startswith("Simulated, always open · as of ")
        assert part(shown, "panel-outside") == ""
        assert "data-extended" not in shown


class TestMarketHours:
    @pytest.mark.parametrize(
        ("kind", "exchange", "now", "days"),
        [
            (
                "stock",
                "NASDAQ",
                "2026-11-25 17:00",
                ["Today 14:30–21:00", "Thu, 26 Nov Closed", "Fri, 27 Nov 14:30–18:00"],
            ),
            (
                "stock",
                "NASDAQ",
                "2026-11-28 17:00",  # a Saturday
                ["Today Closed", "Mon, 30 Nov 14:30–21:00", "Thu, 24 Dec 14:30–18:00"],
            ),
            (
                "stock",
                "NASDAQ",
                "2026-11-30 02:00",  # still Sunday in New York
                ["Mon, 30 Nov 14:30–21:00", "Thu, 24 Dec 14:30–18:00", "Fri, 25 Dec Closed"],
            ),
            (
                "stock",
                "TSE",
                "2026-11-29 20:00",  # already Monday in Tokyo
                ["Mon, 30 Nov 00:00–02:30, 03:30–06:30", "Thu, 31 Dec Closed"],
            ),
            ("currency", "CCY", "2026-11-30 12:00", ["Today Sun 22:00–Fri 22:00"]),
            ("crypto", "", "2026-11-30 12:00", []),
            ("fund", "NASDAQ", "2026-11-30 12:00", []),
            ("stock", "MOON", "2026-11-30 12:00", []),
            ("stock", "NASDAQ", "1999-11-30 12:00", []),
        ],
    )
    def test_today_and_the_next_unusual_days_are_named(
        self, kind: str, exchange: str, now: str, days: list[str]
    ):
        found = market_days(
            State(symbol(kind, exchange)), datetime.fromisoformat(now).replace(tzinfo=UTC)
        )
        output = [" ".join(each).replace("\N{NO-BREAK SPACE}", " ") for each in found]
        assert output[: len(days)] == days
        assert len(output) <= 5 if days else output == []

    def test_a_simulated_market_that_never_closes_has_none(self):
        assert market_days(State(symbol(), session=Session("always")), REGULAR) == []

    def test_they_are_in_the_zone_of_the_site_and_in_german(self, settings: Any):
        settings.TIME_ZONE = "Europe/Berlin"
        with translation.override("de"):
            found = market_days(State(symbol()), REGULAR)
        assert found[:2] == [
            ("Heute", "15:30–22:00"),
            ("Do,\N{NO-BREAK SPACE}26.\N{NO-BREAK SPACE}Nov", "Geschlossen"),
        ]
