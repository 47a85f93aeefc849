"""Fragments: one template for page and message, rendered once for all pages, and safe."""

from __future__ import annotations

import html as html_module
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.utils.timezone import localtime, override
from hypothesis import given
from hypothesis import strategies as st

from quotes.fragments import TARGETS, TEMPLATES, Fragments, Spark
from quotes.fragments.signs import BETWEEN, TURNS
from quotes.fragments.swaps import addressed
from quotes.models import Symbol
from quotes.providers import REGISTRY
from quotes.quote import Quote
from quotes.quote.values import price
from quotes.sessions import Session
from quotes.shown import provider_title
from quotes.store import State, Store
from quotes.watch import ROWS, Edition, Watch, places
from tests.examples import examples

EN, DE = Edition("en"), Edition("de")
FOR_2 = Edition("en", htmx=2)
SPARK = re.compile(r'<svg class="quotes-spark".*?</svg>')  # no part of a message with a row
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "templates" / "quotes").glob("*.html"))
WIDGETS = list(TEMPLATES)
PLACES = ("row", "entry", "panel")  # with enough room for everything
SYMBOLS = [
    Symbol(pk=1, code="AAPL", name="Apple", kind="stock", currency="USD", tick_size=Decimal(".01")),
    Symbol(pk=2, code="BTC-USD", name="Bitcoin", kind="crypto", currency="USD"),
    Symbol(pk=3, code="^GSPC", name="S&P 500", kind="index", currency="USD"),
]


@pytest.fixture
def fragments(make_quote: Callable[..., Quote]) -> Fragments:
    """AAPL at 101, BTC-USD at 64,123.40; ^GSPC has no price yet."""
    store = Store(stale_after={"crypto": 60}, clock=lambda: NOON)
    store.keep(SYMBOLS)
    store.put(
        (1, 1),
        [
            make_quote("AAPL", "101", session="regular", bid=Decimal("100.9"), volume=Decimal(7)),
            make_quote("BTC-USD", "64123.40", reference_kind="rolling_24h", session="always"),
        ],
    )
    return Fragments(store)


def watch(language: str = "en", **codes: Any) -> Watch:
    return Watch(Edition(language), places(**codes))


def move(fragments: Fragments, last: str, version: int = 2) -> None:
    """Let AAPL move, as pages see it."""
    store = fragments.store
    store.mark_moves(["AAPL"])
    old = store.states["AAPL"].quote
    assert old is not None
    given = {name: getattr(old, name) for name in ("symbol", "provider", "currency", "reference")}
    store.put((1, version), [Quote(**given, last=Decimal(last), received_at=NOON)])
    store.mark_moves(["AAPL"])


def states_of(symbol: Symbol, quote: Quote) -> Iterator[State]:
    """Yield states that differ in one thing that a row shows beside its prices."""
    open_ = State(symbol, quote, session=Session("regular", NOON))
    yield open_
    yield replace(open_, symbol=changed(symbol, name="Apple Inc."))
    yield replace(open_, symbol=changed(symbol, kind="index"))
    yield replace(open_, stale_minutes=3)
    yield replace(open_, stale_minutes=4)
    yield replace(open_, fallback=True)
    yield replace(open_, session=Session("halted", NOON))
    for changes in ({"delay": 900}, {"delay": 300}, {}, {"reference_kind": "utc_day"}):
        yield replace(open_, quote=replace(quote, **changes))
    sunday = Session("closed", utc("2026-11-21 01:00"), None, utc("2026-11-23 14:30"))
    for at in ("2026-11-20 20:59:58", "2026-11-20 20:59:59", "2026-11-20 22:00:00"):
        traded = replace(quote, received_at=utc(at), source_time=utc(at))
        yield replace(open_, quote=traded, session=sunday)
    yield replace(open_, session=sunday)
    yield replace(open_, session=replace(sunday, next_open=utc("2026-11-24 14:30")))
    yield State(symbol)


def changed(symbol: Symbol, **values: str) -> Symbol:
    kept = {name: getattr(symbol, name) for name in ("pk", "code", "name", "kind", "currency")}
    return Symbol(exchange="NASDAQ", **kept | values)


def field(html: str, name: str) -> str:
    """Return the text of one value, as a reader sees it."""
    found = re.search(rf'data-field="{name}"[^>]*>(.*?)</(?:data|td|dd|span|time|small)>', html)
    assert found, f"no {name} in {html}"
    return html_module.unescape(found[1])


def read(html: str) -> str:
    """Return the visible text of some HTML, without tooltips."""
    return " ".join(html_module.unescape(re.sub(r"<[^>]*>", "", html)).split())


def state(html: str) -> str:
    """Return the texts of a row's state, one on each line."""
    found = re.search(r'data-field="state">(.*?)(?:</span>|</td>)', html, re.DOTALL)
    assert found, f"no state in {html}"
    return "\n".join(read(line) for line in found[1].split("<small>"))


