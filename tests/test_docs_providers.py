"""Tests of docs/providers.md: its tables, its examples, and the provider written step by step."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings as site_settings
from pytest_django import DjangoDbBlocker

from quotes import catalogue
from quotes.models import ProviderSymbol, Symbol
from quotes.providers import REGISTRY, Instrument, make_provider, provider_class
from quotes.providers.kit.budgets import Plan
from quotes.providers.kit.rows import FIELDS
from quotes.quote import Quote
from quotes.quote.values import MINOR_UNITS, PENCE
from tests.providers.contract import PROMPT, FaultContract, ProviderContract, stub_of
from tests.servers import PATIENCE, ROOT, Postgres, Site, eventually
from tests.stubs import database
from tests.stubs.exchange import Bench, Exchange

TEXT = (ROOT / "docs" / "providers.md").read_text()


def section(title: str) -> str:
    """Return the part of the document below the heading that begins with a title."""
    _, _, rest = TEXT.partition(f"\n## {title}")
    return rest.partition("\n## ")[0]


def snippets(language: str, text: str = TEXT) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def tables() -> list[dict[str, list[str]]]:
    """Return the tables of the document: cells by provider."""
    found: list[dict[str, list[str]]] = []
    for line in TEXT.splitlines():
        if line.startswith("| provider |"):
            found.append({})
        elif row := re.match(r"\| `(\w+)` \| (.*) \|$", line):
            found[-1][row[1]] = row[2].split(" | ")
    return found


FIRST, SECOND = tables()


def exported(block: str) -> dict[str, str]:
    """Return the variables that a block of shell sets."""
    pairs = (line.removeprefix("export ").partition("=") for line in block.splitlines())
    return {name: value.strip('"') for name, _, value in pairs}


def options(provider: str, block: str) -> dict[str, str]:
    """Return the options of a provider that a block of shell sets, as the site reads them."""
    given = exported(block)
    names = {name: f"{provider}_{name}".upper() for name in provider_class(provider).option_names()}
    return {name: given[variable] for name, variable in names.items() if variable in given}


# the tables


def test_every_announced_provider_has_a_row_in_both_tables() -> None:
    announced = set(re.findall(r"`(\w+)`", (ROOT / "CHANGELOG.md").read_text()))
    assert announced & REGISTRY.keys() <= FIRST.keys() <= REGISTRY.keys()
    assert list(FIRST) == list(SECOND) == sorted(FIRST)


@pytest.mark.parametrize("name", FIRST)
def test_the_table_has_the_streams_and_the_poll_intervals(name: str) -> None:
    comes, provider = FIRST[name][2], provider_class(name)
    assert comes.startswith("as a stream") == provider.streams
    assert f"polled every {provider.poll_interval:g} s" in comes


@pytest.mark.parametrize("name", FIRST)
def test_the_table_has_the_limits(name: str) -> None:
    limits, plan = SECOND[name][0], provider_class(name).plan
    numbers = [plan.per_minute, plan.batch if plan.batch != 1 else None]
    assert all(str(number) in limits for number in numbers if number)
    assert ("a minute" in limits) == (plan != Plan())


@pytest.mark.parametrize("name", FIRST)
def test_the_table_names_every_variable(name: str) -> None:
    named = set(re.findall(r"`([A-Z_]{3,})`", SECOND[name][2]))
    assert named == {f"{name}_{option}".upper() for option in provider_class(name).option_names()}


@pytest.mark.parametrize("name", FIRST)
def test_the_table_has_the_providers_that_need_a_key(name: str) -> None:
    required = any("key" in option for option in provider_class(name).option_names())
    assert (FIRST[name][1] == "none") == (not required and name != "yahoo")


# the codes


@pytest.mark.django_db
def test_the_snippet_makes_codes_for_many_symbols() -> None:
    Symbol.objects.create(code="AAPL", name="Apple Inc.", kind="stock", currency="USD")
    Symbol.objects.create(code="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")
    [snippet] = snippets("python", section("Codes of symbols"))
    for _ in range(2):
        exec(snippet, {})
    assert [str(row) for row in ProviderSymbol.objects.all()] == ["database:AAPL"]


def test_it_names_the_providers_whose_codes_the_catalogue_has() -> None:
    [sentence] = re.findall(r"catalogue contains codes for([^.]+)\.", TEXT)
    with catalogue.STARTER.open("rb") as file:
        brought = {name for entry in catalogue.read(file).entries for name in entry.codes}
    assert set(re.findall(r"`(\w+)`", sentence)) == brought


# the table of another program

TABLE = section("Quotes from a table")


def check_the_row(quotes: list[Quote]) -> None:
    [quote] = quotes
    assert (str(quote.symbol), quote.last) == ("AAPL", pytest.approx(101.25))
    assert quote.source_time
    assert quote.source_time.isoformat() == "2026-11-23T14:30:00+00:00"


@pytest.fixture
def unblocked(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture(params=["sqlite", "postgres"])
def prices(
    request: pytest.FixtureRequest, unblocked: None, tmp_path: Path
) -> Iterator[database.Table]:
    """The table of the document, in each database."""
    if request.param == "sqlite":
        made = database.sqlite(tmp_path / "prices.sqlite3")
    else:
        server: Postgres = request.getfixturevalue("shared_postgres")
        made = database.postgres(server.url, server.port)
    with made as table:
        table.run("DROP TABLE prices")
        for statement in snippets("sql", TABLE)[0].strip().rstrip(";").split(";\n"):
            table.run(statement)
        yield table


async def test_the_query_of_the_environment_reads_the_table(prices: database.Table) -> None:
    [block] = snippets("sh", TABLE)
    given = options("database", block) | {"alias": prices.alias}
    quotes = await make_provider("database", given).quotes(
        [Instrument(symbol="AAPL", code="AAPL", kind="stock")]
    )
    check_the_row(quotes)
    assert quotes[0].change == pytest.approx(1.25)


async def test_the_settings_for_another_database_read_it(prices: database.Table) -> None:
    settings: dict[str, Any] = {}
    exec(snippets("python", TABLE)[0], settings)
    given = settings["QUOTES"]["PROVIDER_OPTIONS"]["database"]
    assert given["alias"] in settings["DATABASES"]
    assert (
        settings["DATABASES"]["default"]["ENGINE"] == site_settings.DATABASES["default"]["ENGINE"]
    )
    provider = make_provider("database", given | {"alias": prices.alias})
    check_the_row(await provider.quotes([Instrument(symbol="AAPL", code="AAPL", kind="stock")]))
    assert provider.poll_interval == 2


def test_every_column_is_named() -> None:
    named = set(re.findall(r"`(\w+)`", TABLE))
    assert set(FIELDS) <= named
    assert PENCE in named
    assert MINOR_UNITS.keys() <= {name.upper() for name in named}


# any JSON

JSON = section("Quotes from any JSON")
SHAPES = list(zip(snippets("json", JSON), snippets("sh", JSON), strict=True))


class Fixed(Exchange):
    """A server that answers all requests with one document."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.document = json.loads(document)

    def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        return 200, self.document


