"""Pages that stop reading, on real sockets: they delay no other, cost little, and are closed."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from asgiref.sync import sync_to_async
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from quotes.feed.batch import Batch
from quotes.live import hub, layer
from quotes.management import servers
from quotes.management.commands.serve import configuration, listen
from quotes.models import Board, BoardSymbol, Symbol
from tests.servers import PATIENCE, until

pytestmark = pytest.mark.server

SYMBOLS = [f"S{number:03}-USD" for number in range(100)]


def list_symbols() -> None:
    board = Board.objects.create(slug="crypto", title="Crypto")
    rows = [Symbol(code=code, name=code, kind="crypto", currency="USD") for code in SYMBOLS]
    for position, symbol in enumerate(Symbol.objects.bulk_create(rows)):
        BoardSymbol.objects.create(board=board, symbol=symbol, position=position)


@pytest.fixture
async def served(live_parts: Any) -> AsyncIterator[str]:
    """The site as `manage.py serve` has it, in this process, with a board of 100 symbols."""
    from quoteboard.asgi import application

    await sync_to_async(list_symbols)()
    await live_parts.reload()
    server = uvicorn.Server(configuration(application))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    with listen("127.0.0.1:0", share_port=False) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await until(lambda: server.started)
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = server.force_exit = True
        await serving


def visit(host: str) -> Any:
    """Open the board's socket as a page does, with small buffers, which unread messages fill."""
    name, _, port = host.partition(":")
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    line.connect((name, int(port)))
    return connect(
        f"ws://{host}/ws/cryptoupdates/",
        sock=line,
        origin=f"http://{host}",
        compression=None,
        max_size=None,
        max_queue=1,
        ping_interval=None,
        open_timeout=PATIENCE,
        close_timeout=0.5,
    )


class Market:
    """A market in which all prices rise by one with each move."""

    def __init__(self, parts: Any, make_quote: Any) -> None:
        self.parts, self.make_quote, self.last = parts, make_quote, 100

    async def move(self) -> None:
        """Move every price, and wait until all pages that read have received it."""
        self.last += 1
        now = self.parts.store.clock()
        quotes = [self.make_quote(each, str(self.last), received_at=now) for each in SYMBOLS]
        number = self.parts.seen[1] + 1
        await layer.send_batch(1, Batch(number, quotes, {}))
        await until(lambda: self.parts.seen >= (1, number) and not self.parts.hub.changed)


async def read_until(page: ClientConnection, price: int) -> list[int]:
    """Read up to a price; return the prices of the last symbol on the way."""
    seen: list[int] = []
    async with asyncio.timeout(PATIENCE):
        while price not in seen:
            found = re.findall(
                rf'data-symbol="{SYMBOLS[-1]}".*?value="(\d+)"', await page.recv(), re.DOTALL
            )
            seen += map(int, found)
    return seen


async def stall(market: Market, reader: ClientConnection) -> None:
    """Move prices until one page does not take them; the page that reads gets all of them."""
    async with asyncio.timeout(PATIENCE):
        while not market.parts.hub.counts["slow"]:
            await market.move()
            assert await read_until(reader, market.last) == [market.last]


async def test_a_page_that_reads_again_gets_the_newest_and_nothing_twice(
    served: str, live_parts: Any, make_quote: Any
):
    market = Market(live_parts, make_quote)
    async with visit(served) as reader, visit(served) as stuck:
        await stall(market, reader)
        stalled_at = market.last
        for _ in range(20):
            await market.move()
            assert await read_until(reader, market.last) == [market.last]
        seen = await read_until(stuck, market.last)
        assert seen == sorted(set(seen))
        # of the moves while it was stuck, it got only the newest, at once
        assert len([price for price in seen if price > stalled_at]) <= 2
        await market.move()
        assert await read_until(stuck, market.last) == [market.last]
        assert live_parts.hub.counts["stuck"] == 0


async def test_a_page_without_progress_is_closed_with_4013_and_forgotten(
    served: str, live_parts: Any, make_quote: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hub, "STUCK_AFTER", 0.2)
    market = Market(live_parts, make_quote)
    async with visit(served) as reader, visit(served) as stuck:
        await stall(market, reader)
        await until(lambda: live_parts.hub.counts["stuck"])
        await market.move()
        assert await read_until(reader, market.last) == [market.last]
        assert len([page for pages in live_parts.hub.watches.values() for page in pages]) == 1
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionClosed):
                async for _ in stuck:
                    pass
        assert stuck.close_code == 4013
    await until(lambda: not live_parts.limits.sockets)


def test_the_system_ends_who_takes_nothing_and_holds_little_for_him():
    with listen("127.0.0.1:0", share_port=False) as listening:
        visitor = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
        with visitor, accepted:
            patience = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert patience == servers.GONE_AFTER * 1000 > hub.STUCK_AFTER * 1000
            accepted.setblocking(False)
            held = 0
            with suppress(BlockingIOError):
                while held < 10_000_000:
                    held += accepted.send(b"x" * 4096)
            assert held < 1_000_000
