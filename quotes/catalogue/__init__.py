"""The catalogue: a CSV file of symbols, read and checked as a whole, then loaded or refused."""

from __future__ import annotations

from pathlib import Path

from quotes.catalogue.columns import PROVIDERS
from quotes.catalogue.loading import STARTER_BOARDS, Outcome, load
from quotes.catalogue.reading import Catalogue, Entry, read
from quotes.catalogue.sheet import Format, InvalidCatalogue

__all__ = [
    "PROVIDERS",
    "STARTER",
    "STARTER_BOARDS",
    "Catalogue",
    "Entry",
    "Format",
    "InvalidCatalogue",
    "Outcome",
    "load",
    "read",
]

STARTER = Path(__file__).with_name("catalogue.csv")
