"""Shared by all tests. Servers and browsers are real. If one is missing, a test is skipped, and the
reason names the package to install. In CI, the test fails instead."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from django.db.models.signals import post_migrate
from django.utils import translation
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

# a busy machine fails no property
PATIENT = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.register_profile("patient", PATIENT)
hypothesis_settings.register_profile("few", PATIENT, max_examples=10)  # see .ci/run
hypothesis_settings.load_profile("patient")
gc.set_threshold(20_000, 20, 50)  # collecting garbage took a twentieth of the time of the tests
pytest_plugins = ["quotes.testing.plugin"]  # the package is not installed here
pytest.register_assert_rewrite("tests.providers.contract")  # before anything imports it

from tests import templates  # noqa: E402
from tests.servers import Postgres, Redis, Site, find_chromium, find_postgres, site  # noqa: E402

(Path(__file__).resolve().parents[1] / "var").mkdir(exist_ok=True)  # for the test database
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
# A shell ignores SIGINT in what it runs in the background; our processes would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that wait longest, so that none of them begins at the end."""
    items.sort(key=lambda item: [not item.get_closest_marker(m) for m in ("browser", "server")])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Add to the report of a failure the ends of its servers' logs."""
    report = yield
    if report.failed:
        values = getattr(item, "funcargs", {}).values()
        sites = [each for each in values if isinstance(each, Site)]
        report.sections.extend((f"end of {each.log}", each.end_of_log()) for each in sites)
    return report


def lacking(what: str, package: str) -> None:
    """Skip a test if a program is missing; in CI, fail it."""
    reason = f"{what} is missing: install it with “apt-get install {package}”"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> None:
    """Make the database, and keep its permissions only until the first test with transactions.

    That test empties the tables, as do some 300 others, and making the permissions again after each
    of them took a tenth of the time of the fast tests. A test that needs permissions makes them.
    """
    assert post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's Chromium."""
    found = find_chromium()
    if found is None:
        lacking("Chromium", "chromium-headless-shell")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def common_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is the same in all processes of the tests."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if hasattr(request.config, "workerinput") else folder


@pytest.fixture(scope="session")
def database_template(common_folder: Path) -> Path:
    """A database with the starter catalogue, to copy."""
    return templates.sqlite(common_folder)


@pytest.fixture(scope="session")
def few_symbols(tmp_path_factory: pytest.TempPathFactory, database_template: Path) -> Path:
    """A database with few active symbols: each moves more often, and a site has less to do."""
    return templates.few(tmp_path_factory.mktemp("few"), database_template)


@pytest.fixture
def redis_server() -> Iterator[Redis]:
    """A running Redis."""
    program = shutil.which("redis-server")
    if program is None:
        lacking("Redis", "redis-server")
    assert program is not None
    server = Redis(program)
    server.start()
    yield server
    server.stop()


def postgres_programs() -> Path:
    """Return the folder with the programs of PostgreSQL, or skip the test."""
    found = find_postgres()
    if found is None:
        lacking("PostgreSQL", "postgresql")
    assert found is not None
    return found


@contextmanager
def running_postgres(template: Path | None = None) -> Iterator[Postgres]:
    """Run PostgreSQL.

    Not in pytest's folder, which each run of pytest that begins closes to other users again.
    """
    programs = postgres_programs()
    with TemporaryDirectory(prefix="quotes-postgres-") as folder:
        server = Postgres(programs, Path(folder), template)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def postgres_server(common_folder: Path) -> Iterator[Postgres]:
    """A running PostgreSQL with the starter catalogue."""
    with running_postgres(templates.postgres(common_folder, postgres_programs())) as server:
        yield server


@pytest.fixture(scope="module")
def shared_postgres() -> Iterator[Postgres]:
    """A running PostgreSQL with an empty database that the tests of one file share."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def running_site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    database_template: Path,
) -> Iterator[Site]:
    """The site with the simulated market, under each server in turn."""
    folder = tmp_path_factory.mktemp(request.param)
    with site(folder, database_template, request.param) as running:
        yield running


@pytest.fixture(autouse=True)
def language_of_the_site() -> Iterator[None]:
    """End each test without the language of its last request, which stays active in its thread."""
    yield
    translation.deactivate()


@pytest.fixture
def make_quote() -> Callable[..., Any]:
    """Return a maker of quotes: AAPL at 101, previous close 100, unless given."""
    from quotes.quote import Quote

    def make(symbol: str = "AAPL", last: str = "101", **more: Any) -> Quote:
        given = {
            "provider": "simulated",
            "currency": "USD",
            "reference": Decimal(100),
            "reference_kind": "prev_close",
            "received_at": NOW,
        } | more
        return Quote(symbol=symbol, last=Decimal(last), **given)

    return make


@pytest.fixture
async def live_parts(transactional_db: None, settings: Any) -> AsyncIterator[Any]:
    """The live parts of this process, listening to the layer, without a feed."""
    import quoteboard.asgi  # noqa: F401  # it sets logging up again: not during a test that reads the log
    from channels.layers import channel_layers

    from quotes import live
    from quotes.models import FeedLease

    settings.SILENCED_SYSTEM_CHECKS = ["quotes.E004"]  # an application refuses what is set next
    settings.QUOTES = settings.QUOTES | {"FEED": "external", "PACE": 0.02}
    channel_layers.backends = {}
    await FeedLease.objects.acreate(epoch=1)  # the one in which tests send batches
    parts = await live.ensure_started()
    yield parts
    await live.stop()
