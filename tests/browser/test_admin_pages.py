"""The pages of the admin: in our colours, and readable by everybody."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from colorsys import rgb_to_hsv
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import SEEDED, STAFF, OpenTab
from tests.browser.tab import Tab
from tests.servers import Site, site

pytestmark = [pytest.mark.browser, pytest.mark.server]

SCHEMES = ("light", "dark")
WIDTHS = (390, 1280)
QUOTES = "/admin/quotes"
LISTS = ("symbol", "board", "heldprice", "override", "marketday")
ALICE = """
from django.core.management import call_command
call_command("createsuperuser", "--noinput", verbosity=0)
"""
EMPTY = "Symbol.objects.all().delete(); Board.objects.all().delete()"
# few symbols, because axe takes long for hundreds of rows; a row of each model
ROWS = """
import json
from datetime import date, time, timedelta
from django.utils import timezone
from django.contrib.auth import get_user_model
from quotes.live.missing import switch_off
from quotes.staff.bulk import Plan, Switch, carry_out
from quotes.staff.loading import settled
from quotes.models import Board, HeldPrice, HistoryEntry, Load, MarketDay, Override, Symbol
kept = ("BTC-USD", "ETH-USD", "SHIB-USD", "AAPL", "MSFT")
Symbol.objects.exclude(code__in=kept).delete()
bitcoin = Symbol.objects.get(code="BTC-USD")
bitcoin.splits.create(day=date(2026, 3, 4), new=4)
bitcoin.aliases.create(code="XBT-USD")
switch_off({"SHIB-USD": "coinbase: SHIB-USD is not a valid product"})
ends = timezone.now() + timedelta(days=1)
note = Override.objects.create(symbol=bitcoin, kind="note", label="Fork at 22:00", ends=ends)
known = {"symbol": bitcoin, "provider": "coinbase", "currency": "USD"}
held = HeldPrice.objects.create(
    at=timezone.now(), last="119801.25", before="64123.4", outcome="waits", **known)
