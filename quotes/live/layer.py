"""The layer: the only door between processes, with the words that go through it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from channels.layers import get_channel_layer

from quotes import conf
from quotes.feed.batch import Batch
from quotes.quote import Quote

logger = logging.getLogger(__name__)

GROUP = "quotes"
REJOIN_EVERY = 60.0  # seconds; layers forget the members of a group in time
JOIN_AGAIN = 1.0  # seconds after which a layer that failed is joined again

_failing: set[str] = set()  # what the log has told and is not over yet


@dataclass(frozen=True, slots=True)
class Heard:
    """One message of the layer: a batch of an epoch, or word that what is listed changed.

    Or may have changed: `acted` where somebody said so.
    """

    epoch: int = 0
    batch: Batch | None = None
    acted: bool = False


async def send_batch(epoch: int, batch: Batch) -> None:
    """Send a batch of the feed to every process."""
    await _send(
        {
            "type": "quotes.batch",
            "epoch": epoch,
            "number": batch.number,
            "quotes": [quote.to_wire() for quote in batch.quotes],
            "outages": {name: since.isoformat() for name, since in batch.outages.items()},
        }
    )


async def send_listing() -> None:
    """Tell every process to read anew what is listed."""
    await _send({"type": "quotes.listing"})


async def listen() -> AsyncIterator[Heard]:
    """Yield what is sent, for ever; other messages in the group are none of ours.

    Each time the group is joined, which is now and then, word of listings comes by itself.
    """
    door = get_channel_layer(conf.get("CHANNEL_LAYER"))
    clock = asyncio.get_running_loop().time
    channel, joined = "", float("-inf")
    try:
        while True:
            if clock() - joined > REJOIN_EVERY:
                channel = await _join(door, channel)
                joined = clock()
                yield Heard()  # what was said before is to be read
            message = await door.receive(channel)
            if message["type"] == "quotes.listing":
                yield Heard(acted=True)
            elif message["type"] == "quotes.batch":
                yield _read(message)
    finally:
        if channel:
            await door.group_discard(GROUP, channel)


async def _join(door: Any, channel: str) -> str:
    """Join the group, with a new channel if there is none; try until that is done."""
    while True:
        with _logged("the layer can't be joined"):
            channel = channel or await door.new_channel()
            await door.group_add(GROUP, channel)
            return channel
        await asyncio.sleep(JOIN_AGAIN)


async def _send(message: dict[str, Any]) -> None:
    with _logged("the layer takes no messages"):  # the next one is newer
        await get_channel_layer(conf.get("CHANNEL_LAYER")).group_send(GROUP, message)


@contextmanager
def _logged(what: str) -> Iterator[None]:
    """Log a failure of the layer and that it is over: two lines however often it is tried."""
    try:
        yield
    except Exception as error:  # each layer has exceptions of its own
        level = logging.DEBUG if what in _failing else logging.WARNING
        logger.log(level, "%s: %s: %s", what, type(error).__name__, error)
        _failing.add(what)
    else:
        if what in _failing:
            logger.info("no longer: %s", what)
        _failing.discard(what)


def _read(message: dict[str, Any]) -> Heard:
    outages = message["outages"].items()
    return Heard(
        message["epoch"],
        Batch(
            message["number"],
            [Quote.from_wire(values) for values in message["quotes"]],
            {name: datetime.fromisoformat(since) for name, since in outages},
        ),
    )
