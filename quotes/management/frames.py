"""Uvicorn's sockets: one frame of a message for thousands of them, and short refusals."""

from __future__ import annotations

from typing import Any, ClassVar

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from quotes import live
from quotes.limits.answers import Refused
from quotes.management import answers

INVALID_TEXT = Refused("utf8", 400, "A message is not valid UTF-8.")


class SharedFrames(WebSocketsSansIOProtocol):
    """Uvicorn's sockets, but with one frame for an event that many sockets send in a row.

    The hub sends the same event object to all of them, so that the object identifies its frame.
    """

    event: ClassVar[Any] = None
    frame: ClassVar[bytes] = b""

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
        if message is not SharedFrames.event:
            SharedFrames.event = message
            SharedFrames.frame = Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
        self.transport.write(SharedFrames.frame)


def _is_text(frames: bytes) -> bool:
    try:
        frames.decode()
    except UnicodeDecodeError:
        return False
    return True
