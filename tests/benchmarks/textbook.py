"""The textbook way: every socket joins a Channels group, every tick is sent to the group as JSON.

An ASGI application of its own for daphne, with the ticks in the same process.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from django.conf import settings

from tests.benchmarks.load import Load

GROUP = "quotes"
LAYER: dict[str, Any] = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
if redis := os.environ.get("REDIS_URL"):
    LAYER = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [redis]},
    }
settings.configure(
    CHANNEL_LAYERS={"default": LAYER},
    INSTALLED_APPS=["channels"],
)
django.setup()
joined: set[str] = set()
tasks: list[asyncio.Task[None]] = []


class QuotesConsumer(AsyncWebsocketConsumer):
    """One visitor."""

    async def connect(self) -> None:
        """Join the group."""
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()
        joined.add(self.channel_name)

    async def disconnect(self, code: int) -> None:
        """Leave the group."""
        joined.discard(self.channel_name)
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def quote(self, event: dict[str, Any]) -> None:
        """Pass a tick on."""
        await self.send(text_data=json.dumps(event["quote"]))


async def tick() -> None:
    """Send ticks to the group forever."""
    layer = get_channel_layer()
    async for message in Load.read().messages(lambda: len(joined)):
        await layer.group_send(GROUP, {"type": "quote", "quote": message})


consumer = QuotesConsumer.as_asgi()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve a socket; with the first of them the ticks begin."""
    if not tasks:
        tasks.append(asyncio.create_task(tick()))
    await consumer(scope, receive, send)
