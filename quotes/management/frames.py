"""Frames: what one message costs uvicorn that goes to thousands."""

from __future__ import annotations

from typing import Any, ClassVar

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State


class SharedFrames(WebSocketsSansIOProtocol):
    """Uvicorn's own sockets, but an event that many get in a row is made a frame once.

    The hub sends everybody the same event object, so that it is known by its identity.
    """

    event: ClassVar[Any] = None
    frame: ClassVar[bytes] = b""

    async def send(self, message: Any) -> None:
        """Send a text at once where that can be, and leave all else to uvicorn."""
        text = message.get("text") if message["type"] == "websocket.send" else None
        if text is None or self.conn.state is not State.OPEN or not self.writable.is_set():
            await super().send(message)
            return
        if message is not SharedFrames.event:
            SharedFrames.event = message
            SharedFrames.frame = Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
        self.transport.write(SharedFrames.frame)
