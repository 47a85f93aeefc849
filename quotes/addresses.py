"""Live addresses: what a page watches, written as a socket's address and read back from it.

The address says everything, so that a reconnect needs nothing else:

    /ws/boards/crypto/?symbols=BTC-USD,ETH-USD     rows of a board
    /ws/quotes/?symbols=BTC-USD,AAPL               rows of a {% live_quotes %} table
    /ws/quotes/?price=BTC-USD&panel=AAPL           inline prices, the panel of a symbol's page
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from django.conf import settings
from django.http import QueryDict
from django.utils import translation

from quotes import conf
from quotes.boards import BoardQuery, Catalogue
from quotes.fragments import Watch

LONGEST_CODE = 24  # characters
WIDGETS = ("symbols", "price", "panel")


class TooManySymbols(ValueError):
    """Raised when an address asks for more symbols than one socket may watch."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a page watches, as it asked for it: codes need not exist."""

    board: str = ""
    mark: str = ""  # of the board when its rows were chosen; another mark now means other rows
    query: BoardQuery = field(default_factory=BoardQuery)
    symbols: tuple[str, ...] = ()
    price: tuple[str, ...] = ()
    panel: tuple[str, ...] = ()
    language: str = ""

    @classmethod
    def read(cls, params: QueryDict, board: str = "") -> Address:
        """Read a query string; raise TooManySymbols where it asks for too many."""
        asked = {name: _codes(params.getlist(name)) for name in WIDGETS}
        most = conf.get("MAX_SYMBOLS")
        if (count := sum(map(len, asked.values()))) > most:
            raise TooManySymbols(f"{count} symbols asked for, at most {most} are allowed")
        return cls(
            board=params.get("board", board),
            mark=params.get("mark", ""),
            query=BoardQuery.read(params),
            language=_language(params.get("lang", "")),
            **asked,
        )

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """What is asked for as the names and values of a query string, as `read` takes it."""
        pairs = {name: ",".join(getattr(self, name)) for name in WIDGETS}
        pairs |= {"board": self.board, "mark": self.mark, "lang": self.language}
        return [(name, value) for name, value in pairs.items() if value] + self.query.pairs

    @property
    def socket(self) -> str:
        """The address of the socket: a path and a query string."""
        path = f"/ws/boards/{quote(self.board)}/" if self.board else "/ws/quotes/"
        pairs = [(name, value) for name, value in self.pairs if name != "board"]
        return f"{path}?{urlencode(pairs, safe=',^=:')}"

    def watch(self, catalogue: Catalogue) -> Watch:
        """Say which listed symbols are watched, and which codes are not listed."""
        listed = catalogue.symbols
        board = catalogue.boards.get(self.board)
        codes = self.symbols
        if board and not codes and not self.mark:
            codes = board.codes[: conf.get("MAX_SYMBOLS")]
        shown = tuple(code for code in codes if code in (board.codes if board else listed))
        asked = {"row" if board else "listing": codes, "panel": self.panel, "price": self.price}
        return Watch(
            language=self.language,
            row=shown if board else (),
            listing=() if board else shown,
            price=tuple(code for code in self.price if code in listed),
            panel=tuple(code for code in self.panel if code in listed),
            # with a mark, the rows are ours and those that left were unlisted since
            missing=()
            if self.mark
            else tuple((w, code) for w in asked for code in asked[w] if code not in listed),
        )


def _codes(values: Iterable[str]) -> tuple[str, ...]:
    given = ",".join(values).upper().split(",")
    codes = (code.strip() for code in given)
    return tuple(dict.fromkeys(code for code in codes if 0 < len(code) <= LONGEST_CODE))


def _language(asked: str) -> str:
    known = dict(settings.LANGUAGES)
    return asked if asked in known else translation.get_language() or settings.LANGUAGE_CODE