@pytest.mark.parametrize(("document", "block"), SHAPES, ids=["one", "some", "all"])
async def test_each_shape_of_json_is_read(document: str, block: str) -> None:
    instruments = [Instrument(symbol="BTC-USD", code="BTC-USD")]
    async with Fixed(document) as stub:
        given = options("http", block)
        given["url"] = given["url"].replace("https://prices.example", stub.rest_url)
        provider = make_provider("http", given)
        [quote] = await provider.quotes(instruments)
        await provider.aclose()
    assert f"{quote.last:.2f}" == "64000.10"
    assert quote.currency == "USD"
    if '"at"' in document:
        assert quote.source_time
        assert quote.source_time.isoformat() == "2026-11-23T12:30:00+00:00"
    [path] = stub.requests
    assert path in ("/spot/BTC-USD", "/quotes", "/all.json")


async def test_the_settings_for_json_read_it() -> None:
    settings: dict[str, Any] = {}
    exec(snippets("python", JSON)[0], settings)
    given = settings["QUOTES"]["PROVIDER_OPTIONS"]["http"]
    async with Fixed(SHAPES[2][0]) as stub:
        given["url"] = given["url"].replace("https://prices.example", stub.rest_url)
        provider = make_provider("http", given | {"key": "Bearer abc"})
        instruments = [Instrument(symbol="BTC-EUR", code="BTC-EUR", currency="EUR")]
        [quote] = await provider.quotes(instruments)
        await provider.aclose()
    assert (str(quote.last), quote.currency) == ("59000.00", "EUR")
    assert stub.headers["Authorization"] == "Bearer abc"


