"""Quotes from a table that another program writes: real SQLite and real PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.db.backends.signals import connection_created
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoDbBlocker

from quotes.providers import Instrument, ProviderError, make_provider
from quotes.providers.database import MAX_ROWS, MAX_THREADS, Database, checked, exact
from quotes.quote import Quote
from tests.examples import examples
from tests.servers import Postgres, until
from tests.stubs.database import QUERY, Table, alias_of, postgres, sqlite

CLOSED_PORT = 1  # without a listener
EXAMPLE = "SELECT code, last FROM prices"
FOREVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "


def instrument(code: str, **more: Any) -> Instrument:
    return Instrument(symbol=code, code=code, kind="stock", **more)


@pytest.fixture(autouse=True)
def unblocked(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Table]:
    """A table in SQLite."""
    with sqlite(tmp_path / "prices.sqlite3") as table:
        table.write("AAPL", last="101.00")
        yield table


@pytest.fixture
def big(shared_postgres: Postgres) -> Iterator[Table]:
    """A table in PostgreSQL."""
    with postgres(shared_postgres.url, shared_postgres.port) as table:
        table.write("AAPL", last=Decimal("101.00"))
        yield table


@pytest.fixture(params=["small", "big"])
def table(request: pytest.FixtureRequest) -> Table:
    """A table in SQLite, then one in PostgreSQL."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def reader(table: Table, query: str = QUERY, **options: Any) -> Database:
    return Database(table.alias, query, **options)


async def poll(provider: Database, *codes: str) -> list[Quote]:
    return await provider.quotes([instrument(code) for code in codes or ("AAPL",)])


async def failure(provider: Database, *codes: str) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await poll(provider, *codes)
    return caught.value


# prices and times


async def test_a_row_becomes_a_quote_to_the_last_digit(table: Table) -> None:
    table.write(
        "AAPL",
        last="101.000000000000000001",
        bid="100.99",
        ask="101.0100",
        open="99.5",
        high="102",
        low="99",
        reference="100.00",
        volume="123456789.123456789",
        time="2026-11-23T11:59:59.123456Z",
        currency="USD",
    )
    (quote,) = await poll(reader(table))
    assert quote == Quote(
        symbol="AAPL",
        provider="database",
        currency="USD",
        last=Decimal("101.000000000000000001"),
        received_at=quote.received_at,
        source_time=datetime(2026, 11, 23, 11, 59, 59, 123456, tzinfo=UTC),
        bid=Decimal("100.99"),
        ask=Decimal("101.0100"),
        open=Decimal("99.5"),
        high=Decimal(102),
        low=Decimal(99),
        reference=Decimal("100.00"),
        reference_kind="prev_close",
        volume=Decimal("123456789.123456789"),
    )
    assert str(quote.last) == "101.000000000000000001"
    assert str(quote.ask) == "101.0100"


async def test_the_next_poll_reads_the_newest_row(table: Table) -> None:
    provider = reader(table)
    assert [str(quote.last) for quote in await poll(provider)] == ["101.00"]
    table.write("AAPL", last="102.00")
    assert [str(quote.last) for quote in await poll(provider)] == ["102.00"]


@pytest.mark.parametrize("price", ["64000.1", "0.00001234", "123456789.12345", "7", "1e-7"])
async def test_a_binary_fraction_keeps_its_digits(tmp_path: Path, price: str):
    with sqlite(tmp_path / "real.sqlite3", number="REAL") as table:
        table.write("AAPL", last=price)
        (quote,) = await poll(reader(table))
    assert quote.last == Decimal(price)


@given(st.decimals(min_value=Decimal("1e-6"), max_value=Decimal(10**9), places=6))
def test_fifteen_digits_survive_a_binary_fraction(price: Decimal) -> None:
    assert Decimal(exact(float(price))) == price


async def test_a_time_without_a_zone_is_utc(big: Table) -> None:
    big.run("ALTER TABLE prices ALTER time TYPE timestamp")
    big.write("AAPL", last="101", time=datetime(2026, 11, 23, 11, 59, 59))
    (quote,) = await poll(reader(big))
    assert quote.source_time == datetime(2026, 11, 23, 11, 59, 59, tzinfo=UTC)


