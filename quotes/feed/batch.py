"""The batch: the quotes that the feed sends through the layer at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from quotes.quote import Quote


@dataclass(frozen=True, slots=True)
class Batch:
    """The quotes that changed since the last batch.

    An empty batch only shows that the feed works (its beat).
    """

    number: int
    quotes: list[Quote]
    outages: dict[str, datetime]  # by provider that can't be read: since when
