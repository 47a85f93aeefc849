"""Requests and sockets of daphne. Refused ones never reach the application.

Daphne calls the application when the whole body of a request is in memory or in a file. So bodies
are measured here, while they arrive.
"""

from __future__ import annotations

from typing import Any

from autobahn.websocket.types import ConnectionDeny
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketProtocol

from quotes import conf, live
from quotes.limits.answers import Refused, answer
from quotes.live import bodies
from quotes.management import answers, chunks


def extend(factory: HTTPFactory) -> None:
    """Let a factory of daphne make requests that are limited."""
    build = factory.buildProtocol

    def limited(address: Any) -> Any:
        protocol = build(address)
        protocol.requestFactory = Request
        answer_unreadable(protocol._channel)
        return protocol

    factory.buildProtocol = limited


def answer_unreadable(channel: Any) -> None:
    """Let Twisted answer what it can't read with the headers of all other answers.

    It does so in a method of its channel that it calls private; a test shows that it still exists.
    """

    def respond() -> None:
        channel.transport.write(answers.raw(Refused("request", 400, "The request is not valid.")))
        channel.loseConnection()

    channel._respondToBadRequestAndDisconnect = respond


class Request(WebRequest):
    """A request that is answered as soon as its body is too large, or comes in too small chunks."""

    limit: int | None = None
    refused = False
    chunked = False
    chunks = 0

    def gotLength(self, length: int | None) -> None:  # noqa: N802  Twisted's name
        """Refuse a body by its length, before it arrives."""
        self.limit, self.chunked = conf.get("MAX_BODY_BYTES"), length is None
        super().gotLength(length)
        if self.is_above_limit(length or 0):
            self.refuse(bodies.too_large(self.limit or 0))

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """Keep a part of the body, unless that would be too much."""
        if self.refused:
            return
        self.chunks += self.chunked
        length = self.content.tell() + len(data)
        if self.is_above_limit(length):
            self.refuse(bodies.too_large(self.limit or 0))
        elif chunks.are_too_many(self.chunks, length):
            self.refuse(chunks.TOO_MANY)
            self.channel.loseConnection()  # reading the rest would take the same time
        else:
            super().handleContentChunk(data)

    def requestReceived(self, *line: bytes) -> None:  # noqa: N802
        """Call the application, unless the request was refused."""
        if self.refused:
            self.channel.loseConnection()
        else:
            super().requestReceived(*line)

    def is_above_limit(self, length: int) -> bool:
        """Return whether a body of this length is too large."""
        return self.limit is not None and length > self.limit

    def refuse(self, refused: Refused) -> None:
        """Answer now, and close after a while, unless the caller closes at once.

        Many clients read the answer only after they have sent the body.
        """
        # Twisted sets self.method only after the body, so only its channel knows the method here.
        self.refused, is_head = True, self.channel._command == b"HEAD"
        live.count_refusal(refused, self.client.host, "a request")
        self.content.truncate(0)
        self.requestHeaders.removeHeader(b"Expect")  # else the body is requested from the client
        self.channel.transport.write(answers.raw(refused, with_body=not is_head))
        self.channel.callLater(bodies.DISCARD_FOR, self.channel.loseConnection)

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Answer an error of daphne itself, with the headers of all other answers."""
        status, headers, content = answer(Refused("server", status, body))
        start = {"type": "http.response.start", "status": status, "headers": headers}
        self.handle_reply(start)
        self.handle_reply({"type": "http.response.body", "body": content})


class Socket(WebSocketProtocol):
    """A socket whose invalid handshakes are counted, and have no traceback."""

    def onConnect(self, request: Any) -> Any:  # noqa: N802  Autobahn's name
        """Refuse a header that daphne could not decode."""
        if not request.headers.get("sec-websocket-protocol", "").isascii():
            raise ConnectionDeny(400, "Invalid Sec-WebSocket-Protocol")  # type: ignore[no-untyped-call]
        return super().onConnect(request)

    def failHandshake(self, reason: str, code: int = 400, *more: Any) -> None:  # noqa: N802
        """Refuse a handshake, and count it unless the application did."""
        if code not in (403, 500):
            live.count_refusal(answers.INVALID_HANDSHAKE, self.transport.getPeer().host)
        super().failHandshake(reason, code, *more)

    def onClose(self, *how: Any) -> None:  # noqa: N802
        """Report the end to daphne, if it knows this socket."""
        if hasattr(self, "server"):
            super().onClose(*how)
