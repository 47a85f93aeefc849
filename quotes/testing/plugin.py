"""The plugin of pytest: fixtures for the tests of a site.

pytest loads it in every project that has the package installed. So it imports nothing of Django,
and does nothing until a test uses one of the fixtures.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from quotes.testing.offline import offline

if TYPE_CHECKING:
    from quotes.testing.market import LiveQuotes

HOSTS = "quotes_allow_hosts"
NEEDS_TRANSACTION = (
    "live_quotes in an async test needs committed rows: "
    "mark the test with @pytest.mark.django_db(transaction=True)"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting for hosts that tests may connect to."""
    words = "hosts that tests with live_quotes may connect to, in addition to this machine"
    parser.addini(HOSTS, words, type="args", default=[])


@pytest.fixture
def quotes_offline(pytestconfig: pytest.Config) -> Iterator[None]:
    """Refuse connections to other machines, except those in `quotes_allow_hosts`."""
    with offline(pytestconfig.getini(HOSTS)):
        yield


@pytest.fixture
def live_quotes(
    request: pytest.FixtureRequest,
    db: None,
    quotes_offline: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[LiveQuotes]:
    """The quotes of the site without providers: a test sends them, and moves their clock."""
    from django.db import connection  # noqa: PLC0415

    from quotes.testing.market import LiveQuotes  # noqa: PLC0415

    if inspect.iscoroutinefunction(request.function) and connection.in_atomic_block:
        pytest.fail(NEEDS_TRANSACTION, pytrace=False)
    # candles of simulated symbols follow the real clock; a test has only those that it stores
    monkeypatch.setattr("quotes.candles.invented.make", lambda *given: {})
    with LiveQuotes() as quotes:
        yield quotes
