"""Tags in pieces of pages: from a cache, and inserted after the page was loaded."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OFTEN, OpenTab
from tests.browser.tab import Tab
from tests.browser.test_embedding import DOUBLE_IDS, VALUES
from tests.browser.test_stopped import grey
from tests.servers import Site, eventually
from tests.snippets import snippets

pytestmark = [pytest.mark.browser, pytest.mark.server]

THEN = datetime(2026, 3, 4, 15, tzinfo=UTC)  # when the cache was filled
FILL = f"""
from datetime import datetime
from decimal import Decimal
from django.test import Client
from django.utils import timezone
import quotes.quote
from quotes.models import LastQuote, Symbol
from quotes.quote import Quote
from quotes.quote.wire import to_wire

then = datetime.fromisoformat("{THEN.isoformat()}")
timezone.now = lambda: then


class Then(datetime):
    @classmethod
    def now(cls, zone=None):
        return then


quotes.quote.datetime = Then
for symbol in Symbol.objects.filter(code__in=["BTC-USD", "ETH-USD", "SOL-USD"]):
    quote = Quote(
        symbol=symbol.code,
        provider="simulated",
        currency="USD",
        last=Decimal("1.25"),
        reference=Decimal(1),
        reference_kind="prev_close",
        received_at=then,
    )
    LastQuote.objects.create(symbol=symbol, epoch=1, batch=1, wire=to_wire(quote))
for path in ("/cached/", "/filled/"):
    assert Client(HTTP_HOST="127.0.0.1:%s").get(path).status_code == 200
"""
MOVE = "document.querySelector('#other').append(document.querySelector('.late'))"
INSERT = """async ([place, path]) => {
    document.querySelector(place).innerHTML = await (await fetch(path)).text();
}"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, few_symbols: Path) -> Iterator[Site]:
    """Another site, whose cache was filled long ago by its clock."""
    folder = tmp_path_factory.mktemp("pieces")
    settings = {"DJANGO_SETTINGS_MODULE": "tests.browser.pieces", "PIECES_CACHE": str(folder)}
    shutil.copy(few_symbols, folder / "site.sqlite3")
    served = Site(folder, **(OFTEN | settings))
    served.manage("shell", "--verbosity", "0", "-c", FILL % served.port)
    try:
        yield served.start()
    finally:
        served.stop()


def then() -> re.Pattern[str]:
    """Return the beginning of what a tag from the cache states."""
    return re.compile(r"Prices as of March 4, 2026, 15:00:00 UTC")


def live(page: Tab) -> Tab:
    """Wait until the first tag of a page is live: a price in a line does not show a word for it."""
    expect(page.page.locator(".quotes-pulse").first).to_have_class(re.compile("pulse-live"))
    return page


def open_sockets(page: Tab) -> int:
    return len(page.sockets) - len(page.codes())


def watches(page: Tab, *codes: str) -> bool:
    """Return whether the one open socket of a page watches these symbols and no others."""
    watched = re.findall("[A-Z]+-USD", "".join(page.sockets[-1:]))
    return open_sockets(page) == 1 and set(watched) == set(codes)


def alone(page: Tab) -> None:
    """Assert that nothing of a page is there twice that may be there once."""
    assert page.page.evaluate(DOUBLE_IDS) == []
    assert page.page.locator("#quotes-end").count() == 1
    for kind in (".css", ".js"):
        loaded = [path for path in page.asked if path.endswith(kind)]
        assert len(loaded) == len(set(loaded))
    assert page.complaints == []


def together(page: Tab, code: str, places: int) -> None:
    """Wait until all places of a symbol move to the same price."""
    before = page.page.evaluate(VALUES, code)
    assert len(before) == places

    def moved() -> bool:
        now = page.page.evaluate(VALUES, code)
        return len(set(now)) == 1 and now[0] not in before

    page.until(moved, "a move of all places")