async def test_a_time_with_a_zone_is_converted_to_utc(big: Table) -> None:
    big.write("AAPL", last="101", time="2026-11-23T12:59:59+01:00")
    (quote,) = await poll(reader(big))
    assert quote.source_time == datetime(2026, 11, 23, 11, 59, 59, tzinfo=UTC)
    assert quote.source_time.utcoffset() == timedelta(0)


@pytest.mark.parametrize("kind", ["TEXT", "DATETIME", "TIMESTAMP"])
@pytest.mark.parametrize("written", ["2026-11-23 11:59:59", "2026-11-23T12:59:59+01:00"])
async def test_sqlite_keeps_times_as_text(tmp_path: Path, kind: str, written: str) -> None:
    with sqlite(tmp_path / "times.sqlite3", time=kind) as table:
        table.write("AAPL", last="101", time=written)
        (quote,) = await poll(reader(table))
    assert quote.source_time == datetime(2026, 11, 23, 11, 59, 59, tzinfo=UTC)


async def test_an_invalid_time_is_an_error(small: Table) -> None:
    small.write("AAPL", last="101.00", time="yesterday")
    small.write("MSFT", last="400.00")
    provider = reader(small)
    assert [quote.symbol for quote in await poll(provider, "AAPL", "MSFT")] == ["MSFT"]
    assert "has an invalid time: 'yesterday'" in provider.standing.unknown["AAPL"]


async def test_pence_become_pounds(table: Table) -> None:
    table.write("VOD.L", last="8012.5", currency="GBp", volume="10")
    (quote,) = await poll(reader(table), "VOD.L")
    assert (str(quote.last), quote.currency, quote.volume) == ("80.125", "GBP", 10)


# rows and codes


async def test_a_code_without_a_row_is_unknown_until_it_has_one(table: Table) -> None:
    provider = reader(table)
    assert [quote.symbol for quote in await poll(provider, "NOPE", "AAPL")] == ["AAPL"]
    assert provider.standing.unknown == {"NOPE": "NOPE is not among the rows"}
    table.write("NOPE", last="7")
    assert len(await poll(provider, "NOPE", "AAPL")) == 2
    assert provider.standing.unknown == {}


async def test_a_query_may_return_all_rows_and_more_columns(table: Table) -> None:
    table.write("MSFT", last="400.00")
    provider = reader(table, "SELECT *, 1 AS other FROM prices;")
    assert [quote.symbol for quote in await poll(provider)] == ["AAPL"]


async def test_the_last_of_two_rows_of_a_code_counts(table: Table) -> None:
    table.add("AAPL", last="102.00", volume="2")
    for order, last in (("ASC", "102.00"), ("DESC", "101.00")):
        (quote,) = await poll(reader(table, f"SELECT code, last FROM prices ORDER BY last {order}"))
        assert str(quote.last) == last


async def test_a_query_may_contain_the_codes_several_times(table: Table) -> None:
    query = (
        "SELECT code, last FROM prices WHERE code IN (%(codes)s) AND code NOT LIKE '%%PL_' "
        "UNION ALL SELECT code, last FROM prices WHERE code IN (%(codes)s)"
    )
    assert [quote.symbol for quote in await poll(reader(table, query), "AAPL", "X")] == ["AAPL"]


async def test_a_query_without_codes_is_sent_unchanged(table: Table) -> None:
    query = "SELECT code, last FROM prices WHERE code LIKE 'A%' AND 7 % 2 = 1"
    assert [quote.symbol for quote in await poll(reader(table, query))] == ["AAPL"]


@pytest.mark.parametrize("code", ["'; DROP TABLE prices; --", "%s", "%(codes)s", "A'B", "Ä€"])
async def test_a_code_is_a_value_and_never_sql(table: Table, code: str) -> None:
    table.write(code, last="5")
    assert [str(quote.last) for quote in await poll(reader(table), code)] == ["5"]
    assert table.run("SELECT count(*) FROM prices") == [(2,)]


async def test_columns_may_have_a_fixed_width_and_capitals(big: Table) -> None:
    big.run("ALTER TABLE prices ALTER code TYPE char(12)")
    assert [q.symbol for q in await poll(reader(big, 'SELECT code AS "CODE", last FROM prices'))]


async def test_two_symbols_may_share_a_code(small: Table) -> None:
    instruments = [instrument("AAPL"), Instrument(symbol="APPLE", code="AAPL")]
    assert [q.symbol for q in await reader(small).quotes(instruments)] == ["AAPL", "APPLE"]