hours = {"opens": time(10), "closes": time(16)}
day = MarketDay.objects.create(venue="XKRX", day=date(2027, 11, 18), **hours)
rows = {"symbol": bitcoin, "board": Board.objects.get(slug="crypto"), "heldprice": held}
owner = get_user_model().objects.get()
chosen = Symbol.objects.filter(code="MSFT")
reason = Switch(active=False, reason="Test")
rows["bulk"] = carry_out(reason, chosen, Plan.of(reason, chosen).seal, owner)
rows["batch"] = HistoryEntry.objects.filter(model="").latest("pk")
ruled = {"filling": "rises", "number": 5, "kinds": ["crypto"]}
rule = Board.objects.create(slug="rises", title="Rises", position=9, **ruled)
rows |= {"override": note, "rule": rule, "lost": Symbol.objects.get(code="SHIB-USD")}
file = {"name": "shares.csv", "by": "alice", "holder": "elsewhere:7", "step": 3, "of": 20_000}
rows["silent"] = Load.objects.create(seen_at=timezone.now() - timedelta(days=1), **file)
settled(rows["silent"])
changed = ["name", "Apple", "Apple Inc."]
report = {"format": "UTF-8", "rows": [[2, "AAPL", "updated", [changed], "stock-market", ""]]}
counts = {"updated": 1, "placed": 1}
file |= {"report": report, "counts": counts, "ended_at": timezone.now()}
rows["loaded"] = Load.objects.create(state="done", **file)
rows["loading"] = Load.objects.create(done=500, seen_at=ends, **file)
print(json.dumps({name: row.pk for name, row in {**rows, "marketday": day}.items()}))
"""
PAGES = {
    "home": "/admin/",
    "app": f"{QUOTES}/",
    **{f"list of {name}": f"{QUOTES}/{name}/" for name in LISTS},
    **{f"no {name} found": f"{QUOTES}/{name}/?q=zzzz" for name in LISTS[:4]},
    "no marketday found": f"{QUOTES}/marketday/?venue=XTSE",
    "search": f"{QUOTES}/symbol/?q=bitcoin&active__exact=1&o=-1.2",
    **{f"new {name}": f"{QUOTES}/{name}/add/" for name in LISTS if name != "heldprice"},
    "new symbol": f"{QUOTES}/symbol/add/?code=",
    "search for a new symbol": f"{QUOTES}/symbol/find/?q=btc",
    **{name: f"{QUOTES}/{name}/{{{name}}}/change/" for name in LISTS},
    "symbols of a board": f"{QUOTES}/board/{{board}}/symbols/",
    "no symbol on a board found": f"{QUOTES}/board/{{board}}/symbols/?q=zzzz",
    "board by rule": f"{QUOTES}/board/{{rule}}/change/",
    "symbols of a board by rule": f"{QUOTES}/board/{{rule}}/symbols/",
    "symbol that was not found": f"{QUOTES}/symbol/{{lost}}/change/",
    "load": f"{QUOTES}/symbol/load/",
    "load in progress": f"{QUOTES}/symbol/load/{{loading}}/",
    "report of a load": f"{QUOTES}/symbol/load/{{loaded}}/",
    "load without a result": f"{QUOTES}/symbol/load/{{silent}}/",
    "recent loads": f"{QUOTES}/load/",
    "merge": f"{QUOTES}/symbol/{{symbol}}/merge/",
    "merge to confirm": f"{QUOTES}/symbol/{{symbol}}/merge/?into={{lost}}",
    "bulk changes": f"{QUOTES}/bulkchange/",
    "undo of a bulk change": f"{QUOTES}/bulkchange/{{bulk}}/undo/",
    "deletion": f"{QUOTES}/symbol/{{symbol}}/delete/",
    "history": f"{QUOTES}/symbol/{{symbol}}/history/",
    "all changes": f"{QUOTES}/historyentry/",
    "no change found": f"{QUOTES}/historyentry/?symbol=zzzz",
    "changes at once": f"{QUOTES}/historyentry/{{batch}}/change/",
    "password": "/admin/password_change/",
    "users": "/admin/auth/user/",
    "new user": "/admin/auth/user/add/",
    "user": "/admin/auth/user/1/change/",
    "password of a user": "/admin/auth/user/1/password/",
    "groups": "/admin/auth/group/",
    "new group": "/admin/auth/group/add/",
}
COLOURS = """() => [...new Set([...document.querySelectorAll("body, body *")]
    .filter((place) => place.checkVisibility())
    .map((place) => getComputedStyle(place))
    .flatMap((style) => [style.color, style.backgroundColor, style.borderTopColor]))]"""
COLUMNS = """() => [...document.querySelectorAll("#result_list tr")]
    .map((row) => [...row.cells].map((cell) => cell.checkVisibility()))"""
DRESS = """(of) => ["color", "backgroundColor", "fontFamily"]
    .map((name) => getComputedStyle(document.querySelector(of))[name])"""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, database_template: Path) -> Iterator[Site]:
    """A site with an admin, which these tests only look at."""
    folder = tmp_path_factory.mktemp("office")
    with site(folder, database_template, "daphne", **SEEDED, **STAFF) as running:
        yield running


def run(place: Site, *code: str) -> list[str]:
    """Add Alice and run code in the shell of a site; return the lines that it prints."""
    shell = place.manage("shell", "--verbosity", "0", "-c", "\n".join((ALICE, *code)))
    return shell.stdout.splitlines()


@pytest.fixture(scope="module")
def keys(office: Site) -> dict[str, int]:
    """The keys of a row of each model."""
    found: dict[str, int] = json.loads(run(office, ROWS)[-1])
    return found


@pytest.fixture(scope="module")
def desk(office: Site, keys: dict[str, int], browser: Browser) -> Iterator[Page]:
    """The tab in which Alice works, who is signed in. She opens all pages in it."""
    with browser.new_context(reduced_motion="reduce", color_scheme="light") as context:
        page = Tab(context).page
        page.goto(office.url + "/admin/")
        sign_in(page)
        yield page


@pytest.fixture(scope="module")
def alice(desk: Page) -> Any:
    """The cookies of Alice, for tabs that differ from hers."""
    return desk.context.storage_state()


def sign_in(page: Page) -> None:
    """Sign in as Alice."""
    page.get_by_label("Username").fill(STAFF["DJANGO_SUPERUSER_USERNAME"])
    page.get_by_label("Password").fill(STAFF["DJANGO_SUPERUSER_PASSWORD"])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_its_header_and_its_text_look_as_on_the_public_pages(
    office: Site, tab: OpenTab, alice: Any, scheme: str
):
    page = tab(office.url + "/", color_scheme=scheme).page
    header, text = page.evaluate(DRESS, ".top"), page.evaluate(DRESS, "body")
    page.goto(office.url + "/admin/")
    assert page.evaluate(DRESS, "body") == text  # the ground around the card of the login
    page.context.add_cookies(alice["cookies"])
    page.goto(office.url + "/admin/")
    assert page.evaluate(DRESS, "#header")[1:] == header[1:]
    assert page.evaluate(DRESS, "body")[0] == text[0]


def test_djangos_switch_changes_the_scheme_of_all_colours(office: Site, tab: OpenTab):
    page = tab(office.url + "/admin/", color_scheme="light").page
    light = page.evaluate(DRESS, "body")
    for _ in range(3):
        page.locator(".theme-toggle").click()
        if page.locator("html[data-theme='dark']").count():
            break
    dark = page.evaluate(DRESS, "body")
    page.emulate_media(color_scheme="dark")
    page.evaluate("localStorage.clear()")
    page.reload()
    assert page.evaluate(DRESS, "body") == dark
    assert dark[:2] != light[:2]


def test_the_header_leads_to_our_models(office: Site, desk: Page):
    desk.goto(office.url + "/admin/")
    sections = desk.get_by_role("navigation", name="Sections")
    names = ["Boards", "Held prices", "Market days", "Overrides", "Symbols", "All changes"]
    assert [name.strip() for name in sections.get_by_role("link").all_inner_texts()] == names
    for name in names:
        sections.get_by_role("link", name=name).click()
        expect(sections.locator("[aria-current]")).to_have_text(name)


@pytest.mark.parametrize("locale", ["en-US", "de-DE"])
def test_the_header_has_one_row(office: Site, alice: Any, tab: OpenTab, locale: str):
    page = tab(storage_state=alice, locale=locale).page
    page.goto(f"{office.url}/admin/")
    for width in (1280, 1440, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        name, tools = (page.locator(each).bounding_box() for each in ("#site-name", "#user-tools"))
        assert name
        assert tools
        assert tools["y"] < name["y"] + name["height"], width
        assert page.locator("#models").evaluate("(nav) => nav.scrollWidth <= nav.clientWidth")


@pytest.mark.parametrize("locale", ["en-US", "de-DE"])
def test_all_columns_of_the_symbols_are_in_sight(
    office: Site, alice: Any, tab: OpenTab, locale: str
):
    page = tab(storage_state=alice, locale=locale, viewport={"width": 1280, "height": 900}).page
    page.goto(f"{office.url}{QUOTES}/symbol/")
    assert page.locator("#result_list thead th").count() == 8
    assert page.locator(".results").evaluate("(list) => list.scrollWidth <= list.clientWidth")
    page.set_viewport_size({"width": 390, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_a_phone_all_buttons_below_a_page_are_in_sight(office: Site, alice: Any, tab: OpenTab):
    page = tab(storage_state=alice, locale="de-DE", viewport={"width": 390, "height": 900}).page
    page.goto(f"{office.url}{QUOTES}/symbol/load/")
    for name in ("Zeigen, was geschehen würde", "Laden", "Abbrechen"):
        button = page.locator(".submit-row").get_by_role("button", name=name, exact=True)
        expect(button.or_(page.locator(".closelink", has_text=name))).to_be_in_viewport(ratio=1)


def test_on_a_tablet_nothing_is_cut(office: Site, keys: dict[str, int], desk: Page):
    desk.set_viewport_size({"width": 768, "height": 900})
    for name in ("list of symbol", "list of heldprice", "list of override", "users"):
        desk.goto(office.url + PAGES[name])
        wide = desk.locator(".results").evaluate("(list) => list.scrollWidth - list.clientWidth")
        assert wide == 0, name
    desk.goto(office.url + PAGES["new marketday"])
    expect(desk.get_by_label("Exchange")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_a_column_without_room_is_left_out_with_its_head(
    office: Site, keys: dict[str, int], desk: Page, width: int
):
    desk.set_viewport_size({"width": width, "height": 900})
    for name in ("list of symbol", "list of heldprice", "list of override"):
        desk.goto(office.url + PAGES[name])
        head, *rows = desk.evaluate(COLUMNS)
        assert rows, name
        assert all(row == head for row in rows), name


# For everybody, and in our colours


def findings(page: Page) -> list[str]:
    """Return all that axe finds on a page and Django's colours, in both schemes and widths."""
    page.evaluate(Axe().axe_script)
    return [
        text for width, scheme in product(WIDTHS, SCHEMES) for text in look(page, width, scheme)
    ]