def test_a_page_from_a_cache_states_its_age_until_its_socket_is_open(host: Site, tab: OpenTab):
    page = tab()
    page.hold("**/live/?*")
    page.open(host.url + "/cached/")
    assert page.value("BTC-USD") == "1.25"
    ages = page.page.locator(".pulse-paper")
    expect(ages).to_have_count(2)
    for age in ages.all():
        expect(age).to_be_visible()
        expect(age).to_have_text(then())
    page.until(lambda: grey(page), "no price has a colour")
    assert not page.page.get_by_text("Live", exact=True).all()
    assert page.held
    assert page.sockets == []
    page.release()
    live(page).moves("BTC-USD", "1.25")
    for age in ages.all():
        expect(age).to_be_hidden()
    page.until(lambda: not grey(page), "prices have colours")
    alone(page)
    assert open_sockets(page) == page.asked.count("/live/") == 1


def test_a_page_from_a_cache_states_its_age_without_javascript(host: Site, tab: OpenTab):
    page = tab(host.url + "/cached/", java_script_enabled=False)
    for age in page.page.locator(".pulse-paper").all():
        expect(age).to_be_visible()
        expect(age).to_have_text(then())


@pytest.mark.parametrize(("path", "pieces"), [("/filled/", 1), ("/piece/", 1), ("/pieces/", 2)])
def test_a_piece_from_a_cache_has_all_that_it_needs(
    host: Site, tab: OpenTab, path: str, pieces: int
):
    assert len(then().findall(host.get(path))) == 2 * pieces, "it is from the cache"
    page = live(tab(host.url + path))
    together(page, "BTC-USD", 2 * pieces)
    page.moves("ETH-USD")
    notes = page.page.get_by_text("For information only, not for trading")
    assert any(note.is_visible() for note in notes.all())
    alone(page)
    assert open_sockets(page) == page.asked.count("/live/") == 1


def test_ten_tags_cost_one_request_and_one_socket(host: Site, tab: OpenTab):
    served = re.findall(r'\sid="([^"]*)"', host.get("/ten/"))
    assert len(served) == len(set(served))
    page = live(tab(host.url + "/ten/"))
    together(page, "BTC-USD", 10)
    alone(page)
    assert open_sockets(page) == page.asked.count("/live/") == 1
    notes = page.page.get_by_text("For information only, not for trading")
    assert [note.is_visible() for note in notes.all()] == [True] + [False] * 9


@pytest.mark.parametrize("path", ["/ours/", "/host/"])
def test_parts_that_htmx_inserts_are_live_over_the_one_socket(host: Site, tab: OpenTab, path: str):
    page = live(tab(host.url + path))
    assert watches(page, "SOL-USD")
    page.page.get_by_role("button", name="Get").click()
    page.until(lambda: watches(page, "SOL-USD", "BTC-USD", "ETH-USD"), "a socket for all")
    together(page, "BTC-USD", 2)
    page.moves("ETH-USD")
    page.moves("SOL-USD")
    alone(page)
    assert page.asked.count("/live/") == 2


@pytest.mark.parametrize("path", ["/ours/", "/host/"])
def test_parts_that_are_moved_stay_live_and_parts_that_are_removed_are_forgotten(
    host: Site, tab: OpenTab, path: str
):
    page = live(tab(host.url + path))
    page.page.get_by_role("button", name="Get").click()
    page.until(lambda: watches(page, "SOL-USD", "BTC-USD", "ETH-USD"), "a socket for all")
    page.page.evaluate(
        "document.querySelector('#other').append(...document.querySelectorAll('.late'))"
    )
    together(page, "BTC-USD", 2)
    assert page.asked.count("/live/") == 2
    page.page.evaluate("document.querySelector('.late').remove()")
    page.page.get_by_role("button", name="More").click()
    page.until(lambda: watches(page, "SOL-USD", "ADA-USD"), "a socket without the part")
    page.moves("ADA-USD")
    page.page.get_by_role("button", name="Drop").click()
    expect(page.page.get_by_text("Nothing")).to_be_visible()
    page.page.get_by_role("button", name="Get").click()
    page.until(lambda: watches(page, "SOL-USD", "BTC-USD", "ETH-USD"), "a socket for what is left")
    alone(page)


