"""While the database is locked or away, the admin and the login answer in words."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection, connections
from django.test import AsyncClient
from logins import waiting
from quoteboard import outages

from quotes.models import Board, HeldPrice
from tests.servers import until
from tests.test_logins import CountingHasher, text

RIGHT = "a long password for Alice"
LOGIN = {"username": "alice", "password": RIGHT}
WORDS = "The database does not answer. Try again in a moment."
pytestmark = pytest.mark.usefixtures("live_parts")


@pytest.fixture(autouse=True)
async def alice(
    transactional_db: None,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    async_client: AsyncClient,
) -> AsyncClient:
    """Alice runs the site, and is logged in. Nobody waits for a lock."""
    monkeypatch.setattr(outages, "rarely", outages.Rarely())
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.01)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    user = await sync_to_async(User.objects.create_superuser)("alice", password=RIGHT)
    await async_client.aforce_login(user)
    async_client.raise_request_exception = False
    return async_client


@contextmanager
def locked() -> Iterator[None]:
    """Lock the database as another process does that writes for long."""
    other = sqlite3.connect(connection.settings_dict["NAME"], check_same_thread=False)
    with closing(other):
        other.execute("BEGIN IMMEDIATE")
        yield


@pytest.fixture
async def away(alice: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncClient]:
    """Alice, while the database is away."""
    with monkeypatch.context() as patched:
        patched.setitem(connection.settings_dict, "NAME", "/nowhere/quotes.sqlite3")
        await sync_to_async(connections.close_all)()
        yield alice


def check(answer: Any) -> None:
    """Check that an answer is the page for an outage."""
    assert answer.status_code == 503
    assert WORDS in text(answer)
    assert answer["Retry-After"] == "5"
    assert answer["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]


class TestALockedDatabase:
    async def test_lets_nobody_log_in_and_is_described_in_words(self, async_client: AsyncClient):
        with locked():
            check(await async_client.post("/admin/login/", LOGIN))
        answer = await async_client.post("/admin/login/", LOGIN)
        assert answer.status_code == 302

    @pytest.mark.parametrize("cookies", [True, False], ids=["again", "first"])
    async def test_is_described_in_words_if_it_locks_after_the_password(
        self, async_client: AsyncClient, cookies: bool
    ):
        if not cookies:
            async_client.cookies.clear()
        with ExitStack() as stack:

            def lock(**given: Any) -> None:
                stack.enter_context(locked())

            user_logged_in.connect(lock)
            stack.callback(user_logged_in.disconnect, lock)
            check(await async_client.post("/admin/login/", LOGIN))
        assert (await async_client.post("/admin/login/", LOGIN)).status_code == 302

    async def test_is_waited_for_by_one_login_only_while_others_are_in_the_queue(
        self, async_client: AsyncClient, settings: Any
    ):
        settings.PASSWORD_HASHERS = ["tests.test_logins.CountingHasher"]
        CountingHasher.door.set()
        await User.objects.filter(username="alice").aupdate(password=make_password(RIGHT))
        CountingHasher.door.clear()
        first, *others = (
            asyncio.create_task(async_client.post("/admin/login/", LOGIN)) for _ in range(10)
        )
        await until(lambda: waiting.queue.waiting == 10 and CountingHasher.at_once)
        with locked():
            CountingHasher.door.set()
            check(await first)
        for answer in await asyncio.gather(*others):
            check(answer)
        answer = await async_client.post("/admin/login/", LOGIN)
        assert answer.status_code == 302

    async def test_lets_nobody_change_a_board_and_shows_it(self, async_client: AsyncClient):
        form = {"title": "Crypto", "slug": "crypto", "position": "0"}
        with locked():
            check(await async_client.post("/admin/quotes/board/add/", form))
            assert (await async_client.get("/admin/quotes/board/")).status_code == 200
        assert not await Board.objects.aexists()


class TestADatabaseThatIsAway:
    @pytest.mark.parametrize(
        "path",
        [
            "/admin/",
            "/admin/login/",
            "/admin/quotes/board/",
            "/admin/quotes/symbol/1/change/",
            "/admin/auth/user/add/",
            "/admin/password_change/",
            "/admin/nowhere/",
        ],
    )
    async def test_is_described_in_words_by_each_page_of_the_admin(
        self, away: AsyncClient, path: str
    ):
        check(await away.get(path))

    @pytest.mark.parametrize("path", ["/admin/login/", "/admin/logout/", "/admin/quotes/board/1/"])
    async def test_is_described_in_words_to_forms(self, away: AsyncClient, path: str):
        check(await away.post(path, LOGIN))

    async def test_is_described_in_german_too(self, away: AsyncClient):
        answer = await away.get("/admin/", headers={"Accept-Language": "de"})
        assert "Die Datenbank antwortet nicht. Versuchen Sie es gleich noch einmal." in text(answer)

    async def test_stops_no_page_with_prices(self, away: AsyncClient):
        assert (await away.get("/")).status_code == 200

    async def test_is_one_line_of_the_log_for_many_requests_without_a_traceback(
        self, away: AsyncClient, caplog: pytest.LogCaptureFixture
    ):
        for _ in range(5):
            await away.get("/admin/")
            await away.post("/admin/login/", LOGIN)
        [line] = [each for each in caplog.records if not each.name.startswith("quotes.")]
        assert (line.name, line.levelno) == ("quoteboard.outages", logging.WARNING)
        assert line.getMessage() == (
            "refused a request without the database: unable to open database file (so far 1)"
        )
        assert not line.exc_info


async def test_a_session_that_was_deleted_meanwhile_is_no_outage(async_client: AsyncClient):
    def delete(**given: Any) -> None:
        Session.objects.all().delete()

    user_logged_in.connect(delete)
    try:
        answer = await async_client.post("/admin/login/", LOGIN)
    finally:
        user_logged_in.disconnect(delete)
    assert answer.status_code == 400


async def test_a_database_that_may_not_be_written_is_an_error_until_somebody_mends_it(
    async_client: AsyncClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    path = connection.settings_dict["NAME"]
    with monkeypatch.context() as patched:
        patched.setitem(connection.settings_dict, "NAME", f"file:{path}?mode=ro")
        await sync_to_async(connections.close_all)()
        assert (await async_client.post("/admin/login/", LOGIN)).status_code == 500
    await sync_to_async(connections.close_all)()
    [record] = [each for each in caplog.records if each.name == "django.request"]
    assert "attempt to write a readonly database" in str(record.exc_info)


async def test_a_missing_table_is_an_error_with_its_traceback(
    async_client: AsyncClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(HeldPrice._meta, "db_table", "nowhere")
    assert (await async_client.get("/admin/quotes/heldprice/")).status_code == 500
    [record] = [each for each in caplog.records if each.name == "django.request"]
    assert record.exc_info
    assert record.exc_info[0] is OperationalError
