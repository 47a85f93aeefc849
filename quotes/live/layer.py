"""The layer: the messages between processes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from channels.layers import BaseChannelLayer, InMemoryChannelLayer, get_channel_layer

from quotes import conf
from quotes.feed.batch import Batch
from quotes.feed.records import NOTHING, Version
from quotes.limits.rarely import Rarely
from quotes.quote import Quote
from quotes.quote.texts import short
from quotes.quote.wire import from_wire, to_wire, wire_count, wire_text, wire_time

logger = logging.getLogger(__name__)

SEND_WITHIN = 1.0  # seconds; the feed does not wait longer for a layer that hangs
REJOIN_EVERY = 60.0  # seconds; layers forget the members of a group after a while
CAPACITY = 1000  # messages that wait in a layer of our own
JOIN_AGAIN = 1.0  # seconds between two attempts to join the group

_failing: set[str] = set()  # failures that were logged and have not ended
rarely = Rarely()
_deployment = ""
ignored = rarely.counts  # messages: "foreign" batches, and "invalid" ones


def enter(deployment: str) -> None:
    """Use this name from now on: send batches with it, and ignore batches with other names."""
    global _deployment  # noqa: PLW0603
    _deployment = deployment


def group() -> str:
    """Return the name of the group that the processes of this deployment share."""
    return f"quotes.{_deployment}" if _deployment else "quotes"


def in_memory() -> bool:
    """Return whether messages stay within one process."""
    return isinstance(channel_layer(), InMemoryChannelLayer)


def channel_layer() -> Any:
    """Return the channel layer of the settings, or one of our own, in memory, without it."""
    alias = conf.get("CHANNEL_LAYER")
    return get_channel_layer(alias) if alias in conf.layers() else _own_layer()


@cache
def _own_layer() -> InMemoryChannelLayer:
    return InMemoryChannelLayer(capacity=CAPACITY)


@dataclass(frozen=True, slots=True)
class Change:
    """The notice that symbols or boards may have changed."""

    listed: bool = True  # whether the journal lists them


@dataclass(frozen=True, slots=True)
class Published:
    """A batch of the feed, and its epoch."""

    epoch: int
    batch: Batch


@dataclass(frozen=True, slots=True)
class Joined:
    """A process joined the group. The feed sends the unwritten quotes to its channel."""

    channel: str


@dataclass(frozen=True, slots=True)
class Unwritten:
    """The quotes that wait to be written: the feed's answer to a process that joined."""

    epoch: int
    quotes: list[tuple[int, Quote]]  # with the number of the batch that published each


Message = Change | Published | Joined | Unwritten


async def send_batch(epoch: int, batch: Batch) -> None:
    """Send a batch of the feed to every process."""
    await _send(
        {
            "type": "quotes.batch",
            "deployment": _deployment,
            "epoch": epoch,
            "number": batch.number,
            "quotes": [to_wire(quote) for quote in batch.quotes],
            "outages": {name: since.isoformat() for name, since in batch.outages.items()},
        }
    )


async def send_change(*, listed: bool = True) -> None:
    """Notify every process that symbols or boards changed, and whether the journal lists them."""
    await _send({"type": "quotes.change", "listed": listed})


async def send_unwritten(channel: str, epoch: int, quotes: Iterable[tuple[int, Quote]]) -> None:
    """Send a process that joined the quotes that it can't read from the database yet."""
    pairs = [(number, to_wire(quote)) for number, quote in quotes]
    message = {"type": "quotes.unwritten", "deployment": _deployment, "epoch": epoch}
    await _send(message | {"quotes": pairs}, to=channel)


