"""A cache of a stream's newest quotes, which completes the polls of the same source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from quotes.quote import Quote


class StreamCache:
    """The newest quote of each symbol from the open stream."""

    def __init__(self, *fields: str) -> None:
        self.fields = fields  # that a poll lacks, or means differently
        self.newest: dict[str, Quote] = {}

    @contextmanager
    def open(self) -> Iterator[None]:
        """Empty the cache when the stream ends: from then on its quotes no longer change."""
        mine: dict[str, Quote] = {}
        self.newest = mine
        try:
            yield
        finally:
            if self.newest is mine:  # a stream that is closed late must not empty the next one's
                self.newest = {}

    def remember(self, quote: Quote) -> None:
        """Keep a quote of the stream, if it has a price."""
        if quote.last > 0:
            self.newest[quote.symbol] = quote

    def complete(self, quote: Quote) -> Quote:
        """Return a polled quote with the better fields of the stream's quote, if there is one.

        The time of the last trade is one of them, as long as both have the same price.
        """
        streamed = self.newest.get(quote.symbol)
        if streamed is None:
            return quote
        fields = {name: getattr(streamed, name) for name in self.fields}
        source_time = streamed.source_time if streamed.last == quote.last else None
        return replace(quote, source_time=source_time, **fields)
