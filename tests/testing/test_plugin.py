"""The plugin in a foreign project: it has the wheel, and runs pytest on tests of its own."""

from __future__ import annotations

import re

import pytest

from tests.hosts.newcomer import edits
from tests.hosts.projects import HOME, Project, borrowed_environment, build_wheel
from tests.servers import ROOT
from tests.snippets import snippets

pytestmark = pytest.mark.server

TAGS = """
{% load quotes %}{% live_quotes "BTC-USD" "AAPL" %}
<p>We take {% live_quote "BTC-USD" %} too.</p>
"""
SETTINGS = """
[pytest]
DJANGO_SETTINGS_MODULE = mysite.settings
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""
FAILING = """
import socket

from quotes.models import Symbol


def test_unknown_symbol(live_quotes):
    live_quotes.push("BTC-USD", "64000.01")


def test_other_price(client, live_quotes):
    Symbol.objects.create(code="AAPL", name="Apple", kind="stock", currency="USD")
    live_quotes.push("AAPL", "101")
    page = live_quotes.open(client.get("/"))
    assert page["AAPL"]["last"] == "102.00"


def test_field_that_is_missing(client, live_quotes):
    Symbol.objects.create(code="AAPL", name="Apple", kind="stock", currency="USD")
    page = live_quotes.open(client.get("/"))
    page["AAPL"]["volume"]


def test_page_without_quotes(client, live_quotes):
    live_quotes.open(client.get("/market/healthz"))


def test_network(live_quotes):
    socket.create_connection(("api.kraken.com", 443))


async def test_async(live_quotes):
    live_quotes.push("BTC-USD", "64000.01")
"""
FAILURES = """
test_unknown_symbol: LookupError: there is no active symbol 'BTC-USD' in the database of this test, only: none.
test_other_price: AssertionError: assert '101.00' == '102.00'
test_field_that_is_missing: LookupError: AAPL shows no field 'volume', only: last, change-percent, time, state
test_page_without_quotes: ValueError: this page has no quotes that could be live: use a tag such as
test_network: quotes.testing.offline.NetworkRefused: this test may connect only to this machine, not to 'api.kraken.com'.
"""  # noqa: E501
NEEDS_TRANSACTION = "mark the test with @pytest.mark.django_db(transaction=True)"
WITHOUT = """
import sys


def test_nothing_of_django_was_imported():
    assert "quotes.testing.plugin" in sys.modules
    assert not any(name.partition(".")[0] == "django" for name in sys.modules)
"""
OVERRIDDEN = """
import pytest


@pytest.fixture
def live_quotes():
    return "of the project"


def test_it_keeps_its_own(live_quotes):
    assert live_quotes == "of the project"
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the wheel and a home page with quotes, without a database."""
    folder = tmp_path_factory.mktemp("shop")
    python = borrowed_environment(folder / "venv", build_wheel(folder))
    project = Project(folder / "project", python).start()
    for name, old, new in edits()[:2]:
        project.change(name, old, new)
    project.write("templates/home.html", HOME.replace("TAG", TAGS))
    project.write("pytest.ini", SETTINGS)
    return project


def run_pytest(shop: Project, tests: str, *options: str) -> str:
    """Run pytest on some tests and return its output."""
    shop.write("test_shop.py", tests)
    shop.env["COLUMNS"] = "200"
    command = ["-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=short", *options]
    done = shop.run(*command, check=False)
    return done.stdout + done.stderr


def test_all_tests_of_the_document_pass(shop: Project):
    document = snippets("python", ROOT / "docs" / "testing.md")
    tests = "\n".join(document)
    output = run_pytest(shop, tests)
    assert f"{tests.count('def test_')} passed" in output, output


def test_the_settings_of_the_document_are_those_of_the_plugin(shop: Project):
    [ini] = snippets("ini", ROOT / "docs" / "testing.md")
    shown = run_pytest(shop, "", "--help")
    for name in re.findall(r"^(\w+) =", ini, re.MULTILINE):
        assert name in shown


def test_a_failing_test_states_what_is_wrong_at_its_own_line(shop: Project):
    output = run_pytest(shop, FAILING)
    assert "5 failed, 1 error" in output, output
    for line in FAILURES.strip().splitlines():
        name, _, words = line.partition(": ")
        [failure] = re.findall(rf"_ {name} _+\n(.*?)(?=\n_____|\n=====)", output, re.DOTALL)
        assert words in " ".join(failure.split()).replace(" E ", " "), failure
        assert "quotes/testing" not in failure
    assert NEEDS_TRANSACTION in output


def test_a_project_that_does_not_use_it_is_left_alone(shop: Project):
    output = run_pytest(
        shop, WITHOUT, "-p", "no:django", "-o", "DJANGO_SETTINGS_MODULE=", "-W", "ignore"
    )
    assert "1 passed" in output, output
    assert "1 passed" in run_pytest(shop, OVERRIDDEN)


def test_it_can_be_left_out(shop: Project):
    output = run_pytest(shop, FAILING, "-p", "no:quotes", "-k", "other_price")
    assert "fixture 'live_quotes' not found" in output
