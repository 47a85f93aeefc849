"""The catalogue: a CSV or JSON file of symbols, checked as a whole, then loaded or refused.

It is also written, from the symbols that there are.
"""

from __future__ import annotations

from pathlib import Path

from quotes.catalogue.columns import PROVIDERS
from quotes.catalogue.loading import STARTER_BOARDS, Outcome, load
from quotes.catalogue.progress import Cancelled, Report, Step, in_parts
from quotes.catalogue.reading import Catalogue, Entry, read
from quotes.catalogue.sheet import Format, InvalidCatalogue
from quotes.catalogue.writing import csv_of, json_of

__all__ = [
    "PROVIDERS",
    "STARTER",
    "STARTER_BOARDS",
    "Cancelled",
    "Catalogue",
    "Entry",
    "Format",
    "InvalidCatalogue",
    "Outcome",
    "Report",
    "Step",
    "csv_of",
    "in_parts",
    "json_of",
    "load",
    "read",
]

STARTER = Path(__file__).with_name("catalogue.csv")
