"""Bodies: one that is too large is refused before it is read. Smaller ones reach the page."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from tests.servers import PATIENCE

LIMIT = 4 * 1024 * 1024


class Request(ApplicationCommunicator):
    """A request whose body arrives in pieces."""

    def __init__(self, *headers: tuple[bytes, bytes], path: str = "/admin/login/") -> None:
        from quoteboard.asgi import application

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"testserver"), *headers],
            "client": ("192.0.2.1", 50_000),
            "server": ("testserver", 80),
        }
        super().__init__(application, scope)

    async def send_body(self, piece: bytes, more: bool = True) -> None:
        await self.send_input({"type": "http.request", "body": piece, "more_body": more})

    async def status(self) -> int:
        """Return the status of the answer."""
        start = await self.receive_output(PATIENCE)
        return start["status"]

    async def text(self) -> str:
        """Return the first part of the answer's body."""
        body = await self.receive_output(PATIENCE)
        return body["body"].decode()


def length(size: int) -> tuple[bytes, bytes]:
    return (b"content-length", str(size).encode())


async def test_a_body_is_refused_by_its_length_before_any_of_it_arrives(live_parts: Any):
    request = Request(length(LIMIT + 1))
    assert await request.status() == 413
    assert await request.text() == "The body of a request may have at most 4,194,304 bytes."
    await request.send_input({"type": "http.disconnect"})
    await request.wait(PATIENCE)


async def test_a_body_without_a_length_is_refused_while_it_arrives(live_parts: Any):
    request = Request()
    for _ in range(LIMIT // 65_536):
        await request.send_body(b"x" * 65_536)
    await request.send_body(b"x")
    assert await request.status() == 413
    await request.text()
    await request.send_body(b"x", more=False)  # discarded
    await request.wait(PATIENCE)


async def test_a_refused_body_is_counted_by_its_reason(live_parts: Any, async_client: Any):
    request = Request(length(LIMIT * 100))
    assert await request.status() == 413
    await request.send_input({"type": "http.disconnect"})
    await request.wait(PATIENCE)
    figures = (await async_client.get("/metrics")).content.decode()
    assert 'quotes_refused_total{reason="body"} 1.0' in figures


async def test_a_body_at_the_limit_reaches_the_page(live_parts: Any):
    request = Request(length(LIMIT))
    await request.send_body(b"x" * (LIMIT - 1))
    await request.send_body(b"x", more=False)
    assert await request.status() == 403  # of the page: the token of the form is missing
    await request.wait(PATIENCE)


async def test_a_site_of_ones_own_takes_bodies_of_any_size(live_parts: Any, settings: Any):
    settings.QUOTES = {k: v for k, v in settings.QUOTES.items() if k != "MAX_BODY_BYTES"}
    request = Request(length(LIMIT * 2))
    await request.send_body(b"x" * LIMIT * 2, more=False)
    assert await request.status() == 403
    await request.wait(PATIENCE)


@pytest.mark.parametrize("started", [False, True])
async def test_an_application_that_reads_too_much_can_no_longer_answer(
    live_parts: Any, started: bool
):
    from quotes.live.bodies import bounded

    sent: list[dict[str, Any]] = []
    start = {"type": "http.response.start", "status": 200, "headers": []}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if started:
            await send(start)
        assert await receive() == {"type": "http.disconnect"}
        await send(start)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * (LIMIT + 1), "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await bounded(application)({"type": "http", "headers": [], "client": None}, receive, send)
    statuses = [message["status"] for message in sent if "status" in message]
    assert statuses == ([200, 200] if started else [413])
