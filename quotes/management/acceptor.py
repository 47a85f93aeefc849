"""Acceptor: a server of uvicorn that accepts connections only while there is room for them."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import uvicorn

from quotes import live
from quotes.limits import RESTARTS, max_connections
from quotes.limits.rarely import Rarely
from quotes.management import answers, chunks, idle

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.1  # seconds between two looks for a signal, as in uvicorn
FULL_FOR = 0.1  # seconds between two checks whether there is room again
FAILED_FOR = 1.0  # seconds after a connection could not be accepted, as in asyncio


class Server(uvicorn.Server):
    """Uvicorn's server, but with an accept loop that stops while no more files may be open.

    Asyncio would try once for each connection in its queue, and log each attempt.
    """

    def __init__(self, config: uvicorn.Config, listening: socket.socket) -> None:
        super().__init__(config)
        self.listening = listening
        self.accepting: asyncio.Task[None] | None = None
        self.failed = False  # whether the application could not start
        self.most = max_connections()
        self.rarely = Rarely()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then accept connections; give up if a signal ends the server."""
        starting = asyncio.create_task(self._start())
        while not starting.done():
            await asyncio.wait([starting], timeout=LOOK_EVERY)
            if self.should_exit:
                starting.cancel()
                return
        self.failed = starting.result() or self.lifespan.should_exit
        if self.failed:
            self.should_exit = True
            return
        self.listening.setblocking(False)
        self.accepting = asyncio.create_task(self._accept())
        self.accepting.add_done_callback(self._ended)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, close the sockets one after the other, and end."""
        if self.accepting:
            self.accepting.cancel()
            await asyncio.wait([self.accepting])
        self.listening.close()
        await live.close_sockets(RESTARTS)
        await super().shutdown(sockets=[])

    async def _start(self) -> bool:
        """Start the application; return whether it failed. Its error is in the log then."""
        try:
            await super().startup(sockets=[])
        except SystemExit:  # in a task, asyncio would log it once more
            return True
        return False

    async def _accept(self) -> None:
        loop, failing = asyncio.get_running_loop(), False
        while True:
            if self._is_full():
                await asyncio.sleep(FULL_FOR)
                continue
            try:
                connection, _ = await loop.sock_accept(self.listening)
            except OSError as error:
                if not failing:
                    logger.error("could not accept connections, trying again: %s", error)
                failing = True
                await asyncio.sleep(FAILED_FOR)
                continue
            failing = False
            try:
                opened = await loop.connect_accepted_socket(self._protocol, connection)
                idle.watch(*opened)
            except Exception as error:  # as asyncio does: one client must not end the server
                connection.close()
                logger.debug("could not serve a connection: %r", error)

    def _is_full(self) -> bool:
        full = len(self.server_state.connections) >= self.most
        if full and self.rarely.is_due("full"):
            words = "%d connections are open, the limit of open files allows no more: others wait"
            logger.warning(words, self.most)
        return full

    def _protocol(self) -> Any:
        protocol: Any = self.config.http_protocol_class
        state = self.lifespan.state
        made = protocol(config=self.config, server_state=self.server_state, app_state=state)
        return answers.with_headers(idle.counting(chunks.limited(made)))

    def _ended(self, accepting: asyncio.Task[None]) -> None:
        if not accepting.cancelled() and (error := accepting.exception()):
            logger.error("the server ends: it could not accept connections", exc_info=error)
            self.should_exit = True
