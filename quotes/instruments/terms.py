"""Terms: the code that an instrument of a list would get here, and the words that find it."""

from __future__ import annotations

import re
from unicodedata import combining, normalize

from django.core.exceptions import ValidationError

from quotes.codes import MAX_CODE, code_of, validate_code
from quotes.providers import Instrument

PAIR = re.compile(r"([^\s/-]+)[/-]([A-Z0-9]{2,10})")  # BTC-USD, ETH/BTC
CLASS = re.compile(r"([A-Z]{1,5})[-/ ]([A-Z])")  # BRK-B, a class of shares
MAX_TERM = 40  # bytes
MAX_TERMS = 12  # of one instrument
SHORTEST = 2  # characters of a word


def key(text: str) -> str:
    """Return the letters and digits of a text, in capitals and without accents: brk-b is BRKB."""
    plain = normalize("NFKD", text.upper())
    return "".join(c for c in plain if c.isalnum() and not combining(c))


def words(text: str) -> list[str]:
    """Return the keys of the words of a text, each once."""
    found = (key(word) for word in re.split(r"[\W_]+", text))
    return list(dict.fromkeys(word for word in found if word))


def pair_of(listed: Instrument) -> tuple[str, str] | None:
    """Return what a crypto instrument prices, and in which currency; None if that is not known."""
    for text in (listed.code.upper(), listed.name.upper()):
        if (found := PAIR.fullmatch(text)) and found[2] == listed.currency:
            return found[1], found[2]
    return (listed.base, listed.currency) if listed.base else None


def symbol_of(listed: Instrument) -> str:
    """Return the code that we would give to an instrument, or "" if none is valid."""
    if listed.kind == "crypto":
        pair = pair_of(listed)
        code = "-".join(pair) if pair else code_of(listed.code)
    else:
        code = canonical(listed.code)
    try:
        validate_code(code)
    except ValidationError:
        return ""
    return code if len(code) <= MAX_CODE else ""


def canonical(code: str) -> str:
    """Return the code of a share as we write it: BRK.B for BRK-B."""
    return CLASS.sub(r"\1.\2", code_of(code)) if CLASS.fullmatch(code_of(code)) else code_of(code)


def terms_of(listed: Instrument) -> dict[str, int]:
    """Return the terms under which an instrument is found, and the weight of each.

    The lightest are its codes, then comes the first word of its name, then the others.
    """
    pair = pair_of(listed) if listed.kind == "crypto" else None
    codes = (listed.code, symbol_of(listed), pair[0] if pair else "", listed.isin)
    terms = {code: 0 for code in map(key, codes) if code}
    named = [word for word in words(listed.name) if len(word) >= SHORTEST]
    for place, word in enumerate(named[: MAX_TERMS - len(terms)]):
        terms.setdefault(word, min(place + 1, 2))
    return terms


def as_term(text: str) -> bytes:
    """Return a key as it is stored."""
    return text.encode()[:MAX_TERM]