def look(page: Page, width: int, scheme: Any) -> list[str]:
    """Return all that axe finds on a page and Django's colours, at a width and in a scheme."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    # all other rules find the same in either scheme, and take most of the time
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if scheme == "dark":
        options["runOnly"] = ["color-contrast", "link-in-text-block"]
    found = page.evaluate("async (options) => (await axe.run(options)).violations", options)
    nodes = [(each["id"], node) for each in found for node in each["nodes"]]
    return [f"{scheme} {width} {text} is Django's" for text in teal_or_yellow(page)] + [
        f"{scheme} {width} {name} {node['html']} {node['any'][:1]}" for name, node in nodes
    ]


def teal_or_yellow(page: Page) -> list[str]:
    """Return the colours of a page that look like those of Django's own admin."""
    return [text for text in page.evaluate(COLOURS) if is_teal_or_yellow(text)]


def is_teal_or_yellow(colour: str) -> bool:
    """Return whether a colour has one of Django's two hues.

    It is in the notation of CSS: rgb(121, 174, 200), or color(srgb 0.47 0.68 1e-05) of a mixture.
    """
    assert colour.startswith(("rgb", "color(srgb ")), colour
    parts = re.findall(r"-?[\d.]+(?:e-?\d+)?", colour)
    hue, saturation, _ = rgb_to_hsv(*map(float, parts[:3]))
    return saturation > 0.3 and (45 < hue * 360 < 75 or 175 < hue * 360 < 212)


