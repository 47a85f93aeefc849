"""What a template gives to our tags, as codes of symbols, and how many of them can be live."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from django.db.models.manager import BaseManager
from django.utils.functional import Promise

from quotes import codes, conf
from quotes.addresses import Address


def codes_of(given: object) -> Iterator[str]:
    """Return the codes in a value: a code, a `Symbol`, or any number of them, nested as they are.

    A text may have several codes with commas between them. None and an empty text are the code "".
    Any other value is taken as text: that of a `Symbol` is its code, and a page names all others as
    unknown symbols. Half a character, which no page can have, becomes a question mark.
    """
    if isinstance(given, BaseManager):  # `board.symbols`, which templates do not call
        yield from codes_of(given.all())
    elif isinstance(given, Iterable) and not isinstance(given, str | bytes | Promise):
        for each in given:
            yield from codes_of(each)
    else:
        text = "" if given is None else str(given).encode(errors="replace").decode()
        found = [codes.shortened(code) for code in map(codes.code_of, text.split(",")) if code]
        yield from found or [""]


def code_of(given: object) -> str:
    """Return the one code in a value; if there are several, they are the name of no symbol."""
    return ", ".join(codes_of(given))


def fitting(shown: Mapping[str, Sequence[str]], widget: str, wanted: Sequence[str]) -> list[str]:
    """Return the first of these codes that one socket can watch in addition to those of the page.

    `shown` has the codes of the tags before this one, by widget.
    """
    fit = list(wanted[: conf.get("MAX_SYMBOLS")])
    while fit and not _address(shown, widget, fit).fits:
        fit.pop()
    return fit


def _address(shown: Mapping[str, Sequence[str]], widget: str, more: Sequence[str]) -> Address:
    watched = {name: [*given] for name, given in shown.items()}
    watched[widget] += more
    entry, price = (tuple(dict.fromkeys(watched[name])) for name in ("entry", "price"))
    return Address(symbols=entry, price=price)
