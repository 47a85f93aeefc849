"""The day of an operator in Chromium: each edit in the admin, and what an open board shows of it.

The operator follows docs/operations.md: each task names the links, buttons and fields of its steps
in the order of the document. The tests do it on a small site, and `make bench` on large ones, with
the seconds of each edit.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain

from playwright.sync_api import Locator, expect

from tests.browser.conftest import STAFF, Exchange
from tests.browser.tab import Tab
from tests.servers import ROOT

COLUMNS = "symbol,name,kind,exchange,currency,coinbase\n"
GOOD = """DOGE-USD,Daily dog,crypto,CRYPTO,USD,DOGE-USD
SOL-USD,Daily sun,crypto,CRYPTO,USD,SOL-USD
"""
WRONG = GOOD + "BTC-EUR,Bitcoin,stick,CRYPTO,EUR,BTC-EUR\n"
STEP = re.compile(r"^\d\. (.*(?:\n   .*)*)", re.MULTILINE)


def sources(exchange: Exchange) -> dict[str, str]:
    """Return the settings of a site for this day: the stub exchange, and a simulated market."""
    return {
        "QUOTES_PROVIDERS": "coinbase,simulated",
        "COINBASE_REST_URL": f"http://{exchange.host}",
        "COINBASE_WS_URL": f"ws://{exchange.host}",
    }


def steps(task: str) -> list[list[str]]:
    """Return the names of links, buttons and fields in each step of a task, in order."""
    text = (ROOT / "docs" / "operations.md").read_text().partition(f"### {task}\n")[2]
    return [re.findall("“([^”]+)”", step) for step in STEP.findall(text.partition("\n### ")[0])]


class Day:
    """An operator at work in the admin, with an open board and an open search of it."""

    def __init__(self, url: str, exchange: Exchange, board: str, new: Callable[[], Tab]) -> None:
        self.url, self.exchange, self.new = url, exchange, new
        self.desk = new().open(f"{url}/admin/").page
        self.board = new().open(f"{url}/boards/{board}/").live()
        self.found = new().open(f"{url}/boards/{board}/?q=daily").live()
        self.title = self.board.page.get_by_role("heading", level=1).inner_text()
        self.used: list[str] = []  # names of links, buttons and fields, in this task
        self.seconds: dict[str, float] = {}  # from an edit until the board showed it

    def work(self) -> None:
        """Do all of it, in an order in which each part needs the ones before."""
        self.sign_in()
        self.add_by_name()
        self.refuse_a_duplicate()
        self.load_a_file()
        self.fill_a_board()
        self.rename()
        self.override()
        self.accept()
        self.enter_a_split()
        self.merge()
        self.switch_off()

    def sign_in(self) -> None:
        """Sign in as Alice."""
        self.field("Username").fill(STAFF["DJANGO_SUPERUSER_USERNAME"])
        self.field("Password").fill(STAFF["DJANGO_SUPERUSER_PASSWORD"])
        self.press("Log in")
        expect(self.desk.get_by_role("button", name="Log out")).to_be_visible()

    def add_by_name(self) -> None:
        """Find a symbol in the lists of providers, and put it on the board."""
        with self.task("How do I add or remove a symbol?"):
            self.section("Symbols")
            self.follow("Add symbol")
            self.press("Read the lists now", beside=True)
            expect(self.desk.locator(".messagelist .success")).to_contain_text("instruments")
            self.desk.get_by_label("Code, name or ISIN").fill("tiny")
            self.desk.keyboard.press("Enter")
            self.follow("Add", " TINY-USD")
            places = self.desk.locator("#places-group")
            expect(places.get_by_role("heading", name=self.use("Boards"))).to_be_visible()
            places.locator("select").first.select_option(self.title)
            places.get_by_label("Position").first.fill("1")  # the board is longer than its page
            with self.shown("add by name", "Save", beside=True):
                self.board.row("TINY-USD").wait_for()
        self.wait_for_price(self.board, "TINY-USD", "0.0000123400")

    def refuse_a_duplicate(self) -> None:
        """Try to add a symbol that is there under a code that only looks unlike it."""
        self.go("symbol/add/?code=TINY.USD&name=Tiny&kind=crypto&exchange=CRYPTO&currency=USD")
        with self.desk.expect_navigation():  # the form shows the same before it is saved
            self.press("Save")
        shown = self.desk.get_by_role("region", name="What contradicts this symbol")
        expect(shown).to_contain_text("TINY-USD")

    def load_a_file(self) -> None:
        """Load a file with an error, then without it."""
        self.go("symbol/load/")
        self.send(COLUMNS + WRONG)
        self.press("Load")
        expect(self.desk.locator(".errorlist")).to_contain_text("line 4")
        expect(self.found.row("DOGE-USD")).to_have_count(0)
        with self.task("How do I load symbols?"):
            self.section("Symbols")
            self.follow("Load from a file")
            self.send(COLUMNS + GOOD)
            self.press("Show what would be done")
            expect(self.desk.locator("#outcomes")).to_contain_text("SOL-USD")
            with self.shown("load a file", "Load"):
                for code in ("DOGE-USD", "SOL-USD"):
                    self.found.row(code).wait_for()

    def fill_a_board(self) -> None:
        """Make a board that fills itself."""
        with self.task("How does a board fill itself?"):
            self.section("Boards")
            self.follow("Add board")
            self.field("Title").press_sequentially("Fallen")
            expect(self.field("Slug")).to_have_value("fallen")
            self.use("Shows")
            self.desk.get_by_label("the largest falls").check()
            self.desk.get_by_label("Number of symbols").fill("5")
            self.press("Show what the rule finds")
            expect(self.desk.get_by_role("heading", name="The rule finds")).to_be_visible()
            with self.desk.expect_navigation():
                self.press("Save")
        expect(self.desk.locator(".messagelist .success")).to_contain_text("Fallen")
        page = self.new().page
        while not page.goto(f"{self.url}/boards/fallen/").ok:
            pass
        expect(page.locator("tr.quote").first).to_be_visible()
        page.close()

    def rename(self) -> None:
        """Give a symbol another code; the old one leads to it."""
        with self.task("How do I rename a symbol?"):
            self.open("TINY-USD")
            self.field("Symbol").fill("LITTLE-USD")
            with self.shown("rename", "Save"):
                self.board.row("LITTLE-USD").wait_for()
        expect(self.board.row("TINY-USD")).to_have_count(0)

    def override(self) -> None:
        """Fix a price, and end that."""
        with self.task("How do I override a price?"):
            self.section("Overrides")
            self.follow("Add override")
            self.choose("LITTLE-USD")
            self.field("Kind").select_option("price")
            self.field("Price").fill("7.5")
            self.field("Label").fill("Daily fix")
            ends = self.desk.locator(".field-ends", has_text=self.use("Ends"))
            ends.locator("input").first.fill("2099-12-31")
            ends.locator("input").last.fill("12:00")
            with self.shown("override", "Save"):
                self.wait_for_price(self.board, "LITTLE-USD", "7.5")
            self.desk.locator("#action-toggle").check()
            self.act("End now")
            with self.shown("end of an override", "Go"):
                self.wait_for_price(self.board, "LITTLE-USD", "0.0000123400")

    def merge(self) -> None:
        """Merge two symbols that are the same."""
        with self.task("How do I merge two symbols?"):
            self.open("DOGE-USD")
            self.follow("Merge into another symbol")
            self.choose("SOL-USD")
            self.press("Show what will move")
            with self.shown("merge", "Merge", " DOGE-USD into SOL-USD"):
                self.found.row("DOGE-USD").wait_for(state="detached")

    def accept(self) -> None:
        """Accept a price that the feed holds back because it jumped."""
        self.exchange.tick("TINY-USD", "0.0000400000")
        with self.task("How do I accept or reject a held price?"):
            self.section("Held prices")
            row = self.desk.locator("#result_list tbody tr", has_text="LITTLE-USD").first
            while not row.is_visible():
                self.desk.reload()
            row.locator("input[type=checkbox]").check()
            self.act("Accept")
            self.use("Reject")
            with self.shown("accept a held price", "Go"):
                self.wait_for_price(self.board, "LITTLE-USD", "0.0000400000")

    def enter_a_split(self) -> None:
        """Enter a split; then the price that it explains is not held back."""
        with self.task("How do I enter a split?"):
            self.open("LITTLE-USD")
            splits = self.desk.locator("#splits-group")
            expect(splits.get_by_role("heading", name=self.use("Splits"))).to_be_visible()
            splits.get_by_text(self.use("Add another Split"), exact=True).click()
            row = splits.locator("#splits-0")
            row.get_by_label(self.use("Day")).fill(f"{datetime.now(UTC).date()}")
            row.get_by_label(self.use("New shares")).fill("4")
            row.get_by_label(self.use("Old shares")).fill("1")
            with self.shown("enter a split", "Save"):
                self.exchange.tick("TINY-USD", "0.0000100000")
                self.wait_for_price(self.board, "LITTLE-USD", "0.0000100000")

    def switch_off(self) -> None:
        """Switch a symbol off, with a reason, and undo that."""
        with self.task("How do I change many symbols at once?"):
            self.section("Symbols")
            self.search("LITTLE-USD")
            self.desk.locator("#action-toggle").check()
            self.act("Switch off")
            self.press("Go")
            self.field("Reason").fill("Delisted")
            with self.shown("deactivate", "Switch off", ": 1 symbol"):
                self.board.row("LITTLE-USD").wait_for(state="detached")
            self.desk.locator(".messagelist").get_by_role("link", name=self.use("Undo")).click()
            with self.shown("undo", "Undo"):
                self.board.row("LITTLE-USD").wait_for()

    # The means of the operator

    @contextmanager
    def task(self, heading: str) -> Iterator[None]:
        """Do a task of the document; fail unless all that its steps name was used in order."""
        self.used = []
        yield
        assert self.used == [*chain.from_iterable(steps(heading))], heading

    def use(self, name: str) -> str:
        """Note that the name of a link, a button or a field was used, and return it."""
        self.used.append(name)
        return name

    def go(self, path: str) -> None:
        """Open a page of the admin."""
        self.desk.goto(f"{self.url}/admin/quotes/{path}")

    def section(self, name: str) -> None:
        """Open a list from the home page."""
        self.desk.goto(f"{self.url}/admin/")
        self.desk.locator("#content-main").get_by_role("link", name=self.use(name)).first.click()

    def open(self, code: str) -> None:
        """Open the form of a symbol, by a search in the list."""
        self.section("Symbols")
        self.search(code)
        self.desk.get_by_role("link", name=code, exact=True).click()

    def search(self, words: str) -> None:
        """Search a list."""
        self.desk.locator("#searchbar").fill(words)
        self.desk.keyboard.press("Enter")
        self.desk.wait_for_url("**?q=**")

    def act(self, action: str) -> None:
        """Choose an action for the rows that are checked."""
        self.desk.locator("select[name=action]").select_option(label=self.use(action))

    def follow(self, link: str, rest: str = "") -> None:
        """Follow a link whose name begins like that in the document, and ends with the rest."""
        self.desk.locator("#content").get_by_role("link", name=self.use(link) + rest).first.click()

    def button(self, button: str, rest: str = "", *, beside: bool = False) -> Locator:
        """Return a button; `beside` the steps of the document."""
        name = (button if beside else self.use(button)) + rest
        return self.desk.get_by_role("button", name=name, exact=True).first

    def press(self, button: str, *, beside: bool = False) -> None:
        """Press a button, without waiting for what it does."""
        self.button(button, beside=beside).click(no_wait_after=True)

    def field(self, label: str) -> Locator:
        """Return a field of the form."""
        return self.desk.get_by_label(re.compile(rf"^{self.use(label)}:?$"))

    def choose(self, code: str) -> None:
        """Choose a symbol in a field that searches."""
        self.desk.locator(".select2-selection").click()
        expect(self.desk.locator(".select2-search__field")).to_be_focused()
        self.desk.keyboard.type(code)
        self.desk.locator(".select2-results__option").get_by_text(code, exact=True).click()

    def send(self, content: str) -> None:
        """Choose a file of symbols for the board."""
        file = {"name": "symbols.csv", "mimeType": "text/csv", "buffer": content.encode()}
        self.field("File").set_input_files(file)
        self.field("Board").select_option(self.title)

    @contextmanager
    def shown(
        self, edit: str, button: str, rest: str = "", *, beside: bool = False
    ) -> Iterator[None]:
        """Press a button, and note the seconds until the board shows the edit."""
        pressed = self.button(button, rest, beside=beside)
        pressed.wait_for()  # else its page, which still loads, would be taken for the next one
        with self.desk.expect_navigation():  # else the next task would interrupt it
            begun = time.monotonic()
            pressed.click(no_wait_after=True)
            yield
            self.seconds[edit] = time.monotonic() - begun

    def wait_for_price(self, tab: Tab, code: str, price: str) -> None:
        """Wait until a page shows this price of a symbol."""
        tab.row(code).locator(f"data[value='{price}']").first.wait_for()
