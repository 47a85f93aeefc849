"""The catalogue: a CSV file of symbols, read and checked as a whole, then loaded or refused.

It is also written, from the symbols that there are.
"""

from __future__ import annotations

from pathlib import Path

from quotes.catalogue.columns import PROVIDERS
from quotes.catalogue.loading import STARTER_BOARDS, Outcome, load
from quotes.catalogue.reading import Catalogue, Entry, read
from quotes.catalogue.sheet import Format, InvalidCatalogue
from quotes.catalogue.writing import text_of

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
    "text_of",
]

STARTER = Path(__file__).with_name("catalogue.csv")
