"""A file that takes long is loaded in sight of its operator, who can stop it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import SEEDED, STAFF, OpenTab
from tests.servers import Postgres, Site, site
from tests.symbols import many_shares

pytestmark = [pytest.mark.browser, pytest.mark.server]

LOAD = "/admin/quotes/symbol/load/"
RECENT = "/admin/quotes/load/"
ADD_ALICE = ("createsuperuser", "--noinput", "--verbosity", "0")
LEFT = "from quotes.models import Symbol as S; print(S.objects.filter(name='A share 0').count())"
COUNT = "SELECT count(*) FROM quotes_symbol WHERE code LIKE 'MANY%'"


@contextmanager
def office(folder: Path, template: Path, server: str = "daphne") -> Iterator[Site]:
    """A site of which Alice is the operator."""
    with site(folder, template, server, **SEEDED, **STAFF) as running:
        running.manage(*ADD_ALICE)
        yield running


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, database_template: Path) -> Iterator[Site]:
    """A site in which these tests change next to nothing."""
    with office(tmp_path_factory.mktemp("desk"), database_template) as running:
        yield running


def sign_in(page: Page, url: str) -> None:
    """Sign in as Alice, and open a page."""
    page.goto(url)
    page.get_by_label("Username").fill(STAFF["DJANGO_SUPERUSER_USERNAME"])
    page.get_by_label("Password").fill(STAFF["DJANGO_SUPERUSER_PASSWORD"])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(url)


def choose(page: Page, button: str = "Load", rows: int = 20_000) -> None:
    """Choose a file, and load it or look at it."""
    content = many_shares(rows).encode()
    file = {"name": "many.csv", "mimeType": "text/csv", "buffer": content}
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name=button, exact=True).click()


def count(running: Site) -> int:
    """Return how many symbols of the file there are."""
    with closing(sqlite3.connect(running.folder / "site.sqlite3")) as database:
        return int(database.execute(COUNT).fetchone()[0])


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_the_progress_moves_and_ends_with_the_report(
    tmp_path: Path, database_template: Path, tab: OpenTab, server: str
):
    with office(tmp_path, database_template, server) as running:
        opened = tab()
        page = opened.page
        sign_in(page, running.url + LOAD)
        choose(page, "Show what would be done")
        expect(page.get_by_role("heading", name="“many.csv” is compared")).to_be_visible()
        expect(page.get_by_role("status")).to_have_text(re.compile("Step [12] of 2: "))
        expect(page.get_by_role("heading", name="What would be done")).to_be_visible()
        assert count(running) == 0
        page.get_by_role("button", name="Load", exact=True).click()
        bar = page.get_by_role("progressbar", name="Progress")
        first = float(bar.get_attribute("value") or "")
        expect(page.get_by_role("status")).to_have_text(re.compile("Step [2-6] of 6: "))
        assert float(bar.get_attribute("value") or "") > first
        other = tab(running.url + RECENT, context=page.context).page
        expect(other.get_by_role("cell", name="in progress")).to_be_visible()
        other.get_by_role("link", name="many.csv").click()
        for each in (page, other):
            expect(each.get_by_role("heading", name="What was done")).to_be_visible()
            expect(each.get_by_text("20,000 rows: 20,000 added")).to_be_visible()
        assert count(running) == 20_000
        page.reload()
        expect(page.get_by_role("row", name="MANY0 added stock-market")).to_be_visible()
        assert not opened.complaints


def test_cancel_stops_the_load_and_nothing_is_changed(desk: Site, tab: OpenTab):
    page = tab().page
    sign_in(page, desk.url + LOAD)
    choose(page)
    expect(page.get_by_role("status")).to_have_text(re.compile("Writing"))
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("alice cancelled “many.csv”. Nothing was changed.")).to_be_visible()
    expect(page.get_by_text("“many.csv” is kept for an hour")).to_be_visible()
    assert count(desk) == 0
    page.goto(desk.url + RECENT)
    expect(page.get_by_role("row", name="many.csv cancelled")).to_be_visible()


def test_a_load_whose_process_is_killed_has_no_result(
    tmp_path: Path, database_template: Path, tab: OpenTab
):
    with office(tmp_path, database_template) as running:
        page = tab().page
        sign_in(page, running.url + LOAD)
        choose(page)
        expect(page.get_by_role("status")).to_have_text(re.compile("Writing"))
        running.kill()
        running.start()
        lost = page.get_by_text("“many.csv” has no result, because the server")
        expect(lost).to_be_visible()  # the page asked again by itself
        assert count(running) == 0
        choose(page, rows=2)
        expect(page.get_by_text("2 rows: 2 added")).to_be_visible()


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_server_that_ends_stops_its_load_in_time(
    tmp_path: Path, database_template: Path, tab: OpenTab, server: str
):
    with office(tmp_path, database_template, server) as running:
        page = tab().page
        sign_in(page, running.url + LOAD)
        choose(page)
        expect(page.get_by_role("status")).to_have_text(re.compile("Writing"))
        progress = page.url
        page.goto("about:blank")  # asyncio logs what Django raises in a request that Daphne cuts
        assert running.stop()
        running.start()
        page.goto(progress)
        expect(page.get_by_text("“many.csv” has no result")).to_be_visible()
        assert count(running) == 0
        assert "Traceback" not in running.log.read_text()


def test_a_load_is_followed_and_cancelled_without_javascript(desk: Site, tab: OpenTab):
    page = tab(java_script_enabled=False).page
    sign_in(page, desk.url + LOAD)
    choose(page, "Show what would be done")
    expect(page.get_by_role("heading", name="What would be done")).to_be_visible()
    page.get_by_role("button", name="Load", exact=True).click()
    expect(page.get_by_role("status")).to_have_text(re.compile("Step [2-6] of 6: "))
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("alice cancelled “many.csv”")).to_be_visible()
    assert count(desk) == 0


def test_an_answer_without_the_progress_leaves_the_last_one(desk: Site, tab: OpenTab):
    page = tab().page
    sign_in(page, desk.url + LOAD)
    choose(page)

    def refuse(route: Route) -> None:
        route.fulfill(status=503, content_type="text/html", body="<p>This server ends</p>")

    expect(page.get_by_role("status")).to_have_text(re.compile("Step"))
    page.route(page.url, refuse)
    with page.expect_response(page.url) as answer:
        assert answer.value.status == 503
    expect(page.get_by_role("status")).to_have_text(re.compile("Step"))
    page.unroute(page.url, refuse)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("alice cancelled “many.csv”")).to_be_visible()


def test_a_small_file_shows_no_progress(desk: Site, tab: OpenTab):
    page = tab().page
    sign_in(page, desk.url + LOAD)
    shown: list[str] = []
    page.on("response", lambda answer: shown.append(answer.url))
    choose(page, rows=50)
    expect(page.get_by_text("50 rows: 50 added")).to_be_visible()
    pages = [each for each in shown if LOAD in each]
    assert len(pages) == 2  # the request, and the report to which it leads


def test_errors_are_in_the_language_of_the_operator(desk: Site, tab: OpenTab):
    page = tab().page
    sign_in(page, desk.url + LOAD)
    page.set_extra_http_headers({"Accept-Language": "de"})
    page.reload()
    content = many_shares(3).replace("stock", "stonk").encode()
    file = {"name": "many.csv", "mimeType": "text/csv", "buffer": content}
    page.get_by_label("Datei").set_input_files(file)
    page.get_by_role("button", name="Laden", exact=True).click()
    expect(page.get_by_text("„many.csv“ kann nicht geladen werden.")).to_be_visible()
    errors = page.locator(".errorlist li")
    expect(errors).to_contain_text([f"Zeile {line}: kind: „stonk“ ist keine" for line in (2, 3, 4)])


def test_another_process_shows_the_progress_and_cancels(
    postgres_server: Postgres, tmp_path: Path, tab: OpenTab
):
    env = {"DATABASE_URL": postgres_server.url} | STAFF
    first, second = Site(tmp_path, "uvicorn", **env), Site(tmp_path, "uvicorn", **env)
    first.manage(*ADD_ALICE)
    try:
        first.start()
        second.start()
        page = tab().page
        sign_in(page, first.url + LOAD)
        choose(page)
        expect(page.get_by_role("status")).to_have_text(re.compile("Step"))
        page.goto(second.url + page.url.removeprefix(first.url))
        expect(page.get_by_role("status")).to_have_text(re.compile("Step [2-5] of 6: "))
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("alice cancelled “many.csv”. Nothing was changed.")).to_be_visible()
        assert second.manage("shell", "--verbosity", "0", "-c", LEFT).stdout == "0\n"
    finally:
        first.stop()
        second.stop()
