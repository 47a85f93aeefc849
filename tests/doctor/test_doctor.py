"""The doctor: it reports what is wrong and what helps. It disturbs nothing and shows no secret."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import shutil
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, quote_plus

import pytest
from channels.layers import channel_layers
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings
from django.utils import timezone
from hypothesis import assume, given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Response

from quotes import conf, doctor
from quotes.doctor import beside
from quotes.doctor import lease as lease_module
from quotes.doctor.deployment import compare_clocks
from quotes.doctor.findings import FAILED, OK, WARNING, Report
from quotes.doctor.lease import Lease, Listener, examine_batches, examine_lease
from quotes.doctor.secrecy import Secrecy
from quotes.feed import records
from quotes.feed.batch import Batch
from quotes.live import layer, lease
from quotes.models import FeedLease, ProviderSymbol, Symbol
from quotes.providers import REGISTRY, Instrument, Provider, provider_class
from quotes.providers.coingecko import PLANS
from quotes.providers.kit.budgets import Budget
from quotes.quote import Quote
from tests.servers import (
    ROOT,
    Redis,
    Runfeed,
    Site,
    Stub,
    environment,
    eventually,
    free_port,
    manage,
)
from tests.stubs.alpaca import KEY, SECRET, Alpaca
from tests.stubs.binance import Binance
from tests.stubs.coinbase import Coinbase
from tests.stubs.coingecko import CoinGecko
from tests.stubs.exchange import Exchange
from tests.stubs.finnhub import Finnhub
from tests.stubs.kraken import Kraken

CANARY = "canary-in-the-mine"
SOON = r"until \d\d:\d\d:\d\d UTC \(7 s from now\)"  # from the Retry-After of the stubs


@pytest.fixture(autouse=True)
def fresh_layers() -> Iterator[None]:
    """Give each test a layer of its own."""
    channel_layers.backends = {}
    yield
    channel_layers.backends = {}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The leader in these tests renews and publishes several times as often as a feed."""
    monkeypatch.setattr(lease_module, "RENEWAL", 0.2)
    monkeypatch.setattr(lease_module, "LISTEN", 0.3)
    monkeypatch.setattr(lease_module, "LISTEN_ON", 0.4)


def listed(provider: str = "", **codes: str) -> None:
    """List crypto in dollars: BTC="XXBTZUSD" is BTC-USD, which that provider calls so."""
    for name, code in codes.items():
        symbol = Symbol.objects.create(code=f"{name}-USD", name=name, kind="crypto", currency="USD")
        if provider:
            ProviderSymbol.objects.create(symbol=symbol, provider=provider, code=code)


def examined(
    settings: Any, name: str, stub: Exchange | None = None, patience: float = 5.0, **options: Any
) -> Report:
    """Let the doctor check one provider, which a stub serves."""
    settings.QUOTES = {"PROVIDERS": [name], "PROVIDER_OPTIONS": {name: options}}

    async def examine() -> Report:
        async with stub or nullcontext():
            if stub:
                urls = {"rest_url": stub.rest_url, "assets_url": stub.rest_url}
                urls |= {"ws_url": stub.ws_url}
                names = provider_class(name).option_names()
                known = {each: urls[each] for each in urls if each in names}
                settings.QUOTES["PROVIDER_OPTIONS"] = {name: known | options}
            [check] = doctor.begin(name, patience).values()
            return await check

    return asyncio.run(examine())


def found_by(check: str, settings: Any, **quotes: Any) -> Report:
    """Return the findings of one check of the deployment."""
    settings.QUOTES = settings.QUOTES | quotes

    async def examine() -> Report:
        checks = doctor.begin()
        try:
            return await checks[check]
        finally:
            for each in checks.values():
                each.cancel()
            await asyncio.gather(*checks.values(), return_exceptions=True)

    return asyncio.run(examine())


def worst(found: Report) -> tuple[str, str]:
    """Return the text of its first line, and what to do."""
    finding = found.worst_first()[0]
    return finding.text, finding.to_do


def words(found: Report) -> str:
    return "\n".join(each.text for each in found.worst_first())


FAULTS: dict[str, tuple[str, str, str]] = {  # mode: status, words, what helps
    "rate_limited": (
        FAILED,
        rf"^rate limited {SOON}: .* 429 too many",
        "nothing: the feed keeps trying",
    ),
    "unauthorized": (FAILED, "answered 401 unauthorized", ": this one refuses your machine"),
    "maintenance": (FAILED, "answered 503 service unavailable", "the provider has a problem"),
    "slow": (FAILED, r"^no complete answer within 0.3 s", r"curl -v http://127.0.0.1:\d+"),
    "garbage": (FAILED, "answered with html, not json", r"curl -v http://127.0.0.1:\d+"),
    "truncated": (FAILED, "bytes, not json", "check what the provider answers"),
    "empty": (FAILED, r"^it answered in \d+ ms without a price", "correct its codes"),
}