@pytest.mark.parametrize(
    ("colour", "django"),
    [
        ("rgb(121, 174, 200)", True),
        ("rgba(245, 221, 93, 0.5)", True),
        ("color(srgb 0.47 0.68 0.78)", True),
        ("color(srgb 2.4e-05 0.4 0.5 / 0.3)", True),
        ("rgb(29, 78, 216)", False),
        ("rgb(255, 255, 255)", False),
    ],
)
def test_djangos_colours_are_recognized(colour: str, django: bool):
    assert is_teal_or_yellow(colour) == django


@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_fault(office: Site, keys: dict[str, int], desk: Page, name: str):
    desk.goto(office.url + PAGES[name].format(**keys))
    desk.get_by_role("heading", level=1).wait_for()
    assert not findings(desk)


def test_no_page_has_a_fault_where_alice_comes_and_goes(
    office: Site, keys: dict[str, int], tab: OpenTab
):
    page = tab(office.url + "/admin/").page
    assert not findings(page)
    page.get_by_label("Username").fill("bob")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    page.locator(".errornote").wait_for()
    assert not findings(page)
    sign_in(page)
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="Logged out").wait_for()
    assert not findings(page)


@pytest.mark.parametrize("name", ["new symbol", "new board", "new marketday"])
def test_no_form_with_errors_has_a_fault(office: Site, desk: Page, name: str):
    desk.goto(office.url + PAGES[name])
    desk.get_by_role("button", name="Save", exact=True).first.click()
    desk.locator(".errornote").wait_for()
    assert not findings(desk)


def test_the_deletion_of_symbols_from_their_list_has_no_fault(office: Site, desk: Page):
    desk.goto(f"{office.url}{QUOTES}/symbol/?q=bitcoin")
    desk.locator(".action-select").first.check()
    desk.get_by_label("Action:").select_option("delete_selected")
    desk.get_by_role("button", name="Go").click()
    desk.get_by_role("heading", name="Delete multiple objects").wait_for()
    assert not findings(desk)


