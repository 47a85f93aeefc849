"""The lowest cost in Python: `websockets.broadcast` of one message to all, and nothing else."""

from __future__ import annotations

import asyncio
import json
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve

from tests.benchmarks.load import Load


async def main(port: int) -> None:
    """Serve forever."""
    connections: set[ServerConnection] = set()

    async def handle(connection: ServerConnection) -> None:
        connections.add(connection)
        await connection.wait_closed()
        connections.discard(connection)

    async with serve(handle, "127.0.0.1", port, compression=None):
        async for message in Load.read().messages(lambda: len(connections)):
            broadcast(connections, json.dumps(message))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
