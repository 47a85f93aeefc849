"""Three ways to call a server's `send` for everybody, with nothing else around them.

A bare ASGI application; WAY in the environment selects the way.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from tests.benchmarks.load import Load

Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]

sends: dict[Send, None] = {}
tasks: list[asyncio.Task[None]] = []


async def in_turn(everybody: Iterable[Send], event: dict[str, Any]) -> None:
    """Await one after the other: a slow one delays all others."""
    for send in everybody:
        await send(event)


async def a_task_each(everybody: Iterable[Send], event: dict[str, Any]) -> None:
    """Send to all at once."""
    await asyncio.gather(*(asyncio.create_task(send(event)) for send in everybody))


async def stepped(everybody: Iterable[Send], event: dict[str, Any]) -> None:
    """Step each once: it is done, or it is slow and would be handed to a task."""
    for send in everybody:
        try:
            send(event).send(None)
        except StopIteration:
            continue
        raise RuntimeError("a visitor of the benchmark does not read")


WAYS = {way.__name__: way for way in (in_turn, a_task_each, stepped)}


async def tick() -> None:
    """Send ticks to all forever."""
    send_all = WAYS[os.environ["WAY"]]
    async for message in Load.read().messages(lambda: len(sends)):
        await send_all(list(sends), {"type": "websocket.send", "text": json.dumps(message)})


async def application(scope: dict[str, Any], receive: Any, send: Send) -> None:
    """Serve a socket; with the first of them the ticks begin."""
    if scope["type"] != "websocket":
        return
    if not tasks:
        tasks.append(asyncio.create_task(tick()))
    await send({"type": "websocket.accept"})
    sends[send] = None
    while (await receive())["type"] != "websocket.disconnect":
        pass
    del sends[send]