async def listen(seen: Callable[[], Version] = lambda: NOTHING) -> AsyncIterator[Message]:
    """Yield the messages of this deployment, forever, and skip all others.

    A batch that is not newer than the version `seen` is skipped before its quotes are read. After
    each join of the group, request from the feed the quotes that are not written, and yield
    a notice that symbols or boards may have changed.
    """
    channels = channel_layer()
    clock = asyncio.get_running_loop().time
    channel, joined = "", float("-inf")
    try:
        while True:
            if clock() - joined > REJOIN_EVERY:
                channel = await _join(channels, channel)
                joined = clock()
                question = {"type": "quotes.joined", "deployment": _deployment}
                await _send(question | {"channel": channel})
                yield Change()  # changes from before the join are not read yet
            if message := await _receive(channels, channel, seen):
                yield message
    finally:
        if channel:
            with suppress(Exception):  # each layer has exceptions of its own
                async with asyncio.timeout(SEND_WITHIN):
                    await channels.group_discard(group(), channel)


async def _receive(channels: Any, channel: str, seen: Callable[[], Version]) -> Message | None:
    """Return the next message; None if it is not one of ours, or a batch that was seen."""
    try:
        return _read(await channels.receive(channel), seen)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        _ignore(error)
        return None


def _ignore(error: Exception) -> None:
    if rarely.is_due("invalid"):
        logger.warning(
            "ignored an invalid message of the layer, so far %d: %s: %s",
            ignored["invalid"],
            type(error).__name__,
            short(str(error)),
        )


async def _join(channels: Any, channel: str) -> str:
    """Join the group, with a new channel if there is none; try until it succeeds."""
    while True:
        with _logged("could not join the layer", "joined the layer again"):
            channel = channel or await channels.new_channel()
            await channels.group_add(group(), channel)
            return channel
        await asyncio.sleep(JOIN_AGAIN)


async def _send(message: dict[str, Any], to: str = "") -> None:
    """Send a message to one channel, or to the group."""
    channels = channel_layer()
    with _logged("could not send to the layer", "can send to the layer again"):
        async with asyncio.timeout(SEND_WITHIN):
            if to:
                await channels.send(to, message)
            else:
                await channels.group_send(group(), message)


@contextmanager
def _logged(failure: str, end: str) -> Iterator[None]:
    """Log the beginning and the end of a failure; attempts between them are logged as DEBUG."""
    try:
        yield
    except Exception as error:  # each layer has exceptions of its own
        level = logging.DEBUG if failure in _failing else logging.WARNING
        logger.log(level, "%s: %s: %s", failure, type(error).__name__, str(error) or "no answer")
        _failing.add(failure)
    else:
        if failure in _failing:
            logger.info("%s", end)
        _failing.discard(failure)


def _read(message: dict[str, Any], seen: Callable[[], Version]) -> Message | None:
    """Read a message of any sender; raise an error of Python for one of another form."""
    if message["type"] == "quotes.change":
        return Change(message.get("listed") is True)  # another release sends no such value
    if message["type"] not in READERS:
        return None
    if message.get("deployment", "") != _deployment:
        ignored["foreign"] += 1
        return None
    if message["type"] == "quotes.batch" and _version(message) <= seen():
        return None  # the feed hears its own batches
    return READERS[message["type"]](message)


def _version(message: dict[str, Any]) -> Version:
    return wire_count(message["epoch"]), wire_count(message["number"])


def _batch(message: dict[str, Any]) -> Published:
    outages, (epoch, number) = message["outages"].items(), _version(message)
    return Published(
        epoch,
        Batch(
            number,
            [from_wire(values) for values in message["quotes"]],
            {wire_text(name): wire_time(since) for name, since in outages},
        ),
    )


def _joined(message: dict[str, Any]) -> Joined:
    channel = message["channel"]
    if not (isinstance(channel, str) and len(channel) < BaseChannelLayer.MAX_NAME_LENGTH):
        raise ValueError(f"{short(channel)} is not the name of a channel")
    return Joined(channel)


def _unwritten(message: dict[str, Any]) -> Unwritten:
    pairs = message["quotes"]
    quotes = [(wire_count(number), from_wire(values)) for number, values in pairs]
    return Unwritten(wire_count(message["epoch"]), quotes)


READERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "quotes.batch": _batch,
    "quotes.joined": _joined,
    "quotes.unwritten": _unwritten,
}