async def test_no_instruments_run_no_query() -> None:
    assert await Database("default", "SELECT nothing FROM nowhere").quotes([]) == []


# errors at the start


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alias": "pricse", "query": EXAMPLE}, "Unexpected alias 'pricse' .* DATABASES: default"),
        ({}, r"needs the option query, like SELECT code, last, time FROM prices WHERE code IN"),
        ({"query": " ; "}, "needs the option query"),
        ({"query": EXAMPLE, "interval": "often"}, "Unexpected interval 'often', must be a number"),
        ({"query": f"{EXAMPLE} WHERE code = %(code)s"}, r"Unexpected '%\(code\)s' in the query"),
        (
            {"query": f"{EXAMPLE} WHERE code IN (%(codes)s) AND code LIKE 'A%'"},
            r"Unexpected \"%'\" in the query .*, must be %\(codes\)s, or %% for a percent sign",
        ),
        (
            {"query": "SELEKT code, last FROM prices"},
            "Unexpected 'SELEKT' at the start of the query .*, must be one of: SELECT, WITH",
        ),
        ({"query": "DELETE FROM prices RETURNING code, last"}, "Unexpected 'DELETE' at the start"),
        ({"query": "-- SELECT\n/* SELECT */ UPDATE prices SET last = 0"}, "Unexpected 'UPDATE'"),
        ({"query": "{code, last}"}, "Unexpected '{code, las' at the start"),
        ({"query": "/* SELECT"}, "Unexpected '/\\* SELECT' at the start"),
        ({"query": f"{EXAMPLE}; COMMIT; DELETE FROM prices"}, "Unexpected ';' .*one statement"),
        (
            {"query": EXAMPLE, "colour": "blue"},
            "Unknown option 'colour' of the database provider, must be one of: ",
        ),
    ],
)
def test_an_invalid_option_is_refused_with_a_reason(options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_provider("database", options)


def test_a_query_may_end_with_a_semicolon() -> None:
    assert checked(f" {EXAMPLE} ; ") == EXAMPLE


@pytest.mark.parametrize(
    "query",
    [
        "select code, last from prices",
        "\n  -- today's; prices\n/* of; us */ SELECT code, last FROM prices ; -- all",
        "(SELECT code, last FROM prices) UNION (SELECT code, last FROM more)",
        "WITH new AS (SELECT * FROM prices) SELECT code, last FROM new",
        "SELECT code, last FROM prices WHERE code <> 'a;b' AND \"odd;name\" = 1",
    ],
)
def test_a_query_may_be_any_select(query: str) -> None:
    assert checked(query)


async def test_the_check_runs_the_query_without_a_code(table: Table) -> None:
    await reader(table).check()
    await reader(table, EXAMPLE).check()
    with pytest.raises(ProviderError, match=r"failed: .*nowhere"):
        await reader(table, "SELECT nope FROM nowhere").check()
    with pytest.raises(ProviderError, match="has no column 'last', only: code, bid"):
        await reader(table, "SELECT code, bid FROM prices").check()


def test_options_may_be_text_from_the_environment() -> None:
    provider = make_provider("database", {"query": EXAMPLE, "interval": "2.5"})
    assert provider.poll_interval == 2.5


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT code, bid FROM prices", "has no column 'last', only: code, bid. It must have"),
        ("SELECT last FROM prices", "has no column 'code', only: last. It must have code and last"),
        ("SELECT last AS price FROM prices WHERE 1=0", "rename a column, like SELECT ticker AS"),
    ],
)
async def test_a_missing_column_is_named(table: Table, query: str, words: str) -> None:
    error = await failure(reader(table, query))
    assert words in str(error)
    assert not error.refused  # the other program may be recreating its table


async def test_a_failed_query_has_the_words_of_the_database(table: Table) -> None:
    error = await failure(reader(table, "SELECT code, last FROM nowhere"))
    assert str(error).startswith(f"the query on '{table.alias}' failed: ")
    assert "nowhere" in str(error)
    assert "\n" not in str(error)


async def test_a_query_without_columns_is_an_error(big: Table) -> None:
    error = await failure(reader(big, "SELECT FROM prices"))
    assert "has no column 'code', only: none" in str(error)


