"""Consumers: one websocket each. They say what a page watches; the hub does the sending.

Browser sockets join no channel layer and dispatch nothing per update: the layer would be asked
once per visitor, and every dispatch hops through the process's one database thread.
"""

from __future__ import annotations

from typing import Any, ClassVar

from channels.generic.websocket import AsyncWebsocketConsumer
from django.core.exceptions import SuspiciousOperation
from django.http import QueryDict

from quotes import live
from quotes.addresses import Address, TooManySymbols
from quotes.limits import Allowance, Refused, address_of
from quotes.live.hub import Subscriber

TOO_MUCH = 4408  # our close code for a page that sent what no page of ours sends


class QuotesConsumer(AsyncWebsocketConsumer):
    """Any symbols: `/ws/quotes/?symbols=BTC-USD,AAPL`."""

    channel_layer_alias = "none of the site's"
    board: ClassVar[str] = ""
    subscriber: Subscriber | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a socket from its handshake to its end, however it ends."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.leave()

    async def connect(self) -> None:
        """Begin with everything that is watched; refuse, before accepting, what can't be."""
        self.live = await live.ensure_started()
        self.address = self.asked()
        self.allowance = Allowance()
        await self.accept()
        watch = self.address.watch(self.live.catalogue)
        self.subscriber = self.live.hub.subscribe(watch, self.base_send)
        self.live.on_listing.add(self.listing_changed)
        self.renew_rows(self.subscriber)

    def asked(self) -> Address:
        """Read what the page asks for; raise Refused for what it can't have."""
        try:
            address = Address.read(self.params(), self.slug)
        except TooManySymbols as error:
            raise Refused("symbols", 400, f"{error}.") from error
        except SuspiciousOperation as error:
            raise Refused("query", 400, f"{error}.") from error
        if address.board and address.board not in self.live.catalogue.boards:
            raise Refused("board", 404, f"There is no board “{address.board}”.")
        return address

    def leave(self) -> None:
        """Let nothing more be sent here."""
        if self.subscriber:
            self.live.hub.unsubscribe(self.subscriber)
            self.live.on_listing.discard(self.listing_changed)
            self.subscriber = None

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Ignore what pages say: they have nothing to say. Too much of it ends the socket."""
        try:
            self.allowance.spend(text_data if bytes_data is None else None)
        except Refused as refused:
            self.leave()
            self.live.limits.count(refused, address_of(self.scope))
            await self.close(TOO_MUCH, str(refused))

    @property
    def slug(self) -> str:
        """The board that the address names, if it names one."""
        return self.board or self.scope["url_route"]["kwargs"].get("slug", "")

    def params(self) -> QueryDict:
        """Return the query string; a board of its own beats one in there."""
        params = QueryDict(self.scope["query_string"], mutable=True)
        params["board"] = self.slug
        return params

    def listing_changed(self) -> None:
        """Show the page the changes of the listed symbols or of its board."""
        if not self.subscriber:
            return
        if self.address.board and self.address.mark:
            self.renew_rows(self.subscriber)
        else:
            self.watch_again(self.subscriber)

    def renew_rows(self, subscriber: Subscriber) -> None:
        """Replace the page's rows if its board changed since it chose them."""
        if renewal := self.live.rows.renew(self.address):
            self.address, rows = renewal
            watch = self.address.watch(self.live.catalogue)
            self.live.hub.move(subscriber, watch, rows)

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
