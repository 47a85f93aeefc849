"""Consumers: one websocket each. They say what a page watches; the hub does the sending.

Browser sockets join no channel layer and dispatch nothing per update: the layer would be asked
once per visitor, and every dispatch hops through the process's one database thread.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from channels.exceptions import DenyConnection
from channels.generic.websocket import AsyncWebsocketConsumer
from django.core.exceptions import SuspiciousOperation
from django.http import QueryDict

from quotes import live
from quotes.addresses import Address, TooManySymbols
from quotes.hub import Subscriber

logger = logging.getLogger(__name__)

RESTART = 4012  # our close code for "the server restarts, come back"
TOO_MUCH = 4408  # for good: the page sent what no page of ours sends
MOST_BYTES = 4096  # of one frame from a page


class QuotesConsumer(AsyncWebsocketConsumer):
    """Any symbols: `/ws/quotes/?symbols=BTC-USD,AAPL`."""

    channel_layer_alias = "none of the site's"
    board: ClassVar[str] = ""
    subscriber: Subscriber | None = None

    async def connect(self) -> None:
        """Begin with everything that is watched; refuse, before accepting, what can't be."""
        self.live = await live.ensure_started()
        try:
            self.address = Address.read(self.params(), self.slug)
        except (TooManySymbols, SuspiciousOperation) as error:
            logger.info("refused a socket: %s", error)
            raise DenyConnection from error
        if self.address.board and self.address.board not in self.live.catalogue.boards:
            raise DenyConnection
        await self.accept()
        watch = self.address.watch(self.live.catalogue)
        self.subscriber = self.live.hub.subscribe(watch, self.base_send)
        self.live.on_listing.add(self.listing_changed)
        if self.live.outdated(self.address):
            self.listing_changed(self.live.rechoose)

    async def disconnect(self, code: int) -> None:
        """Leave the hub."""
        self.leave()

    def leave(self) -> None:
        """Let nothing more be sent here."""
        if self.subscriber:
            self.live.hub.unsubscribe(self.subscriber)
            self.live.on_listing.discard(self.listing_changed)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Ignore what pages say: they have nothing to say. What is too long ends the socket."""
        if bytes_data is not None or len(text_data or "") > MOST_BYTES:
            self.leave()
            await self.close(TOO_MUCH)

    @property
    def slug(self) -> str:
        """The board that the address names, if it names one."""
        return self.board or self.scope["url_route"]["kwargs"].get("slug", "")

    def params(self) -> QueryDict:
        """Return the query string; a board of its own beats one in there."""
        params = QueryDict(self.scope["query_string"], mutable=True)
        params["board"] = self.slug
        return params

    def listing_changed(self, rechoose: live.Rechoose) -> None:
        """Give the page the rows that its board has now, and watch those."""
        if not self.subscriber:
            return
        if not self.address.board or not self.address.mark:
            self.watch_again(self.subscriber)
            return
        if self.live.outdated(self.address):
            self.address, rows = rechoose(self.address)
            watch = self.address.watch(self.live.catalogue)
            self.live.hub.move(self.subscriber, watch, rows)

    def watch_again(self, subscriber: Subscriber) -> None:
        """Take what is not listed any more off the page, and show what is."""
        watch = self.address.watch(self.live.catalogue)
        if watch != subscriber.watch:
            fragments = self.live.fragments
            left = [place for place in subscriber.watch.places() if place not in watch.places()]
            gone = fragments.gone(left, watch.language)
            self.live.hub.move(subscriber, watch, gone + fragments.snapshot(watch))

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handle an event of this socket without Channels' hop to the database thread."""
        handler = getattr(self, message["type"].replace(".", "_"))
        await handler(message)


class BoardConsumer(QuotesConsumer):
    """A board by its slug: `/ws/boards/<slug>/`."""


class CryptoUpdatesConsumer(BoardConsumer):
    """The crypto board at the address it has always had: `/ws/cryptoupdates/`."""

    board = "crypto"


class StockConsumer(BoardConsumer):
    """The stock board at the address it has always had: `/ws/stock-market/`."""

    board = "stock-market"