def test_symbols_are_switched_off_and_back_by_keyboard_without_a_fault(office: Site, desk: Page):
    address = f"{office.url}{QUOTES}/symbol/?q=ETH"
    desk.goto(address)
    desk.locator(".action-select").first.check()
    desk.get_by_label("Action:").select_option("switch_off")
    desk.get_by_role("button", name="Go").press("Enter")
    desk.get_by_role("heading", name="What would change").wait_for()
    desk.get_by_role("button", name="Switch off: 1 symbol").press("Enter")
    desk.get_by_text("This field is required.").wait_for()
    assert not findings(desk)
    desk.get_by_label("Reason").fill("Delisted")
    desk.get_by_label("Reason").press("Enter")
    message = desk.locator(".messagelist .success")
    expect(message).to_have_text("1 symbol changed (Switch off: Delisted). Undo")
    assert not desk.get_by_label("Active: ETH-USD").is_checked()
    message.get_by_role("link", name="Undo").press("Enter")
    desk.get_by_role("button", name="Undo").press("Enter")
    expect(message).to_have_text("1 symbol is as before.")
    assert not findings(desk)
    desk.set_viewport_size({"width": 390, "height": 900})
    undone = desk.get_by_text("undone by alice").first
    expect(undone).to_be_in_viewport(ratio=1)
    desk.goto(address)
    assert desk.get_by_label("Active: ETH-USD").is_checked()


@pytest.mark.parametrize(
    ("action", "field", "value"),
    [("move", "Board", "Crypto"), ("order", "First", "kraken (off)")],
)
def test_a_preview_with_a_choice_has_no_fault(
    office: Site, desk: Page, action: str, field: str, value: str
):
    desk.goto(f"{office.url}{QUOTES}/symbol/")
    desk.locator("#action-toggle").check()
    desk.get_by_label("Action:").select_option(action)
    desk.get_by_role("button", name="Go").click()
    desk.get_by_label(field).select_option(value)
    desk.get_by_role("button", name="Show what would change").click()
    desk.get_by_role("heading", name="What would change").wait_for()
    assert not findings(desk)
    desk.set_viewport_size({"width": 768, "height": 900})
    assert desk.evaluate("document.documentElement.scrollWidth") <= 768


def test_the_check_of_symbols_has_no_fault(office: Site, desk: Page):
    desk.goto(f"{office.url}{QUOTES}/symbol/")
    desk.locator("#action-toggle").check()
    desk.get_by_label("Action:").select_option("check_again")
    desk.get_by_role("button", name="Go").click()
    desk.get_by_text("5 of 5 symbols are checked.").wait_for()
    assert not findings(desk)


def test_a_field_names_what_to_choose_until_it_has_a_symbol(office: Site, desk: Page):
    desk.goto(office.url + PAGES["new override"])
    chosen = desk.locator(".select2-selection")
    assert chosen.inner_text() == "Choose a symbol"
    chosen.click()
    desk.locator(".select2-search__field").fill("AAPL")
    desk.get_by_role("option", name="AAPL").click()
    assert chosen.inner_text().endswith("AAPL")
    assert not desk.get_by_title("Choose a symbol").count()
    assert not findings(desk)


def test_the_symbols_of_a_board_with_errors_and_changes_have_no_fault(
    office: Site, keys: dict[str, int], alice: Any, desk: Page, tab: OpenTab
):
    address = office.url + PAGES["symbols of a board"].format(**keys)
    desk.goto(address)
    desk.get_by_label("Add symbols").fill("NOPE")
    desk.get_by_label("Move to: BTC-USD").fill("0")
    desk.get_by_role("button", name="Save").click()
    desk.locator(".errornote").wait_for()
    assert not findings(desk)
    desk.goto(address)
    desk.get_by_label("Remove: ETH-USD").check()
    other = tab(address, storage_state=alice).page
    other.get_by_label("Move to: BTC-USD").fill("2")
    other.get_by_role("button", name="Save").click()
    other.locator(".messagelist .success").wait_for()
    desk.get_by_role("button", name="Save").click()
    desk.get_by_role("region", name="this board was changed").wait_for()
    assert not findings(desk)


def test_no_page_of_a_site_without_symbols_has_a_fault(
    tmp_path: Path, database_template: Path, tab: OpenTab
):
    with site(tmp_path, database_template, "daphne", **SEEDED, **STAFF) as bare:
        run(bare, "from quotes.models import Board, Symbol", EMPTY)
        page = tab(bare.url + "/admin/").page
        sign_in(page)
        page.get_by_text("No symbol is active").wait_for()
        assert not findings(page)
        for name in LISTS:
            page.goto(f"{bare.url}{QUOTES}/{name}/")
            page.locator(".nothing").wait_for()
            assert not findings(page), name
        page.goto(f"{bare.url}{QUOTES}/board/add/")
        page.get_by_label("Title").fill("Bonds")
        page.get_by_role("button", name="Save", exact=True).click()
        page.locator(".messagelist .success").wait_for()
        assert not findings(page)