@pytest.mark.server
async def test_a_site_shows_the_prices_of_the_environments_providers(
    tmp_path: Path, database_template: Path
) -> None:
    shutil.copy(database_template, tmp_path / "site.sqlite3")
    with sqlite3.connect(tmp_path / "site.sqlite3") as connection:
        connection.executescript(snippets("sql", TABLE)[0])
        connection.executescript(
            "INSERT INTO quotes_providersymbol (symbol_id, provider, code) "
            "SELECT id, 'database', 'AAPL' FROM quotes_symbol WHERE code = 'AAPL';"
            "INSERT INTO quotes_providersymbol (symbol_id, provider, code) "
            "SELECT id, 'http', 'BTC-USD' FROM quotes_symbol WHERE code = 'BTC-USD';"
        )
    connection.close()
    async with Fixed(SHAPES[1][0]) as stub:
        env = exported(snippets("sh", TABLE)[0]) | exported(SHAPES[1][1])
        env["HTTP_URL"] = env["HTTP_URL"].replace("https://prices.example", stub.rest_url)
        env["QUOTES_PROVIDERS"] = "database,http"
        site = Site(tmp_path, **env)
        try:
            await asyncio.to_thread(site.start)
            for symbol, shown in (("AAPL", "101.25"), ("BTC-USD", "64,000.10")):
                await asyncio.to_thread(
                    eventually, lambda s=symbol, t=shown: t in site.get(f"/symbols/{s}/"), shown
                )
        finally:
            await asyncio.to_thread(site.stop)


# a provider of your own

STEPS = snippets("python", section("A provider of your own"))
BLOCKS = {block.partition("\n")[0].removeprefix("# "): block for block in STEPS}


@pytest.fixture
def mint(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The bench that the three steps make, for one test."""
    monkeypatch.setitem(REGISTRY, "mint", "")  # removed again after the test
    for path in ("mysite/mint.py", "tests/stubs/mint.py"):
        made = ModuleType(path.removesuffix(".py").replace("/", "."))
        monkeypatch.setitem(sys.modules, made.__name__, made)
        exec(compile(BLOCKS[path], path, "exec"), vars(made))
    monkeypatch.setitem(sys.modules, "mysite", ModuleType("mysite"))
    exec(BLOCKS["mysite/settings.py"], {})
    return stub_of("mint").bench


class TestTheExample(ProviderContract):
    @pytest.fixture
    async def bench(self, mint: Any) -> AsyncIterator[Bench]:
        async with mint() as bench:
            yield bench


class TestTheExampleWithASource(FaultContract):
    @pytest.fixture
    async def bench(self, request: pytest.FixtureRequest, mint: Any) -> AsyncIterator[Bench]:
        case = getattr(request.node, "callspec", None)
        short = case is not None and case.params["fault"] not in PROMPT
        async with mint(patience=0.2 if short else PATIENCE) as bench:
            yield bench


def test_the_three_steps_are_three_files(mint: Any) -> None:
    assert list(BLOCKS) == ["mysite/mint.py", "mysite/settings.py", "tests/stubs/mint.py"]
    assert provider_class("mint").option_names() == ["rest_url"]
