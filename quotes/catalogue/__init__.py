"""The catalogue: a CSV file of symbols, read and checked as a whole, then loaded or refused."""

from __future__ import annotations

from pathlib import Path

from quotes.catalogue.loading import STARTER_BOARDS, Outcome, load
from quotes.catalogue.reading import PROVIDERS, Entry, InvalidCatalogue, read

__all__ = [
    "PROVIDERS",
    "STARTER",
    "STARTER_BOARDS",
    "Entry",
    "InvalidCatalogue",
    "Outcome",
    "load",
    "read",
]

STARTER = Path(__file__).with_name("catalogue.csv")