async def test_an_empty_table_is_an_error(table: Table) -> None:
    table.run("DELETE FROM prices")
    error = await failure(reader(table))
    assert str(error) == (
        "database has no price for any requested symbol: AAPL is not among the rows"
    )


async def test_a_driver_that_is_not_installed_is_an_error() -> None:
    with alias_of("odd", {"ENGINE": "no.such.engine", "NAME": "x"}):
        error = await failure(Database("odd", EXAMPLE))
    assert "no.such.engine" in str(error)


# no writes, few rows


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM prices RETURNING code, last",
        "UPDATE prices SET last = '1' RETURNING code, last",
        "INSERT INTO prices (code, last) VALUES ('X', '1') RETURNING code, last",
    ],
)
async def test_a_query_never_writes(table: Table, statement: str) -> None:
    # a statement may begin like a query and still write
    error = await failure(reader(table, f"WITH n(i) AS (SELECT 1) {statement}"))
    assert f"the query on '{table.alias}' failed: " in str(error)
    found = table.run("SELECT code, last FROM prices")
    assert [(code, str(last)) for code, last in found] == [("AAPL", "101.00")]


async def test_postgresql_itself_refuses_to_write(big: Table) -> None:
    big.run("CREATE SEQUENCE steps")
    error = await failure(reader(big, "SELECT nextval('steps')::text AS code, 1 AS last"))
    assert "read-only transaction" in str(error)


async def test_too_many_rows_are_not_read(table: Table) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
    query = f"{numbers} SELECT 'C' || i AS code, 1 AS last FROM n"
    provider = reader(table, query.format(MAX_ROWS))
    assert len(await poll(provider, f"C{MAX_ROWS}")) == 1
    error = await failure(reader(table, query.format(MAX_ROWS + 1)), "C1")
    assert f"more than {MAX_ROWS} rows: select the codes, like SELECT code" in str(error)


async def test_an_endless_result_is_not_read_to_the_end(table: Table) -> None:
    # SQLite computes one row at a time, and a cursor of PostgreSQL sends only fetched rows
    query = FOREVER + "SELECT 'C' || i AS code, 1 AS last FROM n"
    assert "more than" in str(await failure(reader(table, query)))


# the loop goes on


