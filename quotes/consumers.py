"""Consumers: one websocket each. They read the watch of a page; the hub sends the updates.

Sockets of pages do not join the channel layer, and updates are not dispatched by Channels: the
layer would be read once per visitor, and each dispatch passes through the one database thread.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, ClassVar

from channels.generic.websocket import AsyncWebsocketConsumer
from django.core.exceptions import SuspiciousOperation
from django.http import QueryDict

from quotes.addresses import MAX_QUERY, Address, TooManySymbols
from quotes.fragments.swaps import addressed
from quotes.limits import TOO_MUCH, Allowance, address_of
from quotes.limits.answers import Refused
from quotes.live import ensure_started
from quotes.live.hub import Subscriber
from quotes.live.reading import Edited
from quotes.live.sight import MARK, Sight


class QuotesConsumer(AsyncWebsocketConsumer):
    """Any symbols: `/ws/quotes/?symbols=BTC-USD,AAPL`."""

    channel_layer_alias = "none of the site's"  # so that Channels finds no layer and joins none
    board: ClassVar[str] = ""
    subscriber: Subscriber | None = None
    sight: Sight | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a socket from its handshake to its end, however it ends."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.leave()

    async def connect(self) -> None:
        """Accept the socket, or raise Refused before that, and send all that the page watches."""
        self.live = await ensure_started()
        self.address = self.read_address()
        self.allowance = Allowance()
        await self.live.fragments.known.prepare(self.live, self.address.panel)
        await self.accept()
        watch = self.address.watch(self.live.listed)
        self.subscriber = self.live.hub.subscribe(watch, self.base_send)
        self.live.on_change.add(self.symbols_changed)
        self.live.ranking.on_choice.add(self.boards_changed)
        self.renew_rows(self.subscriber)
        if self.address.seen:
            self.sight = Sight(self.send_mark, self.rest)

    def read_address(self) -> Address:
        """Read what the page wants to watch; raise Refused if that is not allowed."""
        if len(self.scope["query_string"]) > MAX_QUERY:
            raise Refused("query", 400, f"A query may have at most {MAX_QUERY:,} bytes.")
        try:
            address = Address.read(self.params(), self.slug)
        except TooManySymbols as error:
            raise Refused("symbols", 400, f"{error}.") from error
        except SuspiciousOperation as error:
            raise Refused("query", 400, f"{error}.") from error
        if address.board and address.board not in self.live.listed.boards:
            raise Refused("board", 404, f"There is no board “{address.board}”.")
        return address

    def leave(self) -> None:
        """Unsubscribe, so that nothing more is sent to this socket."""
        if self.subscriber:
            self.live.hub.unsubscribe(self.subscriber)
            self.live.on_change.discard(self.symbols_changed)
            self.live.ranking.on_choice.discard(self.boards_changed)
            self.subscriber = None
        if self.sight:
            self.sight.end()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Close the socket if there are too many messages. Ignore what they contain."""
        if self.subscriber is None:  # closed already; this one came in the same packet
            return
        try:
            self.allowance.spend(text_data if bytes_data is None else None)
        except Refused as refused:
            self.leave()
            self.live.limits.count(refused, address_of(self.scope))
            await self.close(TOO_MUCH, str(refused))
        else:
            if self.sight:
                self.sight.answered()

    def send_mark(self) -> None:
        """Send an embedded page a mark, which it answers with a message if it is in view."""
        if self.subscriber:
            self.live.hub.send_to(self.subscriber, MARK)

    def rest(self) -> None:
        """Close the socket of a page that is out of view. It opens another one when it is seen."""
        subscriber = self.subscriber
        if subscriber is None or self.sight is None:
            return
        if subscriber.sending:  # a slow page may not have the mark yet
            self.sight.answered()
            return
        self.leave()
        signs = self.live.fragments.signs
        retry = addressed(signs.retry(self.address.edition, waits=True))
        self.live.hub.dismiss(subscriber, signs.socket(self.address) + retry)

    @property
    def slug(self) -> str:
        """The slug of the board in the address, or ""."""
        return self.board or self.scope["url_route"]["kwargs"].get("slug", "")

    def params(self) -> QueryDict:
        """Return the query string; the board in the path replaces a board in the query."""
        params = QueryDict(self.scope["query_string"], mutable=True)
        params["board"] = self.slug
        return params

    def symbols_changed(self, edited: Edited = None) -> None:
        """Update the page after a change of active symbols, or of its board."""
        if not self.subscriber:
            return
        if self.address.board and self.address.mark:
            self.renew_rows(self.subscriber)
        else:
            self.watch_again(self.subscriber)

    def boards_changed(self, slugs: Collection[str]) -> None:
        """Update the page if its board is one of these."""
        if self.address.board in slugs:
            self.symbols_changed()

    def renew_rows(self, subscriber: Subscriber) -> None:
        """Replace the page's rows if its board changed since it chose them."""
        if renewal := self.live.rows.renew(self.address):
            self.address, rows = renewal
            watch = self.address.watch(self.live.listed)
            self.live.hub.move(subscriber, watch, rows)

    def watch_again(self, subscriber: Subscriber) -> None:
        """Remove symbols that are no longer active, and show those that became active."""
        watch = self.address.watch(self.live.listed)
        if watch != subscriber.watch:
            fragments = self.live.fragments
            left = [place for place in subscriber.watch.places if place not in watch.places]
            now = {place: place.now(self.live.listed) for place in left}
            renamed = {place: each for place, each in now.items() if each in watch.places}
            gone = fragments.gone([p for p in left if p not in renamed], watch.edition)
            shown = replace(watch, renamed=tuple(renamed.items()))
            gone += fragments.renamed(shown)
            drawn = fragments.charts(shown) + fragments.sparklines(watch)
            self.live.hub.move(subscriber, watch, gone + fragments.snapshot(watch) + drawn)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handle an event of this socket without Channels, which would use the database thread."""
        handler = getattr(self, message["type"].replace(".", "_"))
        await handler(message)


class BoardConsumer(QuotesConsumer):
    """A board by its slug: `/ws/boards/<slug>/`."""


class CryptoUpdatesConsumer(BoardConsumer):
    """The crypto board at the address of the first version: `/ws/cryptoupdates/`."""

    board = "crypto"


class StockConsumer(BoardConsumer):
    """The stock board at the address of the first version: `/ws/stock-market/`."""

    board = "stock-market"
