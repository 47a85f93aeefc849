"""Uvicorn's sockets: one compressed frame for thousands of them, and short refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import NegotiationError
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from quotes import live
from quotes.limits.answers import Refused
from quotes.management import answers

WINDOW = 15  # bits
LEVEL = {"level": 3}  # of zlib: half the time of its usual level, for a tenth more bytes


class Compression(ServerPerMessageDeflateFactory):
    """Negotiates compressed frames that all sockets can share (RFC 7692).

    Each message is compressed on its own, so that no socket needs memory for those before it. A
    client that wants a smaller window gets plain frames: each size would be compressed again.
    """

    def process_request_params(self, params: Any, accepted: Any) -> Any:
        """Return the answer to an offer; raise NegotiationError for one that can't share."""
        answer, extension = super().process_request_params(params, accepted)
        if extension.local_max_window_bits != WINDOW:
            raise NegotiationError("unsupported server_max_window_bits")
        return answer, extension


COMPRESSION = Compression(server_no_context_takeover=True, client_no_context_takeover=True)
INVALID_TEXT = Refused("utf8", 400, "A message is not valid UTF-8.")
IN_PARTS = Refused("parts", 413, "Messages in parts are not accepted.")


class SharedFrames(WebSocketsSansIOProtocol):
    """Uvicorn's sockets, but with one frame for a message that many sockets get.

    Clients that offer permessage-deflate get it compressed.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn.available_extensions = [COMPRESSION]

    def handle_text(self, event: Frame) -> None:
        """Read a message that is whole. A page has no reason to send one in parts."""
        self._read_whole(event, super().handle_text)

    def handle_bytes(self, event: Frame) -> None:
        """Read a message that is whole, too."""
        self._read_whole(event, super().handle_bytes)

    def handle_cont(self, event: Frame) -> None:
        """Ignore the parts of a message that was refused with its first one."""

    def _read_whole(self, event: Frame, read: Callable[[Frame], None]) -> None:
        if event.fin:
            read(event)
        elif self.conn.state is State.OPEN:
            self._close(1009, IN_PARTS)

    def data_received(self, data: bytes) -> None:
        """Answer and count an invalid handshake; uvicorn answers only some of them."""
        was_invalid = self.conn.handshake_exc
        super().data_received(data)
        if self.conn.handshake_exc and not was_invalid:
            self._count(answers.INVALID_HANDSHAKE)
            if not self.handshake_initiated:  # it could not be read as a request
                self.transport.write(answers.raw(answers.INVALID_HANDSHAKE))
                self.transport.close()

    def send_receive_event_to_app(self) -> None:
        """Close a socket whose text is not valid; uvicorn would log a traceback."""
        [whole] = self.frames
        if self.curr_msg_data_type == "text" and not _is_text(whole):
            self._close(1007, INVALID_TEXT)
            return
        super().send_receive_event_to_app()

    def _close(self, code: int, reason: Refused) -> None:
        self._count(reason)
        self.conn.send_close(code)
        self.handle_parser_exception()

    def _count(self, refused: Refused) -> None:
        host, _ = self.client or ("", 0)
        live.count_refusal(refused, host)

    async def send(self, message: Any) -> None:
        """Send a text as the frame that its other sockets get, and leave the rest to uvicorn."""
        text = message.get("text") if message["type"] == "websocket.send" else None
        await self.writable.wait()  # at once, unless the socket is slow
        if text is None or self.disconnected or self.conn.state is not State.OPEN:
            await super().send(message)
            if message["type"] == "websocket.http.response.body":
                self.handshake_complete = True  # otherwise, each refusal is logged as an error
            return
        self.transport.write(frame(text, compressed=bool(self.conn.extensions)))


def frame(text: str, *, compressed: bool) -> bytes:
    """Return a message as a frame; a message of the hub keeps it for its other sockets."""
    frames: dict[bool, bytes] = getattr(text, "frames", {})
    if compressed not in frames:
        extensions = [PerMessageDeflate(True, True, WINDOW, WINDOW, LEVEL)] if compressed else []
        made = Frame(Opcode.TEXT, text.encode()).serialize(mask=False, extensions=extensions)
        frames[compressed] = made
    return frames[compressed]


def _is_text(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
