"""Uvicorn's sockets: one frame, compressed, of a message for thousands, and short refusals."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from quotes import live
from quotes.limits.answers import Refused
from quotes.management import answers

RECENT = 32  # frames that are kept: pages that return at one moment share their openings
# Each message is compressed on its own, so that sockets can share it and none needs memory for it.
COMPRESSION = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True, client_no_context_takeover=True
)
INVALID_TEXT = Refused("utf8", 400, "A message is not valid UTF-8.")


class SharedFrames(WebSocketsSansIOProtocol):
    """Uvicorn's sockets, but with one frame for a text that many sockets send.

    Those of browsers get it compressed by permessage-deflate (RFC 7692).
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn.available_extensions = [COMPRESSION]
        self.window = 0

    def handle_connect(self, event: Any) -> None:
        """Accept or refuse a socket; from now on, it is known what it can read."""
        super().handle_connect(event)
        for extension in self.conn.extensions:
            if isinstance(extension, PerMessageDeflate):
                self.window = extension.local_max_window_bits

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
        if self.curr_msg_data_type == "text" and not _is_text(b"".join(self.frames)):
            self._count(INVALID_TEXT)
            self.conn.send_close(1007)
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    def _count(self, refused: Refused) -> None:
        host, _ = self.client or ("", 0)
        live.count_refusal(refused, host)

    async def send(self, message: Any) -> None:
        """Send a text at once if the socket is ready, and leave everything else to uvicorn."""
        text = message.get("text") if message["type"] == "websocket.send" else None
        if text is None or self.conn.state is not State.OPEN or not self.writable.is_set():
            await super().send(message)
            if message["type"] == "websocket.http.response.body":
                self.handshake_complete = True  # otherwise, each refusal is logged as an error
            return
        self.transport.write(frame(text, self.window))


@lru_cache(RECENT)
def frame(text: str, window: int) -> bytes:
    """Return a message as a frame of a server, compressed if a window of 9 to 15 bits is given."""
    extensions = [PerMessageDeflate(True, True, window, window)] if window else []
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False, extensions=extensions)


def _is_text(frames: bytes) -> bool:
    try:
        frames.decode()
    except UnicodeDecodeError:
        return False
    return True
