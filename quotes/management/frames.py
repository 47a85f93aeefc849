"""Frames: uvicorn makes one frame of a message that goes to thousands of sockets."""

from __future__ import annotations

from typing import Any, ClassVar

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State


class SharedFrames(WebSocketsSansIOProtocol):
    """Uvicorn's sockets, but with one frame for an event that many sockets send in a row.

    The hub sends the same event object to all of them, so that the object identifies its frame.
    """

    event: ClassVar[Any] = None
    frame: ClassVar[bytes] = b""

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