@pytest.mark.parametrize("path", ["/ours/", "/host/"])
def test_a_boosted_visit_leaves_one_socket(host: Site, tab: OpenTab, path: str):
    page = live(tab(host.url + path))
    page.page.get_by_role("link", name="Visit").click()
    page.until(lambda: watches(page, "BTC-USD", "ETH-USD"), "a socket for the new page")
    page.moves("ETH-USD")
    alone(page)
    assert page.loads == 1


def test_a_part_that_comes_while_the_socket_is_requested_is_live_too(host: Site, tab: OpenTab):
    page = tab()
    page.hold("**/live/?*")
    page.open(host.url + "/ours/")
    page.until(lambda: page.held, "the first request")
    page.page.get_by_role("button", name="Get").click()
    expect(page.page.locator(".late")).to_be_visible()
    page.release()
    page.until(lambda: watches(page, "SOL-USD", "BTC-USD", "ETH-USD"), "a socket for all")
    together(page, "BTC-USD", 2)
    alone(page)


def test_a_part_that_no_htmx_inserted_is_live_with_the_next_pulse(host: Site, tab: OpenTab):
    page = live(tab(host.url + "/ours/"))
    page.page.evaluate(INSERT, ["#place", "/late/"])
    page.until(lambda: watches(page, "SOL-USD", "BTC-USD", "ETH-USD"), "a socket for all")
    together(page, "BTC-USD", 2)
    alone(page)


@pytest.fixture
def scripted(host: Site, tab: OpenTab) -> Tab:
    """A live page that has htmx of its own."""
    return live(tab(host.url + "/host/"))


ANY, TURBO, UNPOLY = snippets("js")
# As Turbo visits a page: it takes the new body, and runs its scripts.
VISIT = """async (path) => {
    const html = await (await fetch(path)).text();
    document.body.replaceWith(new DOMParser().parseFromString(html, "text/html").body);
    for (const inert of document.body.querySelectorAll("script")) {
        const script = document.createElement("script");
        for (const {name, value} of inert.attributes) script.setAttribute(name, value);
        inert.replaceWith(script);
    }
    document.dispatchEvent(new Event("turbo:load"));
}"""
# As Unpoly calls what a site has registered.
UP = """window.up = {on: (name, registered) =>
    document.addEventListener(name, (event) => registered(event, event.target))};"""
INSERTED = """document.querySelector("#place").dispatchEvent(
    new Event("up:fragment:inserted", {bubbles: true}))"""


def test_the_documented_line_makes_a_part_live_that_a_script_inserted(host: Site, tab: OpenTab):
    line = ANY.replace("/part/", "/bare/late/")

    def live_before_a_pulse() -> Tab | None:
        page = live(tab(host.url + "/host/"))
        asked, received = page.asked.count("/live/"), len(page.frames)
        page.page.locator("#place").evaluate(f"async (element) => {{ {line} }}")
        page.until(lambda: page.asked.count("/live/") > asked, "a request")
        return None if any("pulse-live" in frame for frame in page.frames[received:]) else page

    # a pulse would make it live too, and may come at any time
    page = eventually(live_before_a_pulse, "a request before the next pulse")
    page.until(lambda: watches(page, "SOL-USD", "BTC-USD", "ETH-USD"), "a socket for all")
    together(page, "BTC-USD", 2)
    alone(page)


def test_the_documented_line_for_turbo_makes_a_visited_page_live(scripted: Tab):
    scripted.page.evaluate(TURBO)
    for _ in range(2):
        scripted.page.evaluate(VISIT, "/bare/visited/")
        scripted.until(lambda: watches(scripted, "BTC-USD", "ETH-USD"), "a socket for the page")
        scripted.moves("ETH-USD")
    alone(scripted)


def test_the_documented_line_for_unpoly_makes_a_fragment_live(scripted: Tab):
    scripted.page.evaluate(UP + UNPOLY)
    scripted.page.evaluate(INSERT, ["#place", "/bare/late/"])
    scripted.page.evaluate(INSERTED)
    scripted.until(lambda: watches(scripted, "SOL-USD", "BTC-USD", "ETH-USD"), "a socket for all")
    together(scripted, "BTC-USD", 2)
    alone(scripted)
