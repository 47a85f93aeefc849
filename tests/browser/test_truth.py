"""The sources that a page names for its prices, in Chromium, with three sources."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Exchange, OpenTab
from tests.servers import Site, eventually, site

pytestmark = [pytest.mark.browser, pytest.mark.server]

PLACES = """[...document.querySelectorAll('tbody tr, tbody tr > *')]
    .map((place) => place.getBoundingClientRect().toJSON())"""
NAMES = ("coinbase", "kraken", "yahoo")


@pytest.fixture(scope="module")
def exchanges() -> Iterator[dict[str, Exchange]]:
    """The stubs of three sources."""
    running = {name: Exchange(name) for name in NAMES}
    yield running
    for each in running.values():
        each.process.stop()


@pytest.fixture(scope="module")
def fed(
    exchanges: dict[str, Exchange],
    tmp_path_factory: pytest.TempPathFactory,
    database_template: Path,
) -> Iterator[Site]:
    """The site with three sources, each a fallback of the one before."""
    env = {"QUOTES_PROVIDERS": ",".join(NAMES), "YAHOO_ACCEPT": "personal-use"}
    for name, exchange in exchanges.items():
        env[f"{name.upper()}_REST_URL"] = f"http://{exchange.host}"
        env[f"{name.upper()}_WS_URL"] = f"ws://{exchange.host}"
    folder = tmp_path_factory.mktemp("fed")
    patient = shutil.copy(database_template, folder / "patient.sqlite3")
    with closing(sqlite3.connect(patient)) as database, database:
        database.execute("UPDATE quotes_symbol SET stale_after = 86400")  # on a busy machine, too
    with site(folder, patient, "daphne", **env) as running:
        yield running


def test_pence_are_pounds_and_changes_show_their_reference(fed: Site, tab: OpenTab):
    shell = tab(fed.url + "/symbols/SHEL.L/").live().page
    expect(shell.locator(".panel-last")).to_have_text(re.compile(r"27\.435?0* GBP"))
    expect(shell.locator(".panel-move .quotes-since")).to_have_text("vs prev. close")
    expect(shell.locator(".quotes-sources")).to_contain_text("Yahoo Finance, read unofficially")
    board = tab(fed.url + "/boards/stock-market/?q=shell").live().page
    expect(board.locator(".count")).to_contain_text("Change: vs prev. close")


def test_a_row_shows_the_source_of_its_price_while_its_first_source_is_down(
    fed: Site, exchanges: dict[str, Exchange], tab: OpenTab
):
    page = tab(fed.url + "/boards/crypto/?q=bitcoin").live()
    row = page.row("BTC-USD")
    eventually(exchanges["coinbase"].heard, "the site listens to the first source")
    exchanges["coinbase"].tick("BTC-USD", "64321.09")
    expect(row.locator("data")).to_have_attribute("value", "64321.09")
    expect(row.locator("[data-field=state]")).to_have_text("")
    before, places = page.rows(), page.page.evaluate(PLACES)

    exchanges["coinbase"].close()
    expect(row.locator("[data-field=state]")).to_have_text("Kraken")
    exchanges["kraken"].tick("XXBTZUSD", "64300.5")
    expect(row.locator("data")).to_have_attribute("value", "64300.5")
    expect(page.page.locator(".note-outage")).to_contain_text("Prices from Coinbase unavailable")
    assert page.rows() == before
    assert page.page.evaluate(PLACES) == places
    symbol = tab(fed.url + "/symbols/BTC-USD/").live().page
    expect(symbol.locator(".panel-state")).to_contain_text("24/7 · via Kraken")
    expect(symbol.locator(".quotes-sources")).to_contain_text("Prices by Kraken")
    exchanges["coinbase"].mode("ok")