@pytest.mark.django_db(transaction=True)
class TestAProvider:
    def test_that_works_shows_a_price(self, settings: Any):
        listed("coinbase", BTC="BTC-USD", ETH="ETH-USD")
        found = examined(settings, "coinbase", Coinbase())
        assert found.status == OK
        assert re.search(r"^BTC-USD 64000.00 USD, of unknown age, received in \d+ ms", words(found))
        assert "it has prices for all 2 requested codes" in words(found)

    def test_with_times_of_its_prices_shows_the_age_of_one(self, settings: Any):
        listed("coingecko", BTC="bitcoin")
        found = examined(settings, "coingecko", CoinGecko())
        assert found.status == OK
        assert re.search(
            r"^BTC-USD 77671.123456 USD, [\d.]+ s old, received in \d+ ms", words(found)
        )

    def test_with_times_that_cannot_be_true_is_reported(self, settings: Any):
        class Local(CoinGecko):
            times: ClassVar = {
                "bitcoin": f"{datetime.now(UTC) + timedelta(hours=5):%Y-%m-%dT%H:%M:%S}Z",
                "ethereum": "1999-12-31T12:00:00Z",
            }

            def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
                status, rows = super().rest(path, query)
                now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}Z"
                return status, [
                    row | {"last_updated": self.times.get(row["id"], now)} for row in rows
                ]

        listed("coingecko", BTC="bitcoin", ETH="ethereum", SHIB="shiba-inu")
        found = examined(settings, "coingecko", Local())
        assert found.status == WARNING
        text, helps = worst(found)
        assert re.match(r"times that can't be true: BTC-USD \(20.* s ahead of our clock\); ", text)
        assert "ETH-USD (1999-12-31T12:00:00+00:00, before the year 2000). Such" in text
        assert "SHIB" not in text
        assert helps.startswith("often a local time without its zone")
        assert re.search(r"(?m)^SHIB-USD .*, [\d.]+ s old, received in", words(found))

    def test_that_simulates_prices_needs_no_codes(self, settings: Any):
        listed(BTC="")
        assert examined(settings, "simulated").status == OK

    @pytest.mark.parametrize("mode", FAULTS)
    def test_that_fails_shows_how_and_what_helps(self, settings: Any, mode: str):
        listed("coinbase", BTC="BTC-USD")
        stub = Coinbase()
        stub.mode = mode
        found = examined(settings, "coinbase", stub, 0.3 if mode == "slow" else 5.0)
        status, output, helps = FAULTS[mode]
        assert found.status == status
        assert re.search(output, worst(found)[0])
        assert re.search(helps, worst(found)[1])

    @pytest.mark.parametrize(
        ("status", "helps"),
        [
            (
                403,
                r"^use another provider, or another address \(COINBASE_.*\): this one refuses your",
            ),
            (
                451,
                r"^use another provider, or another address \(COINBASE_.*\): this one does not",
            ),
            (404, "If the address is wrong, correct COINBASE_REST_URL"),
            (301, "If the address is wrong, correct COINBASE_REST_URL"),
        ],
    )
    def test_that_answers_without_prices_shows_what_helps(
        self, settings: Any, status: int, helps: str
    ):
        listed("coinbase", BTC="BTC-USD")
        stub = Coinbase()
        stub.mode, stub.refused = "unauthorized", (status, {"message": "no"})
        found = examined(settings, "coinbase", stub)
        assert found.status == FAILED
        assert f"/products/stats answered {status} " in worst(found)[0]
        assert re.search(helps, worst(found)[1])

    def test_that_has_a_rate_limit_without_an_end_is_reported(self, settings: Any):
        listed("binance", BTC="BTCUSDT")
        stub = Binance(retry_after="")
        stub.mode = "rate_limited"
        found = examined(settings, "binance", stub)
        assert worst(found)[0].startswith("rate limited: ")
        assert worst(found)[1].startswith("nothing: the feed keeps trying")

    def test_that_has_a_wrong_key_names_the_variable(self, settings: Any):
        listed("coingecko", BTC="bitcoin")
        stub = CoinGecko(key=("x-cg-demo-api-key", "right"))
        found = examined(settings, "coingecko", stub, demo_key=CANARY)
        assert "answered 401 unauthorized" in worst(found)[0]
        assert worst(found)[1].startswith("correct COINGECKO_DEMO_KEY or COINGECKO_PRO_KEY, and ")
        assert CANARY not in words(found)

    def test_without_its_key_gets_no_request(self, settings: Any):
        listed("finnhub", AAPL="AAPL")
        stub = Finnhub()
        found = examined(settings, "finnhub", stub)
        assert worst(found) == (
            "A key is missing, set FINNHUB_API_KEY",
            "correct the options (see docs/providers.md) and restart the feed",
        )
        assert not stub.requests

    @pytest.mark.parametrize(
        ("url", "output", "helps"),
        [
            ("http://127.0.0.1:{}", "connection refused", "curl -v http://127.0.0.1:"),
            ("https://no.invalid", "could not be read", "getent hosts no.invalid"),
            ("https://x..invalid", "could not be read", "getent hosts x..invalid"),
        ],
    )
    def test_that_is_not_reached_shows_what_to_try(
        self, settings: Any, url: str, output: str, helps: str
    ):
        listed("coinbase", BTC="BTC-USD")
        found = examined(settings, "coinbase", rest_url=url.format(free_port()))
        assert found.status == FAILED
        assert output in worst(found)[0]
        assert helps in worst(found)[1]

    def test_without_tls_is_reported(self, settings: Any):
        listed("coinbase", BTC="BTC-USD")
        port = free_port()
        found = examined(settings, "coinbase", Coinbase(port), rest_url=f"https://127.0.0.1:{port}")
        assert found.status == FAILED
        assert "check this machine's clock and certificates" in worst(found)[1]

    def test_for_which_no_symbol_has_a_code_gets_no_request(self, settings: Any):
        listed("kraken", BTC="XXBTZUSD")
        Symbol.objects.update(active=False)
        stub = Kraken()
        found = examined(settings, "kraken", stub)
        assert found.status == WARNING
        assert worst(found)[0] == "no active symbol has a code for it"
        assert not stub.requests

    @pytest.mark.parametrize("codes", [{}, {"AAPL": "AAPL"}], ids=["no code", "a code"])
    def test_with_a_query_that_fails_shows_the_error_of_the_database(
        self, settings: Any, codes: dict[str, str]
    ):
        listed("database", **codes)
        found = examined(settings, "database", query="SELECT nope FROM nowhere")
        assert found.status == FAILED
        assert worst(found) == (
            "the query on 'default' failed: no such table: nowhere",
            (
                "check the source that it reads, and the settings "
                "DATABASE_ALIAS, DATABASE_QUERY, DATABASE_INTERVAL"
            ),
        )

    def test_with_a_query_that_works_is_reported_without_a_code(self, settings: Any):
        query = "SELECT code, 1 AS last FROM quotes_symbol WHERE code IN (%(codes)s)"
        found = examined(settings, "database", query=query)
        assert words(found).splitlines()[:2] == [
            "no active symbol has a code for it",
            "its query works",
        ]

    def test_that_does_not_know_some_codes_names_them(self, settings: Any):
        listed("kraken", BTC="XXBTZUSD", GONE="GONEUSD")
        found = examined(settings, "kraken", Kraken())
        assert found.status == WARNING
        assert worst(found)[0] == (
            "no price for 1 of 2 requested codes: GONEUSD is not in the list of instruments"
        )
        assert "BTC-USD 64000" in words(found)

    def test_with_many_codes_gets_no_more_than_one_request_holds(self, settings: Any):
        listed("finnhub", **{f"S{number}": f"S{number}" for number in range(9)})
        stub = Finnhub()
        stub.enlist(*(f"S{number}" for number in range(9)))
        found = examined(settings, "finnhub", stub, api_key="stub-key")
        assert "it has prices for all 3 requested codes (the site has 9)" in words(found)
        assert stub.requests.total() == 3

    def test_with_an_old_price_in_an_open_market_is_reported(self, settings: Any):
        class Asleep(CoinGecko):
            def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
                status, rows = super().rest(path, query)
                old = f"{datetime.now(UTC) - timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}"
                return status, [row | {"last_updated": old} for row in rows]

        listed("coingecko", BTC="bitcoin")
        found = examined(settings, "coingecko", Asleep())
        assert found.status == WARNING
        assert (
            worst(found)[0] == "its newest price is 3 h old although the market of BTC-USD is open"
        )

    @pytest.mark.parametrize(
        ("ahead", "output"),
        [
            (0, "its clock and the clock of this machine agree within 2 s"),
            (60, r"its clock is (5[89]|6[01])\.\d s ahead of the clock of this machine"),
            (-60, r"its clock is (5[89]|6[01])\.\d s behind the clock of this machine"),
        ],
    )
    def test_with_a_clock_is_compared_with_ours(self, settings: Any, ahead: int, output: str):
        class Clocked(Coinbase):
            def _answer(self, status: int, document: Any) -> Response:
                answer = super()._answer(status, document)
                now = datetime.now(UTC) + timedelta(seconds=ahead)
                answer.headers["Date"] = format_datetime(now, usegmt=True)
                return answer

        listed("coinbase", BTC="BTC-USD")
        found = examined(settings, "coinbase", Clocked())
        assert found.status == (WARNING if ahead else OK)
        assert re.search(output, words(found))

    def test_with_the_time_of_a_cached_answer_is_not_compared(self, settings: Any):
        class Kept(Coinbase):
            def _answer(self, status: int, document: Any) -> Response:
                answer = super()._answer(status, document)
                answer.headers["Date"] = "Mon, 02 Mar 2026 12:00:00 GMT"
                answer.headers["Age"] = "30"
                return answer

        listed("coinbase", BTC="BTC-USD")
        assert "clock" not in words(examined(settings, "coinbase", Kept()))

    def test_with_a_check_of_its_own_runs_it(self, settings: Any):
        listed("alpaca", BTC="BTC/USD")
        found = examined(settings, "alpaca", Alpaca(), api_key=KEY, api_secret=SECRET)
        assert found.status == OK
        assert "its test request returned FAKEPACA 134.56" in words(found)

    def test_with_a_failing_check_of_its_own_still_shows_a_price(self, settings: Any):
        listed("alpaca", BTC="BTC/USD")
        login = {"api_key": KEY, "api_secret": SECRET}
        away = f"ws://127.0.0.1:{free_port()}"
        found = examined(settings, "alpaca", Alpaca(), ws_url=away, **login)
        assert found.status == WARNING
        assert worst(found)[0].startswith("its test request failed: ")
        assert "BTC-USD 64000" in words(found)

    def test_that_the_feed_does_not_use_can_be_checked(self, settings: Any):
        listed("coinbase", BTC="BTC-USD")
        settings.QUOTES = {"PROVIDERS": ["simulated"]}
        [check] = asyncio.run(self.begun("simulated"))
        assert f"not in {conf.PROVIDERS}" not in words(check)
        [check] = asyncio.run(self.begun("kraken"))
        assert f"not in {conf.PROVIDERS}, so the feed does not use it" in words(check)

    async def begun(self, name: str) -> list[Report]:
        return [await each for each in doctor.begin(name).values()]

    def test_with_a_bug_of_ours_does_not_end_the_others(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setitem(REGISTRY, "broken", f"{__name__}.Broken")
        listed(AAPL="")
        listed("broken", BTC="BTC-USD")
        settings.QUOTES = {"PROVIDERS": ["broken", "simulated"]}
        found = found_by("provider broken", settings)
        assert worst(found) == (
            "the check itself failed: ZeroDivisionError: division by zero",
            "this is a bug in Quoteboard, please report it",
        )
        assert found_by("provider simulated", settings).status == OK


class Broken(Provider):
    """A provider with a fault."""

    name = title = attribution = "broken"

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        raise ZeroDivisionError("division by zero")


@pytest.mark.django_db(transaction=True)
class TestTheMonthsBudget:
    """A plan of 10,000 requests a month, of which the feed has spent 900."""

    @pytest.fixture(autouse=True)
    def spent(self) -> None:
        listed("coingecko", BTC="bitcoin")
        self.month = Budget(PLANS["demo"]).month
        records.add_uses({"coingecko": (self.month, 900)})

    def test_requests_are_counted_with_those_of_the_feed(self, settings: Any):
        found = examined(settings, "coingecko", CoinGecko(), demo_key="mine")
        assert (
            "it allows 30 requests a minute and 10,000 a month (9,099 are left); this check used 1"
        ) in words(found)
        assert records.load_uses() == {"coingecko": (self.month, 901)}

    def test_failed_requests_are_counted_too(self, settings: Any):
        stub = CoinGecko()
        stub.mode = "slow"
        examined(settings, "coingecko", stub, 0.2, demo_key="mine")
        assert records.load_uses() == {"coingecko": (self.month, 901)}

    def test_interrupted_requests_are_counted_too(self, settings: Any):
        stub = CoinGecko()
        stub.mode = "slow"

        async def interrupted() -> None:
            async with stub:
                options = {"rest_url": stub.rest_url, "demo_key": "mine"}
                settings.QUOTES = {"PROVIDER_OPTIONS": {"coingecko": options}}
                [check] = doctor.begin("coingecko").values()
                await stub.until(lambda: stub.requests)
                check.cancel()
                await asyncio.gather(check, return_exceptions=True)

        asyncio.run(interrupted())
        assert records.load_uses() == {"coingecko": (self.month, 901)}

    def test_nothing_is_requested_once_it_is_spent(self, settings: Any):
        records.add_uses({"coingecko": (self.month, 9_100)})
        stub = CoinGecko()
        found = examined(settings, "coingecko", stub, demo_key="mine")
        output, helps = worst(found)
        assert re.search(
            r"^rate limited until \S+.* UTC \(.* from now\): all 10000 requests", output
        )
        assert helps.startswith("wait for the next month, choose a larger plan")
        assert not stub.requests


@pytest.mark.django_db(transaction=True)
class TestTheConfiguration:
    def test_that_is_valid_is_summarized(self, settings: Any):
        found = found_by("configuration", settings)
        assert found.status == OK
        assert words(found) == "providers simulated; feed inline; debug off"

    def test_that_is_invalid_shows_the_errors_of_the_system_checks(self, settings: Any):
        found = found_by("configuration", settings, PACE=0, PROVIDERS=["yaho"])
        assert found.status == FAILED
        assert "Unknown provider 'yaho', must be one of: " in words(found)
        assert "QUOTES['PACE'] is 0, must be a number above 0" in words(found)

    def test_that_can_not_be_read_does_not_end_the_others(self, settings: Any):
        found = found_by("configuration", settings, PACES=1)
        assert "Unknown key 'PACES' in QUOTES" in worst(found)[0]
        assert found_by("database", settings, PACES=1).status == OK


@pytest.mark.django_db(transaction=True)
class TestTheDatabase:
    def test_that_works_shows_where_it_is_and_what_was_checked(self, settings: Any):
        found = found_by("database", settings)
        assert found.status == OK
        assert re.search(r"^SQLite, .*: answered in \d+ ms$", worst(found)[0])
        assert "all migrations are applied" in words(found)
        assert "its clock and the clock of this machine agree within 1 s" in words(found)

    def test_that_is_not_migrated_names_what_is_missing(self, settings: Any):
        recorder = MigrationRecorder(connection)
        [newest] = MigrationLoader(connection).graph.leaf_nodes("quotes")
        recorder.record_unapplied(*newest)
        try:
            found = found_by("database", settings)
        finally:
            recorder.record_applied(*newest)
        assert found.status == FAILED
        assert worst(found)[0] == f"1 migration is not applied: {'.'.join(newest)}"
        assert worst(found)[1].startswith("run “manage.py migrate”")

    def test_that_a_later_release_migrated_is_reported(self, settings: Any):
        recorder = MigrationRecorder(connection)
        recorder.record_applied("quotes", "9999_to_come")
        try:
            found = found_by("database", settings)
        finally:
            recorder.record_unapplied("quotes", "9999_to_come")
        assert found.status == WARNING
        assert worst(found)[0] == "it was migrated by another release: quotes.9999_to_come"

    def test_with_codes_of_unknown_providers_names_those(self, settings: Any):
        listed("coinbse", BTC="BTC-USD", ETH="ETH-USD")
        listed("krakn", LTC="XLTCZUSD")
        listed("kraken", SOL="SOLUSD")
        found = found_by("database", settings)
        assert found.status == WARNING
        assert worst(found) == (
            "some provider codes have an unknown provider: 'coinbse' (2), 'krakn' (1)",
            f"correct them in the admin; the provider must be one of: {', '.join(REGISTRY)}",
        )

    def test_that_can_not_be_written_to_shows_why(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ):
        given = connection.settings_dict
        monkeypatch.setitem(connections.settings["default"]["OPTIONS"], "timeout", 0.1)
        with closing(sqlite3.connect(given["NAME"], isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            found = found_by("database", settings)
        assert found.status == FAILED
        assert worst(found)[0] == "can't be written to: database is locked"

    def test_that_hangs_is_given_up(self, settings: Any, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(beside, "PATIENCE", 0.3)
        given = connection.settings_dict
        with closing(sqlite3.connect(given["NAME"], isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            found = found_by("database", settings)
        assert found.status == FAILED
        assert "did not answer within 0.3 s" in worst(found)[0]

    def test_that_is_not_there_is_not_made(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ):
        name = tmp_path / "wrong.sqlite3"
        monkeypatch.setitem(connections.settings["default"], "NAME", str(name))
        found = found_by("database", settings)
        assert worst(found)[0] == (f"can't be used: [Errno 2] No such file or directory: '{name}'")
        assert not name.exists()

    def test_that_is_down_shows_why_and_not_only_a_time_out(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ):
        away = {"ENGINE": "django.db.backends.postgresql", "NAME": "quotes", "USER": "alice"}
        away |= {"HOST": "127.0.0.1", "PORT": free_port(), "PASSWORD": CANARY}
        away |= {"OPTIONS": {"pool": {"min_size": 1, "max_size": 8, "timeout": 5}}}
        monkeypatch.setitem(connections.settings, "default", connections.settings["default"] | away)
        output, code = run_doctor()
        assert code == 1
        for line in (
            "database +FAILED +can't be used: connection failed: .*refused",
            "lease +FAILED +can't be read: connection failed",
            "provider simulated +FAILED +not checked, because its codes can't be read: connection",
        ):
            assert re.search(f"(?m)^{line}", output)
        assert CANARY not in output


@pytest.mark.parametrize(
    ("ahead", "status", "output"),
    [
        (0.9, OK, "agree within 1 s"),
        (-0.9, OK, "agree within 1 s"),
        (1.5, WARNING, "1.5 s ahead of the clock of this machine"),
        (-90.0, WARNING, "90.0 s behind the clock of this machine"),
    ],
)
def test_a_clock_that_differs_is_reported(ahead: float, status: str, output: str):
    found = Report("database")
    compare_clocks(found, ahead, 1.0)
    assert found.status == status
    assert output in worst(found)[0]


@pytest.mark.django_db(transaction=True)
class TestTheLayer:
    @staticmethod
    def redis(settings: Any, url: str) -> None:
        host = {"address": url, "socket_connect_timeout": 2, "socket_timeout": 2}
        settings.CHANNEL_LAYERS = {
            "default": {
                "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "CONFIG": {"hosts": [host], "prefix": "quotes"},
            }
        }

    def test_in_memory_is_reported(self, settings: Any):
        found = found_by("channel layer", settings)
        assert found.status == OK
        assert re.search(r"^in memory: a message came back in \d+ ms", words(found))

    def test_on_redis_shows_where_and_leaves_no_group(self, settings: Any, redis_server: Redis):
        self.redis(settings, redis_server.url)
        found = found_by("channel layer", settings)
        assert found.status == OK
        at = f"RedisPubSubChannelLayer 127.0.0.1:{redis_server.port}: a message came back in "
        assert words(found).startswith(at)
        eventually(lambda: redis_server.say("PUBSUB CHANNELS") == "*0", "all groups are left")

    def test_with_a_redis_that_is_down_is_reported(self, settings: Any):
        self.redis(settings, f"redis://:{CANARY}@127.0.0.1:{free_port()}/0")
        found = found_by("channel layer", settings)
        assert found.status == FAILED
        assert worst(found)[0].startswith("can't be used: Error 111 connecting to 127.0.0.1")
        assert worst(found)[1].startswith(f"start Redis or correct its address, {conf.LAYER}")
        assert CANARY not in words(found)

    def test_with_a_wrong_password_is_reported(self, settings: Any, redis_server: Redis):
        redis_server.say("CONFIG SET requirepass right")
        self.redis(settings, f"redis://:{CANARY}@127.0.0.1:{redis_server.port}/0")
        found = found_by("channel layer", settings)
        redis_server.say("AUTH right")
        assert found.status == FAILED
        assert "can't be used: " in worst(found)[0]
        assert "password" in worst(found)[0]
        assert CANARY not in words(found)

    def test_that_is_not_configured_is_reported(self, settings: Any):
        found = found_by("channel layer", settings, CHANNEL_LAYER="fast")
        assert worst(found) == (
            "'fast' is missing in CHANNEL_LAYERS",
            "add it to CHANNEL_LAYERS, or correct CHANNEL_LAYER in QUOTES",
        )


def taken(holder: str, left: float, epoch: int = 7, renewed: bool = True) -> tuple[Lease, Lease]:
    """Return a lease, read twice at noon, which ends in this many seconds."""
    noon = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    ends = noon + timedelta(seconds=left)
    then = noon - timedelta(seconds=1.5)
    before = Lease(holder, epoch, ends - timedelta(seconds=1.5 * renewed), then)
    return before, Lease(holder, epoch, ends, noon)


ALIVE = f"{socket.gethostname()[:80]}:{os.getppid()}"
GONE = f"{socket.gethostname()[:80]}:999999999"  # no process has so high a number
LEASES = {
    "renewed": (
        taken("alice:1", 2.7),
        OK,
        "alice:1 leads the feed, epoch 7, lease renewed 0.3 s ago",
    ),
    "renewed here": (taken(ALIVE, 2.7), OK, f"{ALIVE} leads the feed"),
    "given back": (taken("", 0), FAILED, "no process leads the feed: prices have stopped"),
    "over": (
        taken("alice:1", -9, renewed=False),
        FAILED,
        "alice:1 does not respond or can't reach the database, and its lease ended 9 s ago",
    ),
    "of the dead": (
        taken(GONE, -90, renewed=False),
        FAILED,
        f"{GONE} no longer runs, and its lease ended 90",
    ),
    "not renewed": (
        taken("alice:1", 1.5, renewed=False),
        WARNING,
        "the lease is no longer renewed: alice:1 does not respond",
    ),
    "not over yet": (
        taken(GONE, 1.5, renewed=False),
        WARNING,
        f"no longer renewed: {GONE} no longer runs",
    ),
    "of a ghost": (
        taken(GONE, 2.7),
        FAILED,
        f"two processes may lead: {GONE} renews its lease but does not run on this machine",
    ),
    "of another": (
        (taken("alice:1", 2.7, 7)[0], taken("bob:2", 2.7, 8)[1]),
        WARNING,
        "another process took the lease during this check: epoch 7 became 8",
    ),
    "of a clock set back": (
        taken("alice:1", 3600),
        WARNING,
        "the lease ends in 60 min, which is too late: the database",
    ),
}


@pytest.mark.parametrize("looks", LEASES)
def test_two_looks_at_the_lease_show_which_process_leads(looks: str):
    (before, after), status, output = LEASES[looks]
    found = Report("lease")
    examine_lease(found, before, after)
    assert found.status == status
    assert output in worst(found)[0]
    assert status == OK or worst(found)[1]


def test_the_old_and_the_new_leader_may_both_be_heard():
    before, after = taken("alice:1", 6.7, 7)[0], taken("bob:2", 6.7, 8)[1]
    batches = {epoch: Batch(1, [], {}) for epoch in (7, 8)}
    found = Report("lease")
    examine_batches(found, before, after, Listener(joined=True, batches=batches))
    assert found.status == OK


@pytest.mark.django_db(transaction=True)
class TestTheLease:
    """Real leases, and batches that are published through a real layer."""

    @pytest.fixture(autouse=True)
    def early(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let it be 1970, so that epochs begin with 1."""
        monkeypatch.setattr("quotes.live.lease.time", lambda: 0.0)

    def found(self, *epochs: int, outages: dict[str, datetime] | None = None) -> Report:
        """Let alice lead, publish batches of some epochs, and let the doctor check the lease."""

        async def publish() -> None:
            for number in range(1, 1000):
                for epoch in epochs:
                    await layer.send_batch(epoch, Batch(number, [], outages or {}))
                await beside.in_database(lease.renew, "alice:1", 1)
                await asyncio.sleep(0.05)

        async def examine() -> Report:
            feed = asyncio.create_task(publish())
            try:
                return await lease_module.check_lease()
            finally:
                feed.cancel()

        return asyncio.run(examine())

    def test_that_was_never_taken_shows_what_to_start(self, settings: Any):
        found = found_by("lease", settings)
        assert found.status == FAILED
        assert worst(found)[0] == "no process leads the feed: prices have stopped"
        assert worst(found)[1].startswith("start the web process")
        settings.QUOTES = settings.QUOTES | {"FEED": "external"}
        assert worst(found_by("lease", settings))[1].startswith("start “manage.py runfeed”")

    def test_is_left_to_its_holder(self, settings: Any):
        assert lease.take("alice:1") == 1
        found = self.found()
        assert found.status == OK
        assert words(found).startswith("alice:1 leads the feed, epoch 1, lease renewed 0")
        assert "can't be received here: the layer is in memory" in words(found)
        assert FeedLease.objects.get().holder == "alice:1"

    def test_that_is_free_is_not_taken(self, settings: Any):
        found_by("lease", settings)
        assert not FeedLease.objects.exists()

    def test_the_age_of_the_newest_last_quote_is_shown(
        self, settings: Any, make_quote: Callable[..., Quote]
    ):
        listed(BTC="")
        quote = make_quote("BTC-USD", received_at=timezone.now() - timedelta(minutes=5))
        records.save_last_quotes({"BTC-USD": ((1, 1), quote)})
        assert "the newest stored quote was received 5 min ago" in words(
            found_by("lease", settings)
        )

    def test_its_feed_is_heard_alone(self, settings: Any, redis_server: Redis):
        TestTheLayer.redis(settings, redis_server.url)
        assert lease.take("alice:1") == 1
        down = {"kraken": datetime(2026, 3, 2, 11, 30, tzinfo=UTC)}
        found = self.found(1, outages=down)
        assert "alice:1 leads the feed" in words(found)
        assert "no other feed publishes" in words(found)
        assert worst(found) == (
            "kraken has been failing since 11:30:00 UTC",
            "see the check of kraken",
        )

    def test_a_second_feed_is_heard(self, settings: Any, redis_server: Redis):
        TestTheLayer.redis(settings, redis_server.url)
        assert lease.take("alice:1") == 1
        found = self.found(1, 40)
        assert found.status == FAILED
        assert worst(found)[0].startswith("another feed publishes with epoch 40")
        assert "its own QUOTES['DEPLOYMENT']" in worst(found)[1]

    def test_a_feed_that_is_not_heard_is_reported(self, settings: Any, redis_server: Redis):
        TestTheLayer.redis(settings, redis_server.url)
        assert lease.take("alice:1") == 1
        found = self.found()
        assert found.status == FAILED
        assert worst(found)[0] == "no batch of alice:1 arrives here: prices have stopped"

    def test_a_layer_that_is_down_proves_nothing_about_the_lease(self, settings: Any):
        TestTheLayer.redis(settings, f"redis://127.0.0.1:{free_port()}/0")
        assert lease.take("alice:1") == 1
        found = self.found()
        assert (found.status, worst(found)) == (
            WARNING,
            ("the batches of the feed can't be received", "see the check of the channel layer"),
        )


def run_doctor(*arguments: str) -> tuple[str, int]:
    """Run the command here; return its output and its exit code."""
    out, err, code = StringIO(), StringIO(), 0
    try:
        call_command("doctor", *arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        code = int(str(ended.code))
    assert err.getvalue() == ""
    return out.getvalue(), code


@pytest.mark.django_db(transaction=True)
class TestTheCommand:
    def test_writes_an_aligned_line_for_each_check_and_counts_them(self, settings: Any):
        settings.QUOTES = {"PROVIDERS": ["simulated", "kraken"]}
        listed(BTC="")
        output, code = run_doctor()
        lines = [line for line in output.splitlines() if line and line[0] != " "]
        assert [line[:28].split("  ")[0] for line in lines[:-1]] == [
            "configuration",
            "database",
            "channel layer",
            "lease",
            "provider simulated",
            "provider kraken",
        ]
        assert [line[20:29] for line in lines[:-1]] == [
            *["ok       "] * 3,
            "FAILED   ",
            "ok       ",
            "warning  ",
        ]
        assert lines[-1] == output.splitlines()[-1] == "6 checks: 4 ok, 1 warning, 1 FAILED"
        assert code == 1

    def test_ends_with_0_where_nothing_failed(self, settings: Any):
        settings.QUOTES = {"PROVIDERS": ["kraken"]}
        output, code = run_doctor("--provider", "kraken")
        assert "no active symbol has a code for it" in output
        assert (output.splitlines()[-1], code) == ("1 check: 0 ok, 1 warning, 0 FAILED", 0)

    def test_prints_the_same_in_json(self, settings: Any):
        output, code = run_doctor("--json")
        document = json.loads(output)
        assert document["counts"] == {"ok": 3, "warning": 1, "failed": 1}
        by_name = {each["name"]: each for each in document["checks"]}
        assert by_name["lease"]["status"] == "failed"
        assert (
            by_name["lease"]["findings"][0]["text"]
            == "no process leads the feed: prices have stopped"
        )
        assert by_name["lease"]["findings"][0]["to_do"].startswith("start the web process")
        assert all(each["seconds"] >= 0 for each in document["checks"])
        assert datetime.fromisoformat(document["at"]).tzinfo
        assert code == 1

    def test_colours_words_and_leaves_them_there(self, settings: Any):
        listed(BTC="")
        plain, _ = run_doctor("--provider", "simulated")
        coloured, _ = run_doctor("--provider", "simulated", "--force-color")
        assert "\x1b[" in coloured
        assert "\x1b[" not in plain
        without = re.sub(r"\x1b\[[\d;]*m", "", coloured)
        assert re.sub(r"\d", "9", without)[:30] == re.sub(r"\d", "9", plain)[:30]

    def test_refuses_an_unknown_provider(self):
        with pytest.raises(CommandError, match="Unknown provider 'yaho', must be one of: alpaca"):
            run_doctor("--provider", "yaho")

    @pytest.mark.parametrize("given", ["0", "-1", "soon", "nan"])
    def test_refuses_an_invalid_time(self, given: str):
        with pytest.raises(CommandError, match="--timeout"):
            run_doctor("--provider", "simulated", f"--timeout={given}")

    def test_a_name_server_without_an_answer_does_not_delay_the_end(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ):
        answered = threading.Event()

        def hang(*given: Any, **more: Any) -> Any:
            answered.wait(20)
            raise socket.gaierror("no answer")

        monkeypatch.setattr(socket, "getaddrinfo", hang)
        listed("kraken", BTC="XXBTZUSD")
        settings.QUOTES = {"PROVIDERS": ["kraken"]}
        output, code = run_doctor("--provider", "kraken", "--timeout", "0.2")
        assert not answered.is_set()
        answered.set()
        assert "FAILED   no complete answer within 0.2 s" in output
        assert code == 1


@contextmanager
def served(stub: Exchange) -> Iterator[Exchange]:
    """Run a stub beside this thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(10)

    run(stub.__aenter__())
    try:
        yield stub
    finally:
        run(stub.__aexit__())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def inside(written: Callable[[str], str]) -> Callable[[str], str]:
    """Write a text without the quotation marks around it."""
    return lambda text: written(text)[1:-1]


class Parrot(Exchange):
    """A source that repeats the request in its errors."""

    def rest(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Refuse, and repeat all headers."""
        output = f"you output {dict(self.headers.raw_items())} {query}"
        return 401, {"message": output, "error": output}

    async def feed(self, connection: ServerConnection) -> None:
        """Repeat the login."""
        frame = await connection.recv()
        await self.send(connection, [{"T": "error", "code": 402, "msg": f"you output {frame!r}"}])


@pytest.mark.django_db(transaction=True)
class TestNoSecret:
    KEYED = {
        "alpaca": {"api_key": f"{CANARY}-1", "api_secret": f"{CANARY}-2"},
        "coingecko": {"demo_key": f"{CANARY}-3"},
        "finnhub": {"api_key": f"{CANARY}-4"},
        "http": {"key": f"{CANARY}-5", "fields": "last=last"},
    }

    @pytest.mark.parametrize("name", KEYED)
    @pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["text", "json"])
    def test_is_shown_although_a_source_repeats_it(
        self, settings: Any, name: str, arguments: list[str]
    ):
        listed(name, BTC="BTC/USD" if name == "alpaca" else "bitcoin")
        with served(Parrot()) as stub:
            urls = {"rest_url": stub.rest_url, "ws_url": stub.ws_url, "assets_url": stub.rest_url}
            urls["url"] = f"http://user:{CANARY}-6@127.0.0.1:{stub.port}/{{code}}?k={CANARY}-7"
            names = provider_class(name).option_names()
            options = {key: url for key, url in urls.items() if key in names}
            settings.QUOTES = {
                "PROVIDERS": [name],
                "PROVIDER_OPTIONS": {name: options | self.KEYED[name]},
            }
            output, code = run_doctor("--provider", name, *arguments)
        assert code == 1
        assert "401 unauthorized" in output
        assert CANARY not in output
        for login in re.findall("Basic (.*)", str(stub.headers)):
            assert login not in output

    def test_of_the_settings_is_shown(self, settings: Any, monkeypatch: pytest.MonkeyPatch):
        TestTheLayer.redis(settings, f"redis://:{CANARY}@127.0.0.1:{free_port()}/0")
        settings.SECRET_KEY = f"{CANARY}-8"
        url = f"ftp://{CANARY}-9@example.com/?token={CANARY}-9"
        settings.QUOTES = {
            "PROVIDERS": ["coinbase"],
            "PROVIDER_OPTIONS": {"coinbase": {"rest_url": url}},
        }
        output, _ = run_doctor()
        assert "Unexpected address 'ftp://…@example.com/?token=…'" in output
        assert CANARY not in output

    @given(
        secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        written=st.sampled_from([str, quote_plus, quote, inside(repr), inside(json.dumps)]),
    )
    def test_is_public_in_whatever_way_it_is_written(
        self, secret: str, written: Callable[[str], str]
    ):
        with override_settings(QUOTES={"PROVIDER_OPTIONS": {"alpaca": {"api_key": secret}}}):
            secrecy = Secrecy()
        form = written(secret)
        assume(form.strip(" …"))
        assert f"[{form}]" not in secrecy.public(f"key [{form}] refused")

    def test_other_words_stay(self):
        options = {"coinbase": {"rest_url": "https://api.example.com/v1?of={codes}"}}
        with override_settings(QUOTES={"PROVIDER_OPTIONS": options}):
            text = "api.example.com/v1 answered 429; of {codes}; 1 a minute"
            assert Secrecy().public(text) == text


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, *arguments: str, **env: str) -> None:
        self.process, self.screen = pty.fork()
        if self.process == 0:
            os.chdir(ROOT)
            command = [sys.executable, "manage.py", *arguments]
            os.execve(sys.executable, command, environment(TERM="xterm", **env))
        self.shown = ""

    def until(self, words: str) -> None:
        """Read its output until it contains these words, or ends."""
        while words not in self.shown:
            try:
                self.shown += os.read(self.screen, 4096).decode()
            except OSError:  # the other side is closed
                return

    def type(self, key: bytes) -> None:
        """Press a key."""
        os.write(self.screen, key)

    def end(self) -> int:
        """Read on to the end, and return its exit code."""
        self.until("no such words")
        os.close(self.screen)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


@pytest.fixture
def database(tmp_path: Path, few_symbols: Path) -> Path:
    """A database of four symbols."""
    path = shutil.copy(few_symbols, tmp_path / "db.sqlite3")
    kept = "('AAPL', 'BTC-USD', 'ETH-USD', 'LTC-USD')"
    with closing(sqlite3.connect(path)) as door, door:
        door.execute(f"UPDATE quotes_symbol SET active = (code IN {kept})")
    return Path(path)


@pytest.fixture
def coinbase() -> Iterator[Stub]:
    """A stub of Coinbase as a process."""
    stub = Stub()
    yield stub
    stub.stop()


@pytest.mark.server
def test_on_a_terminal_it_shows_what_it_waits_for_and_control_c_ends_it(
    database: Path, coinbase: Stub
):
    coinbase.ask("/_mode?to=slow")
    terminal = Terminal(
        "doctor",
        "--provider",
        "coinbase",
        DATABASE_URL=f"sqlite:///{database}",
        **coinbase.settings,
    )
    terminal.until("s for provider coinbase")
    terminal.type(b"\x03")
    assert terminal.end() == 130
    assert "Stopped. Not everything was checked." in terminal.shown
    assert "Traceback" not in terminal.shown


@pytest.mark.server
class TestARunningFeed:
    """A deployment at three in the morning: one code is wrong, and so is one key."""

    @pytest.fixture
    def coingecko(self) -> Iterator[Stub]:
        """A stub of CoinGecko as a process, which takes no key."""
        stub = Stub("coingecko")
        stub.ask("/_mode?to=unauthorized")
        yield stub
        stub.stop()

    @pytest.fixture
    def deployment(
        self, database: Path, redis_server: Redis, coinbase: Stub, coingecko: Stub
    ) -> Site:
        """The environment of the feed and the doctor."""
        return Site(
            database.parent,
            DATABASE_URL=f"sqlite:///{database}",
            DJANGO_DEBUG="False",
            DJANGO_SECRET_KEY="long-and-random",
            REDIS_URL=redis_server.url,
            QUOTES_FEED="external",
            COINGECKO_REST_URL=f"http://127.0.0.1:{coingecko.port}",
            COINGECKO_DEMO_KEY=CANARY,
            **coinbase.settings | {"QUOTES_PROVIDERS": "coingecko,coinbase,simulated"},
        )

    def test_is_not_disturbed_and_looks_as_the_documents_show_it(
        self, deployment: Site, database: Path, redis_server: Redis, coingecko: Stub
    ):
        def row(of: str, where: str = "1") -> tuple[Any, ...]:
            with closing(sqlite3.connect(database)) as door:
                found = door.execute(f"SELECT {of} WHERE {where}").fetchone()
            return found or ()

        leads = "epoch, holder FROM quotes_feedlease"
        feed = Runfeed(deployment, "feed")
        try:
            feed.ready()
            eventually(lambda: row("1 FROM quotes_lastquote"), "quotes are written down")
            eventually(lambda: "refused" in feed.output(), "the feed met the wrong key")
            before = row(leads)
            output = manage("doctor", check=False, **deployment.env)
            assert row(leads) == before
        finally:
            feed.stop()
        assert output.returncode == 1
        assert output.stderr == ""
        assert CANARY not in output.stdout
        assert "lease" not in feed.output()
        asked = sum(coingecko.ask("/_state")["requests"].values())
        assert row("requests FROM quotes_provideruse", "provider = 'coingecko'") == (asked,)
        document = (ROOT / "docs" / "operations.md").read_text()
        [sample] = re.findall(r"\$ python manage.py doctor\n(.*?)```", document, re.DOTALL)
        here = output.stdout.replace(f"127.0.0.1:{coingecko.port}", "api.coingecko.com")
        assert masked(here) == masked(sample)


def masked(text: str) -> list[str]:
    """Hide what differs from run to run: numbers, paths and names of machines."""
    text = re.sub(r"\S+:\d+ (leads)", r"… \1", text)
    text = re.sub(r"/\S*(db.sqlite3)", r"…\1", text)
    text = re.sub(r"\d[\d.,:]*", "9", text)
    return re.sub(r"\S+ 9 USD", "… 9 USD", text).strip().splitlines()