def utc(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


def called(fragments: Fragments, widget: str, language: str = "en") -> str:
    """Return the label and the time of AAPL's price as a reader sees them, or ""."""
    html = html_module.unescape(fragments.paint(widget, "AAPL", Edition(language)))
    found = re.search(r'data-field="called">([^<]*)</span> <time[^>]*>([^<]*)</time>', html)
    return " ".join(found.groups()).replace("\N{NO-BREAK SPACE}", " ") if found else ""


@pytest.mark.parametrize(
    ("last", "bid", "low", "change"),
    [
        ("805000.51", "805,000.51", "805,000.51", "+805,000.51"),
        ("12745191.37", "12,745,191", "12,745,191", "+12,745,191"),
        ("2347860449.13", "", "2.35B", ""),
    ],
)
def test_a_row_has_the_digits_that_it_has_room_for(
    fragments: Fragments, make_quote: Any, last: str, bid: str, low: str, change: str
):
    value = Decimal(last)
    quote = make_quote(last=value, bid=value, low=value, reference=Decimal("0.00000051"))
    fragments.store.put((1, 9), [quote])
    row, panel = (fragments.paint(widget, "AAPL", EN) for widget in ("row", "panel"))
    assert [read(field(row, name)) for name in ("bid", "low", "change")] == [bid, low, change]
    assert read(field(panel, "bid")) == read(field(panel, "last"))


class TestRenderedOnce:
    @pytest.mark.parametrize("widget", WIDGETS)
    def test_a_state_is_rendered_once_per_widget_and_language(
        self, fragments: Fragments, widget: str
    ):
        first = fragments.paint(widget, "AAPL", EN)
        assert all(fragments.paint(widget, "AAPL", EN) == first for _ in range(100))
        assert fragments.templates.renders[TEMPLATES[widget]] == 1
        fragments.paint(widget, "AAPL", DE)
        assert fragments.templates.renders[TEMPLATES[widget]] == 2

    def test_a_hundred_different_pages_cost_one_rendering(self, fragments: Fragments):
        for number in range(100):
            fragments.update(watch(row=["AAPL"], price=[f"S{number}"]), {"AAPL"})
        assert fragments.templates.renders[TEMPLATES["row"]] == 1

    def test_a_new_price_is_rendered_again(self, fragments: Fragments):
        before = fragments.paint("row", "AAPL", EN)
        move(fragments, "102")
        after = fragments.paint("row", "AAPL", EN)
        assert (field(before, "last"), field(after, "last")) == ("101.00", "102.00")
        assert fragments.templates.renders[TEMPLATES["row"]] == 2

    def test_what_did_not_change_is_not_rendered_again(self, fragments: Fragments):
        fragments.snapshot(watch(row=["AAPL", "BTC-USD"]))
        move(fragments, "102")
        fragments.snapshot(watch(row=["AAPL", "BTC-USD"]))
        assert fragments.templates.renders[TEMPLATES["row"]] == 3

    def test_a_tick_renders_no_cell_that_it_does_not_change(self, fragments: Fragments):
        templates = [TEMPLATES["row"], "quotes/_heading.html", "quotes/_state.html"]
        counts = []
        for version in (2, 3, 4):
            move(fragments, f"10{version}", version)
            fragments.snapshot(watch(row=["AAPL"]))
            counts.append([fragments.templates.renders[each] for each in templates])
        assert counts == [[1, 1, 1], [2, 1, 1], [3, 1, 1]]

    @pytest.mark.parametrize("edition", [EN, DE, Edition("en", "exchange")])
    @pytest.mark.parametrize("widget", ROWS)
    def test_a_row_that_was_shown_before_is_the_same_as_on_a_page_of_another_process(
        self, fragments: Fragments, widget: str, edition: Edition
    ):
        known = fragments.store.states["AAPL"]
        assert known.quote
        painted = []
        for state in states_of(changed(known.symbol), known.quote):
            fragments.store.states["AAPL"] = state
            painted.append(fragments.paint(widget, "AAPL", edition))
            assert painted[-1] == Fragments(fragments.store).paint(widget, "AAPL", edition)
        assert len(set(painted)) == len(painted) - 1  # one is there twice


class TestTheSameBytes:
    @pytest.mark.parametrize("widget", WIDGETS)
    @pytest.mark.parametrize("code", ["AAPL", "BTC-USD", "^GSPC"])
    @pytest.mark.parametrize("language", ["en", "de"])
    def test_a_snapshot_is_the_first_paint_with_an_address(
        self, fragments: Fragments, widget: str, code: str, language: str
    ):
        painted = fragments.paint(widget, code, Edition(language))
        sent = fragments.snapshot(watch(language, **{widget: [code]}))
        swap = f' hx-swap-oob="{TARGETS[widget].format(code=code)}"'
        assert sent.count(swap) == 1
        assert sent.replace(swap, "") == SPARK.sub("", painted)

    @pytest.mark.parametrize("widget", WIDGETS)
    def test_an_update_is_the_first_paint_with_an_address_and_a_flash(
        self, fragments: Fragments, widget: str
    ):
        move(fragments, "102")
        sent = fragments.update(watch(**{widget: ["AAPL"]}), {"AAPL"})
        marks = f' hx-swap-oob="{TARGETS[widget].format(code="AAPL")}" data-flash="up-1"'
        assert sent.count(marks) == 1
        assert sent.replace(marks, "") == SPARK.sub("", fragments.paint(widget, "AAPL", EN))

    @pytest.mark.parametrize("widget", ["row", "entry"])
    def test_the_place_of_a_sparkline_is_the_same_before_it_is_drawn(
        self, fragments: Fragments, widget: str
    ):
        before = fragments.paint(widget, "AAPL", EN)
        fragments.sparks["AAPL"] = Spark("M0 24l120 0")
        after = fragments.paint(widget, "AAPL", EN)
        assert SPARK.findall(before) != SPARK.findall(after)
        assert SPARK.sub("", before) == SPARK.sub("", after)
        assert 'aria-hidden="true"></svg>' in SPARK.findall(before)[0]

    def test_a_snapshot_never_flashes(self, fragments: Fragments):
        move(fragments, "102")
        assert "data-flash" not in fragments.snapshot(watch(row=["AAPL"]))
        assert "data-flash" not in fragments.opening(watch(row=["AAPL"]))

    def test_what_flashed_does_not_flash_again_on_a_page_that_opened_meanwhile(
        self, fragments: Fragments
    ):
        move(fragments, "102")
        fragments.store.mark_moves(["AAPL"])  # another pace
        assert "data-flash" not in fragments.update(watch(row=["AAPL"]), {"AAPL"})

    @pytest.mark.parametrize("widget", ["entry", "price"])
    def test_htmx_2_gets_the_whole_first_paint_because_it_can_not_change_a_part(
        self, fragments: Fragments, widget: str
    ):
        fragments.sparks["AAPL"] = Spark("M0 24l120 0")
        sent = fragments.snapshot(replace(watch(**{widget: ["AAPL"]}), edition=FOR_2))
        swap = TARGETS[widget].format(code="AAPL").replace("outerMorph", "outerHTML")
        assert sent.replace(f' hx-swap-oob="{swap}"', "") == fragments.paint(widget, "AAPL", EN)

    def test_a_page_with_htmx_2_gets_no_swap_that_it_lacks(self, fragments: Fragments):
        fragments.sparks["AAPL"] = Spark("M0 24l120 0")
        given = places(entry=["AAPL", "NOPE"], price=["BTC-USD", "NOPE"])
        shown = Watch(FOR_2, given, missing=(*given[1:2], *given[3:]))
        sent = fragments.opening(shown) + fragments.signs.now(FOR_2)
        swaps = Counter(re.findall(r'hx-swap-oob="(\w+)', sent))
        assert swaps == {"outerHTML": 9, "innerHTML": 1, "true": 1}
        assert fragments.opening(replace(shown, edition=EN)).count("Morph") == 9

    def test_the_address_stands_on_the_outermost_tag(self):
        assert addressed('<tr id="quote-1"><td class="x">1</td></tr>', "outerMorph", "up-1") == (
            '<tr hx-swap-oob="outerMorph" data-flash="up-1" id="quote-1"><td class="x">1</td></tr>'
        )


class TestOneMessage:
    def test_a_symbol_that_stands_in_several_places_changes_in_all_of_them(
        self, fragments: Fragments
    ):
        everywhere = watch(entry=["AAPL", "BTC-USD"], panel=["AAPL"], price=["AAPL"])
        sent = fragments.update(everywhere, {"AAPL"})
        for widget in ("entry", "panel", "price"):
            assert sent.count(f'hx-swap-oob="{TARGETS[widget].format(code="AAPL")}"') == 1
        assert "BTC-USD" not in sent

    def test_table_rows_come_first_or_the_browser_would_drop_them(self, fragments: Fragments):
        sent = fragments.opening(watch(price=["BTC-USD"], panel=["AAPL"], entry=["AAPL"]))
        assert sent.startswith("<tr ")
        others = sent.index("<section "), sent.index('class="quote quote-price')
        assert sent.rindex("<tr ") < min(others)

    def test_an_opening_brings_all_that_a_page_shows(self, fragments: Fragments):
        sent = fragments.opening(watch(row=["AAPL", "^GSPC"]))
        ids = re.findall(r'id="([^"]+)"', sent)
        rows, end = ["quote-1", "quote-3"], ["quotes-announcement", "quotes-retry"]
        assert ids == [*rows, "quotes-shared", *end]
        for place in ("notes", "sources", "pulse"):  # of each tag of a page
            assert sent.count(f'hx-swap-oob="outerMorph:.quotes-{place}"') == 1
        assert sent.count('hx-swap-oob="outerHTML:.quotes-opener"') == 1
        assert sent.count("hx-swap-oob=") == 9

    def test_an_opening_brings_the_sparklines_that_are_drawn(self, fragments: Fragments):
        fragments.sparks["AAPL"] = Spark("M0 24l120 0")
        sent = fragments.opening(watch(row=["AAPL", "^GSPC"]))
        place = "innerMorph:.quote[data-symbol='AAPL']>.c-spark"
        assert f'<div hx-swap-oob="{place}">{fragments.spark("AAPL", EN)}</div>' in sent
        assert len(SPARK.findall(sent)) == 1

    def test_a_sparkline_comes_once_for_all_rows_and_entries_of_a_page(self, fragments: Fragments):
        fragments.sparks["AAPL"] = Spark("M0 24l120 0")
        sent = fragments.sparklines(watch(row=["AAPL"], entry=["AAPL"], price=["AAPL"]))
        assert len(SPARK.findall(sent)) == 1
        assert fragments.sparklines(watch(panel=["AAPL"], price=["AAPL"])) == ""

    def test_a_symbol_that_was_unlisted_is_left_out(self, fragments: Fragments):
        fragments.store.keep(SYMBOLS[1:])
        assert fragments.snapshot(watch(row=["AAPL"])) == ""


class TestWhatARowSays:
    def test_germans_read_german_numbers(self, fragments: Fragments):
        row = fragments.snapshot(watch("de", row=["BTC-USD"]))
        assert field(row, "last") == "64.123,40"
        assert 'value="64123.40"' in row
        assert field(fragments.snapshot(watch("en", row=["BTC-USD"])), "last") == "64,123.40"

    def test_a_future_below_zero_has_a_minus_and_the_sign_of_its_change(
        self, make_quote: Callable[..., Quote]
    ):
        store = Store(clock=lambda: NOON)
        store.keep([Symbol(pk=4, code="CL", name="Oil", kind="future", currency="USD")])
        oil = make_quote("CL", "-37.63", reference=Decimal("18.27"), low=Decimal("-40.32"))
        store.put((1, 1), [oil])
        row = Fragments(store).paint("row", "CL", EN)
        assert field(row, "last").startswith("−37.63")
        assert (field(row, "change"), field(row, "low")) == ("−55.90", "−40.32")
        assert field(row, "change-percent").endswith("−305.97%")

    def test_a_rise_has_a_sign_and_an_arrow_and_not_only_a_colour(self, fragments: Fragments):
        row = fragments.paint("row", "AAPL", EN)
        assert field(row, "change") == "+1.00"
        assert field(row, "change-percent") == "+1.00%"
        assert "▲" in html_module.unescape(row)
        assert 'data-way="up"' in row
        assert 'title="vs prev. close"' in row

    def test_crypto_changes_over_a_day(self, fragments: Fragments):
        assert 'title="over 24 h"' in fragments.paint("row", "BTC-USD", EN)

    @pytest.mark.parametrize("widget", ["panel", "price"])
    @pytest.mark.parametrize(
        ("code", "language", "output"),
        [
            ("AAPL", "en", "% vs prev. close"),
            ("AAPL", "de", "% zum Vortag"),
            ("BTC-USD", "en", "% over 24 h"),
            ("BTC-USD", "de", "% in 24 Std."),
        ],
    )
    def test_a_single_price_shows_the_reference_of_its_change(
        self, fragments: Fragments, widget: str, code: str, language: str, output: str
    ):
        shown = read(fragments.paint(widget, code, Edition(language))).replace("%) ", "% ")
        assert output in shown

    @pytest.mark.parametrize("widget", ["row", "entry"])
    @pytest.mark.parametrize(
        ("code", "kind", "output"),
        [
            ("AAPL", "prev_close", None),
            ("AAPL", "rolling_24h", "over 24 h"),
            ("AAPL", "utc_day", "since 00:00 UTC"),
            ("BTC-USD", "rolling_24h", None),
            ("BTC-USD", "prev_close", "vs prev. close"),
            ("BTC-USD", "utc_day", "since 00:00 UTC"),
        ],
    )
    def test_a_row_shows_the_reference_of_its_change_if_that_is_unusual(
        self,
        fragments: Fragments,
        make_quote: Callable[..., Quote],
        widget: str,
        code: str,
        kind: str,
        output: str | None,
    ):
        fragments.store.put((1, 2), [make_quote(code, "101", reference_kind=kind)])
        found = re.search(r'class="quotes-since">([^<]*)<', fragments.paint(widget, code, EN))
        assert (found and found[1]) == output

    @pytest.mark.parametrize("widget", WIDGETS)
    def test_a_change_that_is_blank_is_measured_from_nothing(
        self, fragments: Fragments, make_quote: Callable[..., Quote], widget: str
    ):
        unknown = make_quote("AAPL", "101", reference=None, reference_kind="utc_day")
        fragments.store.put((1, 2), [unknown])
        assert "UTC" not in read(fragments.paint(widget, "AAPL", EN)).partition("as of")[0]

    @pytest.mark.parametrize("widget", WIDGETS)
    def test_without_a_price_there_is_a_dash_and_no_zero(self, fragments: Fragments, widget: str):
        html = fragments.paint(widget, "^GSPC", EN)
        if widget == "panel":  # it has room for words
            assert "No price yet" in html
            assert "—" not in html_module.unescape(html)
        else:
            assert field(html, "last") == "—"
        assert "0.00" not in html
        assert "▲" not in html
        assert "No price" in html

    def test_a_stale_price_shows_its_age(self, fragments: Fragments):
        fragments.store.clock = lambda: NOON + timedelta(minutes=7)
        fragments.store.age()
        row = fragments.paint("row", "BTC-USD", EN)
        assert field(row, "state") == "7 min old"
        assert 'data-condition="stale"' in row

    def test_a_delayed_price_shows_its_delay(
        self, fragments: Fragments, make_quote: Callable[..., Quote]
    ):
        fragments.store.put((1, 2), [make_quote("AAPL", "101", delay=900, session="regular")])
        assert state(fragments.paint("row", "AAPL", EN)) == "\n15 min"

    def test_a_delay_is_rounded_up(self, fragments: Fragments, make_quote: Callable[..., Quote]):
        fragments.store.put((1, 2), [make_quote("AAPL", "101", delay=61, session="regular")])
        assert state(fragments.paint("row", "AAPL", EN)) == "\n2 min"

    @pytest.mark.parametrize(
        ("moment", "exchange", "more", "head"),
        [
            ("2026-11-23 16:00", "NYSE", {}, ""),
            ("2026-11-23 16:00", "NYSE", {"received_at": "2026-11-23 14:50"}, "1 h old"),
            ("2026-11-23 10:00", "NYSE", {}, "Pre-market"),
            ("2026-11-23 22:00", "NYSE", {}, "After hours"),
            ("2026-11-22 12:00", "NYSE", {}, "Opens Mon 14:30"),
            ("2026-11-24 03:00", "TSE", {}, "Break"),
            ("2026-11-23 16:00", "NYSE", {"session": "halted"}, "Halted"),
            ("2026-11-23 16:00", "NYSE", {"session": "always"}, ""),
            ("2026-11-23 16:00", "MOON", {"session": "closed"}, "Closed"),
            ("2026-11-23 16:00", "MOON", {}, ""),
        ],
    )
    @pytest.mark.parametrize(
        ("fallback", "delay", "short", "asides"),
        [
            (False, 900, "15 min", ["Delayed 15 min"]),
            (True, 0, "Kraken", ["via Kraken"]),
            (True, 900, "15 min · Kraken", ["via Kraken", "Delayed 15 min"]),
        ],
    )
    def test_a_price_shows_its_fallback_source_and_delay_in_every_session(
        self,
        fragments: Fragments,
        moment: str,
        exchange: str,
        more: dict[str, Any],
        head: str,
        *,
        fallback: bool,
        delay: int,
        short: str,
        asides: list[str],
    ):
        fragments.store.stale_after = {"stock": 60}
        fragments.store.chains = {"AAPL": ("yahoo", "kraken") if fallback else ("kraken",)}
        times = {name: utc(more[name]) for name in ("received_at",) if name in more}
        self.at(fragments, moment, exchange, provider="kraken", delay=delay, **more | times)
        for widget in ("row", "entry"):
            output = state(fragments.paint(widget, "AAPL", EN))
            assert output.replace("\N{NO-BREAK SPACE}", " ").split("\n") == [head, short]
        panel = state(fragments.paint("panel", "AAPL", EN))
        assert panel.endswith(" · ".join(asides))
        line = read(fragments.paint("price", "AAPL", EN))
        stale = [head] if "old" in head else []
        assert line.endswith(" · ".join(stale + asides))

    def test_a_line_states_once_that_its_price_is_simulated(self, fragments: Fragments):
        fragments.store.chains = {"AAPL": ("yahoo", "simulated")}
        self.at(fragments, "2026-11-23 16:00", "NYSE", provider="simulated", delay=900)
        line = re.sub("<[^>]*>", "", fragments.paint("price", "AAPL", EN))
        assert line.casefold().count("simulated") == 1
        assert "Delayed 15 min" in line

    def test_germans_read_the_source_and_the_delay_in_german(self, fragments: Fragments):
        fragments.store.chains = {"AAPL": ("yahoo", "kraken")}
        self.at(fragments, "2026-11-23 16:00", "NYSE", provider="kraken", delay=900)
        output = "via Kraken", "15 Min. verzögert"
        assert state(fragments.paint("row", "AAPL", DE)) == "\n15 Min. · Kraken"
        assert read(fragments.paint("price", "AAPL", DE)).endswith(" · ".join(output))

    def test_a_price_in_a_text_shows_no_state_if_all_is_well(self, fragments: Fragments):
        self.at(fragments, "2026-11-23 16:00", "NYSE", reference=Decimal(100))
        html = fragments.paint("price", "AAPL", EN)
        assert read(html) == "101.00 USD ▲ +1.00%"

    def at(
        self, fragments: Fragments, moment: str, exchange: str, kind: str = "stock", **more: Any
    ) -> None:
        """Put AAPL on an exchange, and set the clock to a moment (UTC)."""
        now = utc(moment)
        fragments.store.clock = lambda: now
        symbol = Symbol(pk=1, code="AAPL", name="A", kind=kind, currency="USD", exchange=exchange)
        fragments.store.keep([symbol])
        base = {"symbol": "AAPL", "provider": "yahoo", "currency": "USD", "received_at": now}
        fragments.store.put((2, 1), [Quote(last=Decimal(101), **base | more)])

    @pytest.mark.parametrize(
        ("moment", "exchange", "more", "row", "panel"),
        [
            ("2026-11-22 12:00", "NYSE", {}, "Opens Mon 15:30", "Closed, opens Mon 15:30"),
            ("2026-11-23 10:00", "NYSE", {}, "Pre-market", "Pre-market, opens Mon 15:30"),
            ("2026-11-23 16:00", "NYSE", {}, "", "Open"),
            ("2026-11-23 22:00", "NYSE", {}, "After hours", "After hours"),
            ("2026-11-24 03:00", "TSE", {}, "Break", "Break, opens Tue 04:30"),
            ("2026-10-01 09:00", "SHANGHAI", {}, "Opens 8 Oct", "Closed, opens 8 Oct"),
            ("2026-11-22 12:00", "NYSE", {"session": "halted"}, "Halted", "Halted"),
            ("2026-11-22 12:00", "NYSE", {"session": "always"}, "", "24/7"),
            (
                "2026-11-22 12:00",
                "NYSE",
                {"session": "always", "provider": "simulated"},
                "",
                "Simulated, always open",
            ),
            (
                "2026-11-22 12:00",
                "NYSE",
                {"session": None, "provider": "simulated"},
                "Opens Mon 15:30",
                "Closed, opens Mon 15:30",
            ),
            ("2026-11-22 12:00", "MOON", {"session": "closed"}, "Closed", "Closed"),
            ("2026-11-22 12:00", "MOON", {}, "", ""),
            (
                "2026-11-23 16:00",
                "NYSE",
                {"delay": 900},
                "\n15 min",
                "Open · Delayed 15 min",
            ),
            (
                "2026-11-22 12:00",
                "NYSE",
                {"delay": 900},
                "Opens Mon 15:30\n15 min",
                "Closed, opens Mon 15:30 · Delayed 15 min",
            ),
        ],
    )
    def test_the_session_of_its_market_is_shown_in_the_sites_time_zone(
        self,
        fragments: Fragments,
        settings: Any,
        moment: str,
        exchange: str,
        more: dict[str, Any],
        row: str,
        panel: str,
    ):
        settings.TIME_ZONE = "Europe/Berlin"
        self.at(fragments, moment, exchange, **more)
        output = [state(fragments.paint(w, "AAPL", EN)) for w in ("row", "entry", "panel")]
        assert [text.replace("\N{NO-BREAK SPACE}", " ") for text in output] == [row, row, panel]

    def test_crypto_that_is_simulated_is_open_as_ever(
        self, fragments: Fragments, make_quote: Callable[..., Quote]
    ):
        quote = make_quote("BTC-USD", provider="simulated", session="always")
        fragments.store.put((1, 2), [quote])
        assert state(fragments.paint("panel", "BTC-USD", EN)) == "24/7"

    @pytest.mark.parametrize(
        ("provider", "language", "text"),
        [
            ("yahoo", "en", "24/7"),
            ("simulated", "en", "simulated, always open"),
            ("simulated", "de", "simuliert, immer geöffnet"),
        ],
    )
    def test_rows_state_once_that_their_market_is_simulated_and_never_closes(
        self,
        fragments: Fragments,
        make_quote: Callable[..., Quote],
        provider: str,
        language: str,
        text: str,
    ):
        quotes = [make_quote(code, session="always") for code in ("AAPL", "BTC-USD")]
        fragments.store.put((1, 2), [replace(each, provider=provider) for each in quotes])
        shared = fragments.shared(watch(language, row=["AAPL", "BTC-USD"]))
        assert html_module.unescape(shared).endswith(f" · {text}</span>")

    @pytest.mark.parametrize(
        ("provider", "title"),
        [("simulated", "Simulierter Markt"), ("database", "Datenbank"), ("kraken", "Kraken")],
    )
    def test_germans_read_the_title_of_a_source_in_german(
        self,
        fragments: Fragments,
        make_quote: Callable[..., Quote],
        provider: str,
        title: str,
    ):
        fragments.store.put((1, 2), [make_quote("AAPL", provider=provider)])
        assert field(fragments.paint("panel", "AAPL", DE), "source") == title

    @pytest.mark.parametrize(
        ("options", "code", "title"),
        [
            ({}, "AAPL", "Alpaca (IEX)"),
            ({"feed": "iex"}, "AAPL", "Alpaca (IEX)"),
            ({"feed": "sip"}, "AAPL", "Alpaca"),
            ({"feed": "iex"}, "BTC-USD", "Alpaca"),
        ],
    )
    def test_a_source_names_the_exchange_if_all_its_figures_are_from_there(
        self,
        fragments: Fragments,
        make_quote: Callable[..., Quote],
        settings: Any,
        options: dict[str, str],
        code: str,
        title: str,
    ):
        settings.QUOTES = settings.QUOTES | {"PROVIDER_OPTIONS": {"alpaca": options}}
        fragments.store.put((1, 2), [make_quote(code, provider="alpaca")])
        assert field(fragments.paint("panel", code, EN), "source") == title
        assert title in fragments.paint("price", code, EN)

    def test_germans_read_when_it_opens_in_german(self, fragments: Fragments, settings: Any):
        settings.TIME_ZONE = "Europe/Berlin"
        self.at(fragments, "2026-11-21 12:00", "TSE")
        output = field(fragments.paint("panel", "AAPL", DE), "state")
        assert output == "Geschlossen, öffnet Di\N{NO-BREAK SPACE}01:00"  # Monday is a holiday
        output = field(fragments.paint("row", "AAPL", DE), "state")
        assert output == "Öffnet Di\N{NO-BREAK SPACE}01:00"

    @pytest.mark.parametrize(
        ("moment", "traded", "output"),
        [
            ("2026-11-23 16:00", "2026-11-23 15:59:58", "16:59:58"),
            ("2026-11-23 16:00", "2026-11-20 20:59:58", "Fri 21:59"),  # none came yet today
            ("2026-11-22 12:00", "2026-11-20 20:59:58", "Fri 21:59"),
            ("2026-11-22 12:00", "2026-11-21 01:05:03", "Sat 02:05"),  # a little after the close
            ("2026-11-22 12:00", "2026-08-03 20:59:58", "3 Aug"),
        ],
    )
    def test_a_price_of_another_session_has_its_day(
        self, fragments: Fragments, settings: Any, moment: str, traded: str, output: str
    ):
        settings.TIME_ZONE = "Europe/Berlin"
        self.at(fragments, moment, "NYSE", source_time=utc(traded))
        for widget in ("row", "entry", "panel"):
            shown = field(fragments.paint(widget, "AAPL", EN), "time")
            assert shown.replace("\N{NO-BREAK SPACE}", " ") == output

    @pytest.mark.parametrize(
        ("moment", "traded", "output"),
        [
            # closed from Friday, 20 November, 20:00 in New York, which is 01:00 UTC
            ("2026-11-22 12:00", "2026-11-20 14:29:59", ""),  # before it opened
            ("2026-11-22 12:00", "2026-11-20 14:30:00", "At close Fri 15:30"),  # then no more
            ("2026-11-22 12:00", "2026-11-20 20:59:58", "At close Fri 21:59"),
            ("2026-11-22 12:00", "2026-11-20 21:00:02", "At close Fri 22:00"),  # the auction's
            ("2026-11-22 12:00", "2026-11-20 21:02:59", "At close Fri 22:02"),
            ("2026-11-22 12:00", "2026-11-20 21:03:00", "After hours Fri 22:03"),
            ("2026-11-22 12:00", "2026-11-21 00:59:59", "After hours Sat 01:59"),
            ("2026-11-22 12:00", "2026-11-21 01:00:00", ""),
            ("2026-11-22 12:00", "2026-11-19 20:59:58", ""),  # the day before
            ("2026-11-22 12:00", "2026-11-19 22:00:00", ""),
            # before it opens on Monday
            ("2026-11-23 10:00", "2026-11-20 20:59:58", "At close Fri 21:59"),
            ("2026-11-23 10:00", "2026-11-20 22:00:00", "After hours Fri 23:00"),
            ("2026-11-23 10:00", "2026-11-19 20:59:58", ""),
            ("2026-11-23 10:00", "2026-11-23 09:59:58", ""),
            # open
            ("2026-11-23 16:00", "2026-11-20 20:59:58", ""),
            ("2026-11-23 16:00", "2026-11-23 15:59:58", ""),
            ("2026-11-23 20:58", "2026-11-23 20:57:58", ""),
            # after hours, which the state shows
            ("2026-11-23 22:00", "2026-11-23 20:59:58", "At close Mon 21:59"),
            ("2026-11-23 22:00", "2026-11-23 21:00:02", "At close Mon 22:00"),
            ("2026-11-23 22:00", "2026-11-23 21:59:58", ""),
            ("2026-11-23 22:00", "2026-11-20 20:59:58", ""),
            # a holiday, and the day after it, which ends early
            ("2026-11-26 16:00", "2026-11-25 20:59:58", "At close Wed 21:59"),
            ("2026-11-28 16:00", "2026-11-27 17:59:58", "At close Fri 18:59"),
            ("2026-11-28 16:00", "2026-11-27 20:59:58", "After hours Fri 21:59"),
            ("2026-11-28 16:00", "2026-11-25 20:59:58", ""),
        ],
    )
    def test_the_price_of_a_closed_market_has_its_label(
        self, fragments: Fragments, settings: Any, moment: str, traded: str, output: str
    ):
        settings.TIME_ZONE = "Europe/Berlin"
        self.at(fragments, moment, "NYSE", source_time=utc(traded))
        assert [called(fragments, widget) for widget in PLACES] == [output] * len(PLACES)

    @pytest.mark.parametrize(
        ("moment", "exchange", "kind", "traded", "output"),
        [
            ("2026-11-22 12:00", "SNP", "index", "2026-11-20 22:16:00", "At close Fri 23:16"),
            ("2026-11-22 12:00", "SNP", "index", "2026-11-20 23:00:00", ""),
            ("2026-11-23 18:00", "LSE", "stock", "2026-11-23 16:35:20", "At close Mon 17:35"),
            ("2026-11-23 18:00", "LSE", "stock", "2026-11-23 16:59:59", "At close Mon 17:59"),
            ("2026-11-23 18:00", "LSE", "stock", "2026-11-23 17:00:00", ""),
            (
                "2026-11-24 03:00",
                "TSE",
                "stock",
                "2026-11-24 02:29:59",
                "",
            ),  # a break is not a close
            ("2026-11-24 09:00", "TSE", "stock", "2026-11-24 02:29:59", "At close Tue 03:29"),
            ("2026-10-07 09:00", "SHANGHAI", "stock", "2026-09-30 07:00:01", "At close Wed 09:00"),
            ("2026-11-24 09:00", "MOON", "stock", "2026-11-24 08:00:00", ""),
        ],
    )
    def test_a_closing_price_may_come_late_at_a_venue_without_after_hours(
        self,
        fragments: Fragments,
        settings: Any,
        moment: str,
        exchange: str,
        kind: str,
        traded: str,
        output: str,
    ):
        settings.TIME_ZONE = "Europe/Berlin"
        self.at(fragments, moment, exchange, kind, source_time=utc(traded), session="closed")
        assert called(fragments, "row") == output

    @pytest.mark.parametrize(
        ("moment", "more", "output"),
        [
            ("2026-11-22 12:00", {}, ""),  # without a time of the source
            ("2026-11-22 12:00", {"source_time": "2026-11-20 20:58:00"}, "At close Fri 20:58"),
            (
                "2026-11-22 12:00",
                {"source_time": "2026-11-20 20:56:00", "received_at": "2026-11-20 20:56:01"},
                "",  # it is unknown whether it was the last one
            ),
            (
                "2026-11-22 12:00",
                {"source_time": "2026-11-20 20:58:00", "received_at": "2026-11-20 20:58:01"},
                "At close Fri 20:58",
            ),
            (
                "2026-11-20 21:10",
                {"source_time": "2026-11-20 20:55:00", "delay": 900},
                "",  # the last ones are still on their way
            ),
            (
                "2026-11-20 21:15",
                {"source_time": "2026-11-20 20:59:58", "delay": 900},
                "At close Fri 20:59",
            ),
            (
                "2026-11-22 12:00",
                {"source_time": "2026-11-20 20:59:58", "session": "halted"},
                "",
            ),
        ],
    )
    def test_a_price_is_labelled_at_close_only_if_that_is_known(
        self, fragments: Fragments, moment: str, more: dict[str, Any], output: str
    ):
        times = {name: utc(more[name]) for name in ("source_time", "received_at") if name in more}
        self.at(fragments, moment, "NYSE", **more | times)
        assert called(fragments, "row") == output

    @pytest.mark.parametrize(
        ("traded", "output"),
        [
            ("2026-11-20 20:59:58", "Schlusskurs Fr 20:59"),
            ("2026-11-21 00:30:00", "Nachbörse Sa 00:30"),
        ],
    )
    def test_germans_read_the_label_of_a_price_in_german(
        self, fragments: Fragments, traded: str, output: str
    ):
        self.at(fragments, "2026-11-22 12:00", "NYSE", source_time=utc(traded))
        assert [called(fragments, widget, "de") for widget in PLACES] == [output] * len(PLACES)

    def test_the_tooltip_of_a_price_in_a_text_has_the_label_too(self, fragments: Fragments):
        self.at(fragments, "2026-11-22 12:00", "NYSE", source_time=utc("2026-11-20 20:59:58"))
        html = fragments.paint("price", "AAPL", EN)
        assert "At close Fri\N{NO-BREAK SPACE}20:59, Closed, opens" in html_module.unescape(html)

    def test_a_price_is_never_labelled_at_close_and_old(self, fragments: Fragments):
        fragments.store.stale_after = {"stock": 60}
        closed = utc("2026-11-20 20:59:58")
        self.at(fragments, "2026-11-20 20:59:59", "NYSE", source_time=closed)
        seen = set()
        for minutes in range(0, 5 * 24 * 60, 10):
            now = closed + timedelta(minutes=minutes)
            fragments.store.clock = lambda now=now: now
            fragments.store.age()
            old = "old" in field(fragments.paint("panel", "AAPL", EN), "state")
            seen.add((called(fragments, "panel"), old))
        assert seen == {("", False), ("At close Fri 20:59", False), ("", True)}

    def test_the_texts_of_a_closed_row_change_only_with_its_market(self, fragments: Fragments):
        self.at(fragments, "2026-11-21 02:00", "NYSE")
        before = fragments.paint("row", "AAPL", EN)
        for hours in range(1, 55):
            now = datetime(2026, 11, 21, 2, tzinfo=UTC) + timedelta(hours=hours)
            fragments.store.clock = lambda now=now: now
            assert fragments.store.age() == set()
        assert fragments.paint("row", "AAPL", EN) == before

    def test_a_price_carries_the_exchanges_own_time(
        self, fragments: Fragments, make_quote: Callable[..., Quote]
    ):
        traded = NOON - timedelta(seconds=5)
        fragments.store.put((1, 2), [make_quote("AAPL", "101", source_time=traded)])
        html = fragments.paint("row", "AAPL", EN)
        assert 'datetime="2026-03-02T11:59:55+00:00"' in html
        assert field(html, "time") == "11:59:55"

    @pytest.mark.parametrize("widget", WIDGETS)
    def test_a_change_of_unknown_base_is_blank(
        self, fragments: Fragments, make_quote: Callable[..., Quote], widget: str
    ):
        unknown = make_quote("AAPL", "101", reference=None, reference_kind="none")
        fragments.store.put((1, 2), [unknown])
        html = fragments.paint(widget, "AAPL", EN)
        if widget == "panel":  # a row needs something in its cell
            assert "change-percent" not in html
        else:
            assert field(html, "change-percent") == "—"
        assert not set("▲▼•") & set(html)

    @examples(50)
    @given(st.integers(1, 10**9), st.integers(-40, 400), st.integers(-40, 30))
    def test_whatever_prices_a_provider_may_give_its_row_can_be_shown(
        self, digits: int, exponent: int, base: int
    ):
        # a row that can't be rendered stops the updates of all the others too
        last, reference = price(f"{digits}e{exponent}"), price(f"1e{base}")
        if last is None or reference is None:
            return
        store = Store()
        store.keep(SYMBOLS)
        store.put(
            (1, 1),
            [
                Quote(
                    symbol="AAPL",
                    provider="coinbase",
                    currency="USD",
                    last=last,
                    volume=last,
                    reference=reference,
                    received_at=NOON,
                )
            ],
        )
        for widget in WIDGETS:
            assert Fragments(store).paint(widget, "AAPL", EN)


class TestSafety:
    EVIL = "<img src=x onerror=alert(1)>\"'&"

    @pytest.mark.parametrize("widget", WIDGETS)
    def test_a_name_that_is_markup_stays_text(
        self, fragments: Fragments, widget: str, make_quote: Callable[..., Quote]
    ):
        symbol = Symbol(pk=9, code="EVIL", name=self.EVIL, kind="stock", currency="USD")
        fragments.store.keep([symbol])
        fragments.store.put(
            (1, 2), [make_quote("EVIL", provider=self.EVIL, currency=self.EVIL, session=self.EVIL)]
        )
        for html in (
            fragments.paint(widget, "EVIL", EN),
            fragments.opening(watch(**{widget: ["EVIL"]})),
        ):
            assert "<img" not in html
            assert "&lt;img" in html
            assert self.EVIL not in html

    def test_unknown_codes_and_providers_that_are_markup_stay_text(
        self, fragments: Fragments, make_quote: Callable[..., Quote]
    ):
        fragments.store.put((1, 2), [make_quote("AAPL", provider=self.EVIL)])
        fragments.store.outages = {self.EVIL: NOON}
        asked = Watch(EN, places(row=["AAPL"]), missing=places(entry=[self.EVIL]))
        notes = fragments.notes(asked)
        assert notes.count("&lt;img") == 2
        assert "<img" not in notes + fragments.sources(asked)

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_a_template_needs_no_exception_from_a_strict_policy(self, page: Path):
        text = page.read_text()
        assert not re.search(r"\sstyle\s*=", text)
        assert not re.search(r"\bhx-on\b|\bjs:|javascript:", text)
        assert not re.search(r"\son[a-z]+\s*=", text)
        assert not re.search(r"<style\b", text)
        for script in re.findall(r"<script\b(.*?)</script>", text, re.DOTALL):
            assert re.fullmatch(r"[^>]*\ssrc=[^>]*>\s*", script)

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_no_template_marks_text_as_safe(self, page: Path):
        assert not re.search(r"\|\s*safe\b|autoescape off", page.read_text())


class TestZones:
    def test_times_are_those_of_the_exchange_and_name_its_zone(
        self, make_quote: Callable[..., Quote]
    ):
        store = Store(clock=lambda: NOON)
        symbol = {"name": "Apple", "kind": "stock", "currency": "USD", "exchange": "NASDAQ"}
        store.keep([Symbol(pk=1, code="AAPL", **symbol)])
        store.put((1, 1), [make_quote("AAPL", source_time=NOON)])
        fragments = Fragments(store)
        site, there = EN, Edition("en", "exchange")
        for widget in ("row", "entry"):
            assert field(fragments.paint(widget, "AAPL", site), "time") == "12:00:00"
            assert field(fragments.paint(widget, "AAPL", there), "time") == "07:00:00 EST"
        assert "America/New_York" in fragments.paint("panel", "AAPL", there)
        assert "07:00:00 EST" in fragments.paint("price", "AAPL", there)

    def test_a_symbol_without_known_hours_has_the_times_of_utc_and_names_it(
        self, fragments: Fragments
    ):
        for widget, zone in product(("row", "entry"), ("utc", "exchange")):
            time = field(fragments.paint(widget, "BTC-USD", Edition("en", zone)), "time")
            assert re.fullmatch(r"[\d:]+ UTC", time)

    def test_the_fragments_that_are_kept_are_bounded(
        self, fragments: Fragments, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("quotes.fragments.MAX_RENDERED", 5)
        painted = [
            fragments.paint(widget, code, Edition(language))
            for widget in WIDGETS
            for code in ("AAPL", "BTC-USD")
            for language in ("en", "de")
        ]
        assert len(fragments.rendered) <= 5
        assert len(set(painted)) == len(painted)


class TestNotes:
    def test_simulated_prices_are_labelled(self, fragments: Fragments):
        assert "SIMULATED" in fragments.notes(watch(row=["AAPL"]))

    def test_real_prices_are_not_labelled_simulated(
        self, fragments: Fragments, make_quote: Callable[..., Quote]
    ):
        fragments.store.put((1, 2), [make_quote("AAPL", provider="coinbase")])
        asked = watch(row=["AAPL"])
        assert "SIMULATED" not in fragments.notes(asked) + fragments.sources(asked)

    def test_an_outage_is_stated_once_with_its_source_and_time(self, fragments: Fragments):
        fragments.store.outages = {"simulated": NOON}
        notes = fragments.notes(watch(row=["AAPL", "BTC-USD"]))
        assert read(notes).count("Prices from Simulated market unavailable since 12:00:00") == 1
        german = read(fragments.notes(watch("de", row=["AAPL", "BTC-USD"])))
        assert german.count("Kurse von Simulierter Markt nicht verfügbar seit 12:00:00") == 1
        fragments.store.outages = {}
        assert "unavailable" not in fragments.notes(watch(row=["AAPL", "BTC-USD"]))

    @pytest.mark.parametrize(("zone", "time"), [("utc", "12:00:00"), ("", "21:00:00")])
    def test_its_time_is_in_the_zone_of_the_page(
        self, fragments: Fragments, settings: Any, zone: Any, time: str
    ):
        settings.TIME_ZONE = "Asia/Tokyo"
        fragments.store.outages = {"simulated": NOON}
        edition = EN._replace(zone=zone)
        page = Watch(edition, places(row=["AAPL"]))
        for visitor in ("Asia/Tokyo", "America/New_York"):
            with override(visitor):
                assert f"unavailable since {time}" in fragments.notes(page)

    def test_an_outage_is_stated_only_where_that_source_is_shown(self, fragments: Fragments):
        fragments.store.outages = {"coinbase": NOON}
        assert "unavailable" not in fragments.notes(watch(row=["AAPL"]))

    def test_an_outage_is_stated_where_a_price_is_still_missing(self, fragments: Fragments):
        fragments.store.outages = {"coinbase": NOON}
        assert "unavailable" in fragments.notes(watch(row=["AAPL", "^GSPC"]))

    def test_an_outage_removes_no_row_and_no_price(self, fragments: Fragments):
        before = fragments.snapshot(watch(row=["AAPL"]))
        fragments.store.outages = {"simulated": NOON}
        assert fragments.snapshot(watch(row=["AAPL"])) == before

    def test_symbols_that_are_not_listed_are_named(self, fragments: Fragments):
        asked = Watch(EN, places(entry=["AAPL"]), missing=places(entry=["YAHO", "GOGL"]))
        assert "Unknown symbols: YAHO, GOGL" in fragments.notes(asked)

    def test_a_quiet_page_has_an_empty_place_for_notes(
        self, fragments: Fragments, make_quote: Callable[..., Quote]
    ):
        fragments.store.put((1, 2), [make_quote("AAPL", provider="coinbase")])
        notes = fragments.notes(watch(row=["AAPL"]))
        assert notes == '<span class="quotes-notes"></span>'

    @pytest.mark.parametrize(
        ("codes", "language", "output"),
        [
            (["AAPL"], "en", "Change: vs prev. close · "),
            (["BTC-USD"], "en", "Change: over 24 h · "),
            (
                ["AAPL", "BTC-USD"],
                "en",
                "Change: over 24 h for crypto, otherwise vs prev. close · ",
            ),
            (
                ["AAPL", "BTC-USD"],
                "de",
                "Änderung: in 24 Std. bei Krypto, sonst zum Vortag · ",
            ),
            (["^GSPC"], "en", ""),
        ],
    )
    def test_the_reference_of_its_changes_stands_below_a_listing(
        self, fragments: Fragments, codes: list[str], language: str, output: str
    ):
        not_for = {
            "en": "For information only, not for trading",
            "de": "Nur zur Information, nicht zum Handeln",
        }[language]
        asked = watch(language, entry=codes)
        assert read(fragments.sources(asked)) == output + not_for
        assert read(fragments.sources(watch(language, row=codes))) == not_for  # it is in the foot
        swap = ' hx-swap-oob="outerMorph:.quotes-sources"'
        assert fragments.sources(asked) in fragments.about(asked).replace(swap, "")

    def test_the_purpose_of_prices_stands_behind_their_sources(
        self, fragments: Fragments, make_quote: Callable[..., Quote]
    ):
        fragments.store.put((1, 2), [make_quote("AAPL", provider="coinbase")])
        for widget in ("row", "panel", "price"):
            output = read(fragments.sources(watch(**{widget: ["AAPL"]})))
            assert output == "Prices by Coinbase · For information only, not for trading"
        assert "not for trading" in fragments.sources(watch())

    def test_a_provider_is_called_by_its_title(self):
        assert provider_title("simulated") == "Simulated market"
        assert provider_title("gone") == "gone"
        assert all(provider_title(name) != name for name in REGISTRY)


def test_a_page_without_a_price_states_if_its_source_is_down(fragments: Fragments):
    store, at = fragments.store, fragments.store.clock()
    store.chains = {"^GSPC": ("yahoo",), "AAPL": ("yahoo",)}
    assert "No provider has sent a price" in fragments.paint("panel", "^GSPC", EN)
    assert store.fail({"yahoo": at}) == {"^GSPC"}
    assert store.fail({"yahoo": at}) == set()
    since = f"{localtime(at):%H:%M:%S}"
    words = f"Prices from Yahoo Finance unavailable since {since}"
    assert read(fragments.paint("panel", "^GSPC", EN)) == f"No price yet {words}"
    german = f"Kurse von Yahoo Finance nicht verfügbar seit {since}"
    assert german in read(fragments.paint("panel", "^GSPC", DE))
    assert store.fail({}) == {"^GSPC"}
    assert "No provider has sent a price" in fragments.paint("panel", "^GSPC", EN)


def test_an_opening_starts_the_clocks_again_whatever_pulse_its_page_had_last(
    fragments: Fragments,
):
    opening = fragments.opening(watch(panel=["AAPL"]))
    assert 'class="quotes-pulse pulse-live turn-3"' in opening
    assert "announced-3" in opening
    assert BETWEEN not in TURNS


def test_equal_watches_are_one(fragments: Fragments):
    assert watch(row=["AAPL"]) == watch(row=["AAPL"])
    assert len({watch(row=["AAPL"]), watch(row=["AAPL"]), watch("de", row=["AAPL"])}) == 2


def test_the_time_zone_of_one_visitor_is_in_no_fragment(fragments: Fragments):
    """A site may set a time zone for each request; fragments are for all pages."""
    with override("Asia/Tokyo"):
        ours = [fragments.paint(widget, "AAPL", EN) for widget in WIDGETS]
    fragments.rendered.clear()
    assert ours == [fragments.paint(widget, "AAPL", EN) for widget in WIDGETS]