class Held:
    """SQLite's function `held()`, which counts its calls and returns when it is released."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.calls = 0

    def install(self, connection: Any, **kwargs: Any) -> None:
        connection.connection.create_function("held", 0, self.hold)

    def hold(self) -> int:
        self.calls += 1
        self.release.wait()
        return 1


@pytest.fixture
def held() -> Iterator[Held]:
    found = Held()
    connection_created.connect(found.install)
    yield found
    found.release.set()
    connection_created.disconnect(found.install)


HELD = "SELECT code, last FROM prices WHERE held()"


async def test_the_loop_goes_on_while_a_query_runs(small: Table, held: Held) -> None:
    task = asyncio.create_task(poll(reader(small, HELD)))
    await until(lambda: held.calls)
    assert not task.done()
    held.release.set()
    assert [quote.symbol for quote in await task] == ["AAPL"]


async def test_a_query_has_a_deadline(small: Table, held: Held) -> None:
    provider = reader(small, HELD, timeout=0.05)
    assert str(await failure(provider)) == (
        "the query on 'sqlite_prices' gave no complete answer within 0.05 s"
    )
    assert not held.release.is_set()


async def test_hanging_queries_do_not_pile_up(small: Table, held: Held) -> None:
    provider = reader(small, HELD, timeout=0.05)
    for _ in range(MAX_THREADS):
        assert "gave no complete answer" in str(await failure(provider))
    assert "exceeded its timeout 3 times and still runs" in str(await failure(provider))
    await until(lambda: held.calls == MAX_THREADS)
    held.release.set()
    await until(lambda: not any(thread.is_alive() for thread in provider.threads))
    provider.timeout = 5.0
    assert len(await poll(provider)) == 1


async def test_a_cancelled_request_ends_at_once(small: Table, held: Held) -> None:
    provider = reader(small, HELD)
    task = asyncio.create_task(poll(provider))
    await until(lambda: held.calls)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    held.release.set()
    await until(lambda: not provider.threads[0].is_alive())


async def test_a_hanging_query_does_not_delay_the_end_of_the_process(
    small: Table, held: Held
) -> None:
    provider = reader(small, HELD, timeout=0.05)
    await failure(provider)
    assert all(thread.daemon for thread in provider.threads)


async def test_the_database_ends_the_query_by_itself(table: Table) -> None:
    waits = FOREVER + "SELECT 'C' AS code, i AS last FROM n WHERE i < 0"
    provider = reader(table, waits, timeout=0.1)
    error = await failure(provider)
    assert "gave no complete answer" in str(error) or "failed: " in str(error)
    await until(lambda: not any(thread.is_alive() for thread in provider.threads))


async def test_no_connection_stays_open(big: Table) -> None:
    provider = reader(big)
    for _ in range(3):
        await poll(provider)
    await until(lambda: not any(thread.is_alive() for thread in provider.threads))
    others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    await until(lambda: big.run(others) == [(1,)])  # the connection of this query


async def test_a_query_waits_for_a_lock_of_sqlite(small: Table) -> None:
    small.run("PRAGMA journal_mode=DELETE")
    with sqlite3.connect(connections.settings[small.alias]["NAME"]) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        provider = reader(small, timeout=0.1)
        assert "sqlite_prices" in str(await failure(provider))
        writer.rollback()
    writer.close()
    await until(lambda: not any(thread.is_alive() for thread in provider.threads))
    provider.timeout = 5.0
    assert len(await poll(provider)) == 1


# outages of the database


async def test_a_lost_connection_costs_one_poll(big: Table) -> None:
    task = asyncio.create_task(poll(reader(big, "SELECT code, last FROM prices, pg_sleep(600)")))
    asleep = "FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    await until(lambda: big.run(f"SELECT pg_terminate_backend(pid) {asleep}"))
    with pytest.raises(ProviderError, match="the query on 'postgres_prices' failed: "):
        await task
    assert len(await poll(reader(big))) == 1


async def test_polls_fail_until_the_database_is_back(big: Table, shared_postgres: Postgres) -> None:
    provider = reader(big)
    with psycopg.connect(
        shared_postgres.url.replace("/postgres", "/template1"), autocommit=True
    ) as owner:
        owner.execute("ALTER DATABASE postgres ALLOW_CONNECTIONS false")
        for _ in range(2):
            error = await failure(provider)
            assert "not currently accepting connections" in str(error)
            assert (error.refused, error.retry_after) == (False, None)
        owner.execute("ALTER DATABASE postgres ALLOW_CONNECTIONS true")
    owner.close()
    assert len(await poll(provider)) == 1


async def test_a_pool_of_connections_works(shared_postgres: Postgres) -> None:
    url, port = shared_postgres.url, shared_postgres.port
    with postgres(url, port, OPTIONS={"pool": {"min_size": 1, "max_size": 1}}) as table:
        table.write("AAPL", last="101.00")
        provider = reader(table)
        for _ in range(3):
            assert len(await poll(provider)) == 1
        left = reader(
            table,
            "SELECT code, 1 AS last FROM prices WHERE "
            "current_setting('transaction_read_only') = 'on'",
        )
        assert len(await poll(left)) == 1
        connections[table.alias].close_pool()


async def test_a_refused_connection_shows_no_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    given_ = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": CLOSED_PORT,
        "USER": "quotes",
        "PASSWORD": "hush-canary",
        "NAME": "postgres",
    }
    with alias_of("gone", given_):
        provider = Database("gone", EXAMPLE)
        error = await failure(provider)
    assert "refused" in str(error)
    for text in (str(error), repr(error), repr(provider), caplog.text):
        assert "hush-canary" not in text


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="ascii", min_codepoint=32), min_size=1, max_size=8),
            st.decimals(min_value=Decimal("0.000001"), max_value=10**9, places=6),
        ),
        max_size=5,
        unique_by=lambda pair: pair[0].strip(),
    )
)
@examples(25)
def test_every_price_in_the_table_is_read_exactly(
    rows: list[tuple[str, Decimal]],
) -> None:
    rows = [(code.strip(), price) for code, price in rows if code.strip()]

    async def read(folder: Path) -> dict[str, Decimal]:
        with sqlite(folder / "prices.sqlite3") as table:
            for code, price in rows:
                table.add(code, last=f"{price:f}")
            quotes = await poll(reader(table), *[code for code, _ in rows])
        return {quote.symbol: quote.last for quote in quotes}

    if rows:
        with TemporaryDirectory() as folder:
            assert asyncio.run(read(Path(folder))) == dict(rows)
