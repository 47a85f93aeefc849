"""The lists of providers are searched, and our codes are checked against them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from quotes import conf
from quotes.feed import records
from quotes.management.commands.instruments import columns
from quotes.models import Instrument as Stored
from quotes.models import InstrumentList, ProviderSymbol, Symbol
from quotes.providers import REGISTRY, Instrument
from quotes.providers.coingecko import PLANS
from quotes.providers.kit.budgets import Budget
from tests.servers import ROOT, Stub, environment, eventually, free_port, manage

pytestmark = pytest.mark.django_db

CANARY = "canary-in-the-mine"
WITH_A_LIST = "alpaca, binance, coinbase, coingecko, finnhub, kraken"


@pytest.fixture(scope="module")
def running() -> Iterator[Stub]:
    """A stub of Coinbase that the tests of this file share."""
    stub = Stub()
    yield stub
    stub.stop()


@pytest.fixture
def coinbase(running: Stub, settings: Any) -> Iterator[Stub]:
    """Coinbase as the only provider, and Kraken at an address that does not answer."""
    settings.QUOTES = {
        "PROVIDERS": ["coinbase", "simulated"],
        "PROVIDER_OPTIONS": {
            "coinbase": {"rest_url": f"http://127.0.0.1:{running.port}"},
            "kraken": {"rest_url": f"http://user:{CANARY}@127.0.0.1:{free_port()}"},
        },
    }
    yield running
    running.ask("/_mode?to=ok")


class Output:
    """The output of the command, and how it ended."""

    def __init__(self, *arguments: str, terminal: bool = False) -> None:
        out, err = StringIO(), StringIO()
        err.isatty = lambda: terminal  # type: ignore[method-assign]
        self.error = ""
        try:
            call_command("instruments", *arguments, stdout=out, stderr=err)
        except CommandError as error:
            self.error = str(error)
        self.lines, self.beside = out.getvalue().splitlines(), err.getvalue()


def codes(**given: str) -> None:
    """List symbols with codes at Coinbase: BTC="BTC-USD" is the symbol BTC."""
    for name, code in given.items():
        symbol = Symbol.objects.create(code=name, name=name, kind="crypto", currency="USD")
        ProviderSymbol.objects.create(symbol=symbol, provider="coinbase", code=code)


class TestSearching:
    def test_prints_a_line_for_each_that_has_all_words_in_its_code_or_name(self, coinbase: Stub):
        output = Output("coinbase", "btc")
        assert output.lines == [
            "BTC-EUR  BTC/EUR  EUR  0.01  crypto",
            "BTC-USD  BTC/USD  USD  0.01  crypto",
        ]
        assert (output.error, output.beside) == ("", "")
        assert Output("coinbase", "/eur", "Btc-").lines == output.lines[:1]

    def test_prints_tick_sizes_in_full_and_lines_up_the_columns(self, coinbase: Stub):
        assert Output("coinbase", "/usd").lines[1::2] == [
            "DOGE-USD   DOGE/USD   USD  0.00001       crypto",
            "QUIET-USD  QUIET/USD  USD  0.01          crypto",
            "TINY-USD   TINY/USD   USD  0.0000000001  crypto",
        ]

    def test_shows_how_many_more_there_are(self, coinbase: Stub):
        output = Output("coinbase", "--limit", "1")
        assert output.lines == ["BTC-EUR  BTC/EUR  EUR  0.01  crypto"]
        assert output.beside == "1 of 7 instruments are shown: add words, or use --limit 7\n"
        assert len(Output("coinbase", "--limit", "7").lines) == 7

    def test_reports_that_nothing_matches(self, coinbase: Stub):
        output = Output("coinbase", "btc", "gbp")
        assert output.error == "coinbase lists no instrument with 'btc gbp' in its code or name"
        assert output.lines == []

    def test_reports_how_a_provider_fails(self, coinbase: Stub):
        coinbase.ask("/_mode?to=rate_limited")
        output = Output("coinbase", "btc").error
        assert re.match(r"rate limited until .* 127\.0\.0\.1:\d+/products answered 429", output)

    def test_shows_on_a_terminal_what_it_waits_for_and_clears_it(self, coinbase: Stub):
        output = Output("coinbase", "btc", terminal=True).beside
        assert "\r\x1b[Krequesting the list of coinbase …" in output
        assert output.endswith("\r\x1b[K")


class TestRefusing:
    @pytest.mark.parametrize("check", [[], ["--check"]], ids=["search", "check"])
    def test_an_unknown_provider_is_refused_with_those_that_exist(self, check: Any):
        error = Output(*check, "coinbse").error
        assert error == f"Unknown provider 'coinbse', must be one of: {', '.join(REGISTRY)}"

    @pytest.mark.parametrize("name", ["yahoo", "simulated", "database", "http"])
    @pytest.mark.parametrize("check", [[], ["--check"]], ids=["search", "check"])
    def test_a_provider_without_a_list_is_refused_with_those_that_have_one(
        self, check: Any, name: str
    ):
        error = Output(*check, name).error
        assert error == f"{name} has no list of instruments, must be one of: {WITH_A_LIST}"

    def test_without_a_provider_all_are_named(self):
        assert Output().error == f"A provider is missing, must be one of: {WITH_A_LIST}"

    def test_a_provider_without_its_key_is_refused(self, settings: Any):
        settings.QUOTES = {"PROVIDERS": ["simulated"]}
        assert Output("finnhub").error == "A key is missing, set FINNHUB_API_KEY"

    @pytest.mark.parametrize("given", ["0", "-1", "many"])
    def test_an_invalid_limit_is_refused(self, given: str):
        assert "must be a whole number above 0" in Output("coinbase", f"--limit={given}").error


class TestChecking:
    def test_names_the_codes_of_active_symbols_that_are_in_no_list(self, coinbase: Stub):
        codes(BTC="BTC-USD", GONE="GONE-USD", HALTED="HALTED-USD", OFF="OFF-USD")
        Symbol.objects.filter(code="OFF").update(active=False)
        output = Output("--check")
        assert output.lines == [
            "coinbase: 2 of 3 codes are not in its list:",
            "    GONE: GONE-USD",
            "    HALTED: HALTED-USD",
        ]
        assert output.error == (
            "2 codes are not in the lists of their providers: "
            "correct them in the admin, or switch those symbols off."
        )

    def test_reports_that_all_are_in_the_list(self, coinbase: Stub):
        codes(BTC="BTC-USD", ETH="ETH-USD")
        output = Output("--check", "coinbase")
        assert output.lines == ["coinbase: all 2 codes of active symbols are in its list"]
        assert output.error == ""

    def test_requests_nothing_if_there_is_nothing_to_check(self, coinbase: Stub):
        before = coinbase.load()
        output = Output("--check")
        assert output.lines == ["coinbase: no active symbol has a code for it"]
        assert coinbase.load() == before

    def test_continues_after_a_provider_that_fails_and_shows_no_password(self, coinbase: Stub):
        codes(GONE="GONE-USD")
        ProviderSymbol.objects.create(symbol=Symbol.objects.get(), provider="kraken", code="X")
        output = Output("--check", "kraken", "coinbase")
        words = r"kraken: 127\.0\.0\.1:\d+/0/public/AssetPairs could not be"
        assert re.match(words, output.lines[0])
        assert output.lines[1] == "coinbase: 1 of 1 codes are not in its list:"
        words = "kraken could not be checked. 1 code is not in the list of its provider: "
        assert output.error.startswith(words)
        assert CANARY not in str(vars(output))

    def test_needs_a_provider_with_a_list(self, settings: Any):
        settings.QUOTES = {"PROVIDERS": ["simulated", "yahoo"]}
        assert Output("--check").error == (
            f"None of simulated, yahoo in {conf.PROVIDERS} has a list of instruments: "
            f"use one of: {WITH_A_LIST}"
        )


class TestStoring:
    def test_stores_the_lists_of_the_site(self, coinbase: Stub):
        output = Output("--store")
        assert (output.lines, output.error) == (["coinbase: stored 7 instruments"], "")
        assert Stored.objects.get(symbol="BTC-EUR").currency == "EUR"

    def test_continues_after_a_provider_that_fails_and_shows_no_password(self, coinbase: Stub):
        output = Output("--store", "kraken", "coinbase")
        assert re.match(
            r"kraken: 127\.0\.0\.1:\d+/0/public/AssetPairs could not be", output.lines[0]
        )
        assert output.lines[1] == "coinbase: stored 7 instruments"
        assert output.error == "not stored: kraken. Earlier lists of them are kept."
        assert CANARY not in str(vars(output)) + InstrumentList.objects.get(pk="kraken").error

    def test_keeps_the_list_before_if_a_new_one_can_not_be_right(self, coinbase: Stub):
        Output("--store")
        for number in range(10):
            Stored.objects.create(
                provider="coinbase", code=f"C{number}", symbol="C", kind="crypto", currency="USD"
            )
        refused = Output("--store", "coinbase")
        assert "the list has 7 instruments, and the one before has 17" in refused.lines[0]
        assert refused.error.startswith("not stored: coinbase.")
        assert Stored.objects.count() == 17
        assert Output("--store", "--shorter", "coinbase").error == ""
        assert Stored.objects.count() == 7


def test_control_characters_of_a_source_are_escaped():
    named = Instrument(symbol="", code="X\n", name="\x1b[31mRed\rInc.", currency="")
    assert columns(named) == ["X", r"\x1b[31mRed Inc.", "-", "-", "crypto"]


def test_requests_of_a_monthly_plan_are_counted(settings: Any):
    coins = Stub("coingecko")
    options = {"rest_url": f"http://127.0.0.1:{coins.port}", "demo_key": "stub"}
    settings.QUOTES = {"PROVIDER_OPTIONS": {"coingecko": options}}
    month = Budget(PLANS["demo"]).month
    records.add_uses({"coingecko": (month, 9_998)})
    try:
        for used in (9_999, 10_000):
            assert Output("coingecko", "bitcoin").lines
            assert records.load_uses() == {"coingecko": (month, used)}
        assert "all 10000 requests" in Output("coingecko", "bitcoin").error
    finally:
        coins.stop()


@pytest.mark.server
def test_in_a_shell_it_exits_with_1_if_it_found_something(
    running: Stub, tmp_path: Path, database_template: Path
):
    env = {"DATABASE_URL": f"sqlite:///{database_template}", **running.settings}
    output = manage("instruments", "coinbase", "btc", "eur", check=False, **env)
    assert (output.returncode, output.stdout.split()[0]) == (0, "BTC-EUR")
    output = manage("instruments", "--check", check=False, **env)
    assert output.returncode == 1
    assert "codes are not in its list:\n" in output.stdout
    assert output.stderr.startswith("CommandError: ")


@pytest.mark.server
def test_ctrl_c_ends_it(coinbase: Stub, database_template: Path):
    coinbase.ask("/_mode?to=slow")
    _, before = coinbase.load()
    env = environment(DATABASE_URL=f"sqlite:///{database_template}", **coinbase.settings)
    command = [sys.executable, "manage.py", "instruments", "coinbase"]
    process = subprocess.Popen(command, env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    eventually(lambda: coinbase.load()[1] != before, "the list is requested")
    process.send_signal(signal.SIGINT)
    _, output = process.communicate(timeout=10)
    assert (process.returncode, output) == (130, "Stopped.\n")
