"""The login of the admin: few attempts, one after the other, and the same answer for any name."""

from __future__ import annotations

import asyncio
import html
import logging
import os
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from io import StringIO
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db.models import F
from django.test import Client
from logins import throttle, waiting
from logins.models import FailedLogins

from tests.servers import PATIENCE, ROOT, until
from tests.snippets import snippets

LOGIN = "/admin/login/"
HERE, THERE = "192.0.2.1", "198.51.100.7"
RIGHT = "a long password for Alice"
pytestmark = pytest.mark.usefixtures("live_parts")


class CountingHasher(MD5PasswordHasher):
    """A fast hasher that counts, and that waits while the test closes its door."""

    hashed = at_once = most_at_once = 0
    door = threading.Event()

    def encode(self, *args: Any, **given: Any) -> str:
        kind = type(self)
        kind.hashed += 1
        kind.at_once += 1
        kind.most_at_once = max(kind.most_at_once, kind.at_once)
        assert self.door.wait(PATIENCE)
        kind.at_once -= 1
        return super().encode(*args, **given)


@pytest.fixture(autouse=True)
async def alice(transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> User:
    """Alice runs the site. Refusals come at once, so that the tests do not wait."""
    monkeypatch.setattr(waiting, "DELAY", (0.0, 0.0))
    monkeypatch.setattr(throttle, "rarely", throttle.Rarely())
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    CountingHasher.door.set()
    user = await sync_to_async(User.objects.create_superuser)("alice", password=RIGHT)
    CountingHasher.hashed = CountingHasher.at_once = CountingHasher.most_at_once = 0
    return user


class Visitor:
    """A browser at an address, with the form of the login."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def attempt(self, password: str = "wrong", name: str = "alice") -> httpx.Response:
        form = {"username": name, "password": password, "next": "/admin/"}
        token = {"csrfmiddlewaretoken": self.client.cookies["csrftoken"]}
        return await self.client.post(LOGIN, data=form | token)

    async def statuses(self, count: int, *given: str) -> list[int]:
        return [(await self.attempt(*given)).status_code for _ in range(count)]

    async def enters(self, password: str = RIGHT, name: str = "alice") -> bool:
        return (await self.attempt(password, name)).status_code == 302


@asynccontextmanager
async def at(address: str = HERE, language: str = "en") -> AsyncIterator[Visitor]:
    """Open the form of the login at an address."""
    from quoteboard.asgi import application

    transport = httpx.ASGITransport(application, client=(address, 50_000))
    headers = {"Accept-Language": language}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://testserver", headers=headers
    ) as client:
        assert (await client.get(LOGIN)).status_code == 200
        yield Visitor(client)


def text(response: httpx.Response) -> str:
    """Return the visible text of a page, on one line."""
    body = response.text.partition("<body")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def pass_time() -> None:
    """Let fifteen minutes pass for all that was counted."""
    FailedLogins.objects.update(since=F("since") - throttle.WINDOW)


class TestTooManyFailures:
    async def test_of_a_name_block_it_even_with_the_right_password(self):
        async with at() as visitor:
            statuses = await visitor.statuses(25)
            assert statuses == [200] * 5 + [429] * 20
            assert not await visitor.enters()

    async def test_are_answered_with_the_time_to_wait_in_the_design_of_the_admin(self):
        async with at() as visitor:
            await visitor.statuses(5)
            refused = await visitor.attempt()
            assert "Too many logins failed. Try again in 15 minutes." in text(refused)
            assert "ask an operator of this server. They can let you in" in text(refused)
            assert "<code>manage.py unblock</code>" in refused.text
            assert 0 < int(refused.headers["Retry-After"]) <= 900
            assert 'id="site-name"' in refused.text
            assert "admin/css/login.css" in refused.text
            assert "default-src 'none'" in refused.headers["Content-Security-Policy"]
            assert "no-store" in refused.headers["Cache-Control"]

    async def test_are_answered_in_german_too(self):
        async with at(language="de-AT") as visitor:
            await visitor.statuses(5)
            refused = text(await visitor.attempt())
            words = "Anmeldeversuche sind fehlgeschlagen. Versuchen Sie es in 15 Minuten erneut."
            assert f"Zu viele {words}" in refused
            assert "wenden Sie sich an die Betreiber dieses Servers" in refused

    async def test_are_answered_alike_whether_the_name_exists_or_not(self):
        async with at(HERE) as visitor, at(THERE) as other:
            for _ in range(7):
                known, unknown = await visitor.attempt(), await other.attempt(name="bob")
                assert known.status_code == unknown.status_code
                assert text(known) == text(unknown)

    async def test_hash_no_more_passwords(self):
        async with at() as visitor:
            await visitor.statuses(5)
            hashed = CountingHasher.hashed
            assert await visitor.statuses(5) == [429] * 5
            assert await visitor.statuses(1, RIGHT) == [429]
            assert CountingHasher.hashed == hashed

    async def test_block_no_other_address_and_no_other_name(self):
        await sync_to_async(User.objects.create_superuser)("bob", password=RIGHT)
        async with at(HERE) as visitor, at(THERE) as other:
            await visitor.statuses(6)
            assert await other.enters()
            assert await visitor.enters(name="bob")

    async def test_with_a_success_between_them_do_not_add_up(self):
        async with at() as visitor:
            for _ in range(3):
                assert await visitor.statuses(4) == [200] * 4
                assert await visitor.enters()

    async def test_with_any_names_block_an_address(self):
        async with at() as visitor:
            for number in range(20):
                assert await visitor.statuses(1, "wrong", f"name {number}") == [200]
            assert (await visitor.attempt(RIGHT)).status_code == 429

    async def test_block_a_whole_64_of_ipv6(self):
        async with at("2001:db8::1") as visitor, at("2001:db8::ffff:2") as neighbour:
            await visitor.statuses(5)
            assert (await neighbour.attempt(RIGHT)).status_code == 429
        async with at("2001:db8:0:1::1") as other:
            assert await other.enters()

    async def test_end_after_fifteen_minutes(self):
        async with at() as visitor:
            await visitor.statuses(6)
            await sync_to_async(pass_time)()
            assert await visitor.enters()

    async def test_are_not_many_rows(self):
        async with at() as visitor:
            for number in range(40):
                await visitor.attempt(name=f"name {number}")
            assert await FailedLogins.objects.acount() == 21  # of twenty names, and of the address
            await sync_to_async(pass_time)()
        async with at(THERE) as other:
            await other.attempt()
        assert await FailedLogins.objects.acount() == 2

    async def test_at_the_same_time_are_no_way_around_it(self):
        async with at() as visitor:
            answers = await asyncio.gather(*(visitor.attempt() for _ in range(30)))
        assert sum(each.status_code == 200 for each in answers) <= 5
        assert CountingHasher.hashed <= 5


class TestManyLogins:
    async def test_hash_one_password_at_a_time(self):
        async with asyncio.timeout(PATIENCE), at(HERE) as one, at(THERE) as other:
            CountingHasher.door.clear()
            visitors = [one, other] * 4
            tasks = [asyncio.create_task(each.attempt()) for each in visitors]
            await until(lambda: waiting.queue.waiting == 8)
            await until(lambda: CountingHasher.at_once)
            CountingHasher.door.set()
            assert {each.status_code for each in await asyncio.gather(*tasks)} == {200}
        assert CountingHasher.most_at_once == 1

    async def test_do_so_when_the_clients_disconnect(self):
        async with at() as visitor:
            CountingHasher.door.clear()
            for _ in range(3):
                task = asyncio.create_task(visitor.attempt())
                await until(lambda: CountingHasher.at_once)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            CountingHasher.door.set()
            assert await visitor.enters()
        assert CountingHasher.most_at_once == 1

    async def test_that_wait_are_few_and_others_are_refused(self):
        async with at() as visitor:
            CountingHasher.door.clear()
            tasks = [asyncio.create_task(visitor.attempt()) for _ in range(waiting.MAX_WAITING)]
            await until(lambda: waiting.queue.waiting == waiting.MAX_WAITING)
            refused = await visitor.attempt(RIGHT)
            CountingHasher.door.set()
            await asyncio.gather(*tasks)
            assert refused.status_code == 503
            assert refused.headers["Retry-After"] == "5"
            assert "Too many logins at this moment. Try again in a few seconds." in text(refused)
            assert "unblock" not in refused.text

    async def test_do_not_delay_pages(self):
        async with at() as visitor:
            CountingHasher.door.clear()
            task = asyncio.create_task(visitor.attempt())
            await until(lambda: CountingHasher.at_once)
            assert (await visitor.client.get("/")).status_code == 200
            assert (await visitor.client.get(LOGIN)).status_code == 200
            CountingHasher.door.set()
            await task


class TestTheOperator:
    async def test_sees_a_line_for_each_kind_with_its_count_and_no_name(
        self, caplog: pytest.LogCaptureFixture
    ):
        async with at() as visitor:
            await visitor.statuses(9, "wrong", "my password")
        lines = [each for each in caplog.records if each.name == "logins.throttle"]
        assert [(each.levelno, each.getMessage()) for each in lines] == [
            (logging.WARNING, f"a login from {HERE} failed (so far 1)"),
            (
                logging.WARNING,
                f"refused a login from {HERE}: too many failures with one name (so far 1)",
            ),
        ]
        assert "my password" not in caplog.text

    async def test_sees_no_error_for_each_login_that_finds_the_queue_full(
        self, caplog: pytest.LogCaptureFixture
    ):
        async with at() as visitor:
            CountingHasher.door.clear()
            tasks = [asyncio.create_task(visitor.attempt()) for _ in range(waiting.MAX_WAITING)]
            await until(lambda: waiting.queue.waiting == waiting.MAX_WAITING)
            assert await visitor.statuses(20) == [503] * 20
            [line] = caplog.records
            CountingHasher.door.set()
            await asyncio.gather(*tasks)
        words = f"refused a login from {HERE}: too many logins at once (so far 1)"
        assert (line.levelno, line.getMessage()) == (logging.WARNING, words)

    @pytest.mark.parametrize("given", [HERE, "alice"])
    async def test_lets_somebody_in_again(self, given: str):
        async with at() as visitor:
            await visitor.statuses(6)
            assert "192.0.2.1 with one name: 5 failures, until " in await unblock()
            assert await unblock(given) == f"{given} may log in again.\n"
            assert await unblock() == "Nobody is blocked.\n"
            assert await visitor.enters()

    async def test_lets_somebody_in_with_the_commands_of_the_document(self):
        [block] = [
            each for each in snippets("sh", ROOT / "docs" / "operations.md") if "unbl" in each
        ]
        async with at("192.0.2.7") as visitor:
            await visitor.statuses(5)
            for line in block.splitlines():
                assert "192.0.2.7" in await unblock(*line.split()[3:])
            assert await visitor.enters()

    async def test_lets_a_name_in_although_its_address_has_too_many_failures(self):
        async with at() as visitor:
            for name in ("alice", "bob", "carol", "dora"):
                assert await visitor.statuses(5, "wrong", name) == [200] * 5
            assert (await visitor.attempt(RIGHT)).status_code == 429
            await unblock("alice")
            assert await visitor.enters()

    async def test_is_shown_what_has_no_failures(self):
        with pytest.raises(CommandError, match="'alcie' has no failed logins: check the spelling"):
            await unblock("alcie")

    @pytest.mark.parametrize(
        "given",
        [
            "2001:db8::/64",
            "2001:DB8:0:0::/64",
            "2001:db8::7",
            "2001:0DB8::ffff:1",
            "2001:db8::7/64",
        ],
    )
    async def test_lets_a_64_of_ipv6_in_by_any_of_its_addresses(self, given: str):
        async with at("2001:db8::1") as visitor:
            await visitor.statuses(5)
            assert "2001:db8::/64 with one name: 5 failures" in await unblock()
            assert await unblock(given) == f"{given} may log in again.\n"
            assert await visitor.enters()

    async def test_lets_an_address_in_that_is_written_as_ipv6(self):
        async with at() as visitor:
            await visitor.statuses(5)
            await unblock(f"::ffff:{HERE}")
            assert await visitor.enters()

    @pytest.mark.parametrize("given", ["2001:db8:0:1::1", "2001:db8::/48", "192.0.2.0/24"])
    async def test_lets_no_other_network_in(self, given: str):
        async with at("2001:db8::1") as visitor, at() as other:
            await visitor.statuses(5)
            await other.statuses(5)
            with pytest.raises(CommandError, match="has no failed logins"):
                await unblock(given)

    async def test_is_shown_which_text_is_invalid_before_anybody_is_let_in(self):
        async with at() as visitor:
            await visitor.statuses(5)
            with pytest.raises(CommandError, match=r"'b\\udcff' is not valid text: write an addr"):
                await unblock(HERE, os.fsdecode(b"b\xff"))
            assert HERE in await unblock()

    @pytest.mark.parametrize("given", ["al\x1b[31mice", "al\u202eice", "al\nice", "a" * 5000])
    async def test_gets_no_command_of_a_terminal_printed(self, given: str):
        with pytest.raises(CommandError, match="has no failed logins") as refused:
            await unblock(given)
        async with at() as visitor:
            await visitor.statuses(5, "wrong", given)
            printed = await unblock(given)
        for words in (str(refused.value), printed.rstrip()):
            assert words.isprintable()
            assert len(words) < 700
        async with at("\x1b[31m") as visitor:
            await visitor.statuses(5)
            assert (await unblock()).startswith(r"\x1b[31m with one name: 5 failures")


async def unblock(*given: str) -> str:
    """Return what the command prints."""
    out = StringIO()
    await sync_to_async(call_command)("unblock", *given, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("1", "at least 12 characters"),
        ("password1234", "too common"),
        ("4711471147118", "entirely numeric"),
        ("bob.marley.bob", "too similar to the username"),
    ],
)
async def test_the_admin_refuses_weak_passwords(alice: User, password: str, words: str):
    def posted() -> str:
        staff = Client()
        staff.force_login(alice)
        form = {"username": "bob.marley.bob", "usable_password": "true"}
        form |= {"password1": password, "password2": password}
        return staff.post("/admin/auth/user/add/", form).content.decode()

    assert words in await sync_to_async(posted)()
    assert not await User.objects.filter(username="bob.marley.bob").aexists()
