"""Limits: everything above a limit is refused with a text, counted and logged; the rest goes on."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from channels.testing import HttpCommunicator
from hypothesis import given
from hypothesis import strategies as st

from quotes.limits import Allowance, Limits, address_of
from quotes.limits.answers import Refused
from quotes.limits.rarely import RareRefusals
from tests.servers import PATIENCE
from tests.sockets import Page

HERE, THERE = ("192.0.2.1", 50_000), ("192.0.2.2", 50_000)
WORDS = {"websocket.http.response": {}}  # the extension of a server that can refuse with a text


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def page(
    client: tuple[str, int] = HERE,
    path: str = "/ws/quotes/?symbols=AAPL",
    extensions: dict[str, Any] | None = None,
) -> Page:
    """A page that has not connected yet."""
    from quoteboard.asgi import application

    headers = [(b"host", b"testserver"), (b"origin", b"http://testserver")]
    knocking = Page(application, path, headers=headers)
    knocking.scope |= {"client": client, "extensions": extensions or {}}
    return knocking


async def opened(client: tuple[str, int] = HERE) -> Page:
    """A page whose socket is open."""
    visitor = page(client)
    accepted, code = await visitor.connect()
    assert accepted, code
    return visitor


async def answer(knocking: Page) -> tuple[int, str]:
    """Return the HTTP status and the text of a refusal."""
    await knocking.send_input({"type": "websocket.connect"})
    start = await knocking.receive_output()
    body = await knocking.receive_output()
    assert start["type"] == "websocket.http.response.start"
    return start["status"], body["body"].decode()


async def figures(client: Any) -> dict[str, float]:
    """Return the figures of /metrics by name and label."""
    text = (await client.get("/metrics")).content.decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


async def test_a_full_process_refuses_more_and_takes_them_when_it_has_room(
    live_parts: Any, settings: Any, async_client: Any
):
    settings.QUOTES = settings.QUOTES | {"MAX_SOCKETS": 2}
    first, second = await opened(HERE), await opened(THERE)
    status, words = await answer(page(("192.0.2.3", 1), extensions=WORDS))
    assert status == 503
    assert "can't take more sockets" in words
    assert await page(("192.0.2.3", 1)).connect() == (False, 1000)  # a server that sends no text
    output = await figures(async_client)
    assert output["quotes_sockets"] == 2
    assert output['quotes_refused_total{reason="sockets"}'] == 2
    await first.disconnect()
    third = await opened(("192.0.2.3", 1))
    for visitor in (second, third):
        await visitor.disconnect()
    assert (await figures(async_client))["quotes_sockets"] == 0


async def test_one_address_cannot_take_the_room_of_others(live_parts: Any, settings: Any):
    settings.QUOTES = settings.QUOTES | {"MAX_SOCKETS_PER_ADDRESS": 2}
    visitors = [await opened(HERE), await opened(HERE)]
    status, words = await answer(page(HERE, extensions=WORDS))
    assert status == 429
    assert "Too many sockets from your address" in words
    visitors.append(await opened(THERE))
    await visitors.pop(0).disconnect()
    visitors.append(await opened(HERE))
    for visitor in visitors:
        await visitor.disconnect()


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/ws/nowhere/", 404, "There is no socket at this address"),
        ("/ws/boards/bonds/", 404, "There is no board “bonds”"),
        (
            "/ws/quotes/?symbols=" + ",".join(f"S{n}" for n in range(201)),
            400,
            "201 symbols requested, at most 200 are allowed",
        ),
        ("/ws/quotes/?" + "&".join(f"a{n}=1" for n in range(2000)), 400, "at most 8,192 bytes"),
    ],
)
async def test_a_refusal_has_its_reason(live_parts: Any, path: str, status: int, words: str):
    refused = await answer(page(path=path, extensions=WORDS))
    assert refused[0] == status
    assert words in refused[1]
    assert live_parts.limits.sockets.total() == 0


async def test_a_foreign_page_gets_the_reason(live_parts: Any):
    foreign = page(extensions=WORDS)
    foreign.scope["headers"] = [(b"host", b"testserver"), (b"origin", b"http://evil.example")]
    assert await answer(foreign) == (
        403,
        "Pages of the origin 'http://evil.example' may not open sockets here.",
    )


async def test_a_client_without_an_origin_gets_the_reason(live_parts: Any):
    nameless = page(extensions=WORDS)
    nameless.scope["headers"] = [(b"host", b"testserver")]
    assert await answer(nameless) == (403, "A socket needs exactly one Origin header.")


@pytest.mark.parametrize(
    ("message", "count", "reason"),
    [
        ({"text": "x"}, 61, "messages"),
        ({"text": "x" * 4097}, 1, "size"),
        ({"text": "€" * 1366}, 1, "size"),  # 4,098 bytes
        ({"bytes": b"x"}, 1, "binary"),
    ],
)
async def test_a_page_that_sends_too_much_is_closed_and_counted(
    live_parts: Any, async_client: Any, message: dict[str, Any], count: int, reason: str
):
    visitor = await opened()
    await visitor.receive_output()
    for _ in range(count):
        await visitor.send_input({"type": "websocket.receive"} | message)
    closed = await visitor.receive_output()
    assert (closed["type"], closed["code"]) == ("websocket.close", 4408)
    assert closed["reason"]
    assert (await figures(async_client))[f'quotes_refused_total{{reason="{reason}"}}'] == 1
    await visitor.disconnect()


async def test_a_page_may_send_a_little(live_parts: Any):
    visitor = await opened()
    await visitor.receive_output()
    for _ in range(60):
        await visitor.send_input({"type": "websocket.receive", "text": "x" * 4096})
    while not await visitor.receive_nothing(timeout=0.05):  # pulses come at any time
        assert (await visitor.receive_output())["type"] == "websocket.send"
    await visitor.disconnect()


def test_messages_of_a_minute_ago_no_longer_count():
    clock = Clock()
    allowance = Allowance(clock)
    for _ in range(3):
        for _ in range(60):
            allowance.spend("x")
        with pytest.raises(Refused, match="Too many messages"):
            allowance.spend("x")
        clock.now += 60


def test_a_flood_of_refusals_is_a_log_message_now_and_then(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    clock = Clock()
    limits = Limits(clock)
    for _ in range(1000):
        limits.count(Refused("address", 429, "Too many sockets."), "192.0.2.1")
    limits.count(Refused("route", 404, "Unknown address."), "192.0.2.1")
    clock.now += 10
    limits.count(Refused("address", 429, "Too many sockets."), "192.0.2.9")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            "refused a socket from 192.0.2.1: Too many sockets. (address, refusals so far: 1)",
        ),
        ("INFO", "refused a socket from 192.0.2.1: Unknown address. (route, refusals so far: 1)"),
        (
            "WARNING",
            "refused a socket from 192.0.2.9: Too many sockets. (address, refusals so far: 1001)",
        ),
    ]


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("192.0.2.1", 1), "192.0.2.1"),
        (["192.0.2.1", 1], "192.0.2.1"),  # daphne's
        (("::ffff:192.0.2.1", 1), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 1), "2001:db8:1:2::/64"),
        (("2001:db8:1:2::9", 1), "2001:db8:1:2::/64"),
        (("2001:db8:1:3::9", 1), "2001:db8:1:3::/64"),
        (None, ""),  # a socket of the file system
        (("unix", 0), "unix"),
    ],
)
def test_sockets_count_for_an_address_or_its_network(client: Any, address: str):
    assert address_of({"client": client}) == address


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_counts_of_sockets_are_right_whatever_comes_and_goes(moves: list[tuple[str, bool]]):
    limits, open_sockets = Limits(), []
    for address, comes in moves:
        if comes:
            socket = limits.socket(address)
            socket.__enter__()
            open_sockets.append((address, socket))
        elif open_sockets:
            open_sockets.pop(0)[1].__exit__(None, None, None)
        counted = {each: sum(a == each for a, _ in open_sockets) for each in "abc"}
        assert dict(limits.sockets) == {each: n for each, n in counted.items() if n}


async def test_only_allowed_addresses_see_the_figures(
    live_parts: Any, settings: Any, async_client: Any
):
    assert (await async_client.get("/metrics")).status_code == 200
    settings.QUOTES = settings.QUOTES | {"METRICS_FROM": ["192.0.2.7"]}
    assert (await async_client.get("/metrics")).status_code == 404


async def test_a_network_may_see_the_figures(live_parts: Any, settings: Any):
    allowed = ["10.0.0.0/8", "2001:DB8:0::1", "::ffff:192.0.2.7"]
    settings.QUOTES = settings.QUOTES | {"METRICS_FROM": allowed}
    from quoteboard.asgi import application

    async def sees(address: str) -> bool:
        request = HttpCommunicator(application, "GET", "/metrics")
        request.scope["client"] = (address, 1)
        answer = await request.get_response(PATIENCE)
        await request.wait(PATIENCE)
        return answer["status"] == 200

    for address in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1", "192.0.2.7"):
        assert await sees(address), address
    for address in ("11.0.0.1", "2001:db8::2", "::10.1.2.3", "unix", "10.1.2.3, 8.8.8.8", ""):
        assert not await sees(address), address


def test_a_refusal_is_decided_once_for_all_handlers_of_the_log():
    rare = RareRefusals()

    def record() -> logging.LogRecord:
        name = "django.security.DisallowedHost"
        return logging.LogRecord(name, logging.ERROR, "", 0, "Invalid host", (), None)

    first, second = record(), record()
    assert [rare.filter(first), rare.filter(first)] == [True, True]
    assert first.getMessage() == "Invalid host (so far: 1)"
    assert [rare.filter(second), rare.filter(second)] == [False, False]
    assert rare.rarely.counts["django.security.DisallowedHost"] == 2
