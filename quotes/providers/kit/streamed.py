"""What a stream told last, for polls of the same source, which tell less."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from quotes.quote import Quote


class Streamed:
    """The newest quote of each symbol that the open stream told."""

    def __init__(self, *better: str) -> None:
        self.better = better  # the fields that polls do not tell, or tell differently
        self.newest: dict[str, Quote] = {}

    @contextmanager
    def open(self) -> Iterator[None]:
        """Forget what is told here when it ends: nobody tells of a change any more."""
        mine: dict[str, Quote] = {}
        self.newest = mine
        try:
            yield
        finally:
            if self.newest is mine:  # a stream that is closed late may not take from the next
                self.newest = {}

    def remember(self, quote: Quote) -> None:
        """Take note of what the stream tells; without a price it is worth nothing to a poll."""
        if quote.last > 0:
            self.newest[quote.symbol] = quote

    def completed(self, quote: Quote) -> Quote:
        """Return what a poll told with what the stream tells better, as long as there is one.

        That is also when a price was made, where it is still the last.
        """
        told = self.newest.get(quote.symbol)
        if told is None:
            return quote
        fields = {name: getattr(told, name) for name in self.better}
        made = told.source_time if told.last == quote.last else None
        return replace(quote, source_time=made, **fields)
