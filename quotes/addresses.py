"""Live addresses: the address of a page's socket contains everything that the page watches.

So a reconnect needs nothing else:

    /ws/boards/crypto/?symbols=BTC-USD,ETH-USD     rows of a board
    /ws/boards/crypto/?mark=c0ffee00&rows=2,0,1    the same by their places on the board
    /ws/quotes/?symbols=BTC-USD,AAPL               rows of a {% live_quotes %} table
    /ws/quotes/?price=BTC-USD&panel=AAPL           inline prices, the panel of a symbol's page
    /ws/quotes/?chart=1y.candles/AAPL,/SPY         a chart, compared with another symbol

How that is written, and how often it is sent, comes with it: `lang=de`, `zone=utc` or
`zone=exchange` for the times, `rate=5` for a message in five seconds at most, `htmx=2` for a page
with htmx 2. Charts have the zone of the exchange whatever the address says. With `seen=1`, the page
states while it is in view.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlencode

from django.conf import settings
from django.http import QueryDict
from django.utils import translation

from quotes import conf
from quotes.boards import BoardQuery, Listed
from quotes.charts.drawing import MAX_SERIES
from quotes.charts.forms import Form
from quotes.codes import code_of, shortened
from quotes.formats import language_of_texts
from quotes.htmx import dialect
from quotes.watch import RATES, ZONES, Edition, Place, Watch, Zone, places

WIDGETS = ("symbols", "price", "panel")
MAX_QUERY = 8192  # bytes; servers refuse longer lines, too
MAX_CHARTS = 10  # on one page: each is drawn and moved apart
BEYOND = 5  # times MAX_SYMBOLS: the tags of one page may have more than one socket may watch


class TooManySymbols(ValueError):
    """Raised when an address has more symbols or charts than one socket may watch."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a page wants to watch. The board and the symbols may not exist."""

    board: str = ""
    mark: str = ""  # the board's mark when its rows were chosen; if it changed, they are outdated
    # places on the board with this mark: shorter than codes of any script
    rows: tuple[int, ...] = ()
    query: BoardQuery = field(default_factory=BoardQuery)
    symbols: tuple[str, ...] = ()
    price: tuple[str, ...] = ()
    panel: tuple[str, ...] = ()
    chart: tuple[tuple[Form, str], ...] = ()
    language: str = ""
    zone: Zone = ""
    rate: int = 0
    htmx: dialect.Version = dialect.OURS
    seen: bool = False  # whether the page sends messages while it is in view, and only then

    @classmethod
    def read(cls, params: QueryDict, board: str = "", *, times: int = 1) -> Address:
        """Read a query string; raise TooManySymbols if one socket may not watch so many.

        With `times`, so many times more symbols are read: see `divided`.
        """
        address = cls(
            board=params.get("board", board),
            mark=params.get("mark", ""),
            rows=_places(params.getlist("rows")),
            query=BoardQuery.read(params),
            language=_language(params.get("lang", "")),
            zone=_zone(params.get("zone", "")),
            rate=_rate(params.get("rate", "")),
            htmx=2 if params.get("htmx") == "2" else dialect.OURS,
            seen=params.get("seen") == "1",
            chart=_charts(params.getlist("chart")),
            **{name: _codes(params.getlist(name)) for name in WIDGETS},
        )
        address.check(conf.get("MAX_SYMBOLS") * times)
        charts = len(address.chart)
        if charts > MAX_CHARTS:
            raise TooManySymbols(f"{charts} charts requested, at most {MAX_CHARTS} are allowed")
        return address

    def check(self, limit: int) -> None:
        """Raise TooManySymbols if there are more symbols than this."""
        if self.count > limit:
            raise TooManySymbols(f"{self.count} symbols requested, at most {limit} are allowed")

    def divided(self) -> tuple[Address, list[Place]]:
        """Return what one socket may watch of the tags of a page, and the places beyond that.

        A tag from a cache, or from a later request, does not know what the other tags need.
        """
        room = conf.get("MAX_SYMBOLS") - replace(self, symbols=(), price=()).count
        price = self.price[: max(room, 0)]
        fit = replace(self, price=price, symbols=self.symbols[: max(room - len(price), 0)])
        while fit.symbols and not fit.fits:
            fit = replace(fit, symbols=fit.symbols[:-1])
        while fit.price and not fit.fits:
            fit = replace(fit, price=fit.price[:-1])
        fit.check(conf.get("MAX_SYMBOLS"))
        beyond = places(entry=self.symbols[len(fit.symbols) :], price=self.price[len(fit.price) :])
        return fit, list(beyond)

    @property
    def edition(self) -> Edition:
        """How the page is written."""
        return Edition(self.language, self.zone, self.htmx)

    @property
    def count(self) -> int:
        """The number of symbols, once for each widget that shows them."""
        charted = sum(1 + len(form.others) for form, _ in self.chart)
        return len(self.rows) + charted + sum(len(getattr(self, name)) for name in WIDGETS)

    @property
    def fits(self) -> bool:
        """Whether one socket may watch this, and servers and proxies accept its address."""
        _, _, query = self.socket.partition("?")
        return self.count <= conf.get("MAX_SYMBOLS") and len(query) <= MAX_QUERY

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The names and values of the query string that `read` reads."""
        pairs = {name: ",".join(getattr(self, name)) for name in WIDGETS}
        pairs["chart"] = ",".join(
            "/".join(item)
            for form, code in self.chart
            for item in [(form.options, code), *(("", other) for other in form.others)]
        )
        pairs["rows"] = ",".join(map(str, self.rows))
        pairs |= {"board": self.board, "mark": self.mark, "lang": self.language}
        pairs |= {"zone": self.zone, "rate": str(self.rate or ""), "seen": "1" if self.seen else ""}
        pairs["htmx"] = "" if self.htmx == dialect.OURS else str(self.htmx)
        return [(name, value) for name, value in pairs.items() if value] + self.query.pairs

    @property
    def socket(self) -> str:
        """The path and query string of the socket."""
        path = f"/ws/boards/{quote(self.board)}/" if self.board else "/ws/quotes/"
        pairs = [(name, value) for name, value in self.pairs if name != "board"]
        return f"{conf.prefix()}{path}?{urlencode(pairs, safe=',^=:')}"

    def watch(self, listed: Listed) -> Watch:
        """Return which active symbols the page watches, and which of its codes are not active."""
        symbols, board = listed.symbols, listed.boards.get(self.board)
        codes = self.symbols
        if board and self.mark and self.mark == board.mark_of(self.query):
            on_board = (board.codes[row] for row in self.rows if row < len(board.codes))
            codes = tuple(dict.fromkeys((*codes, *on_board)))
        elif board and not codes and not self.mark:
            codes = board.codes[: conf.get("MAX_SYMBOLS")]
        table = "row" if board else "entry"
        wanted = places(**{table: codes, "panel": self.panel, "price": self.price})
        wanted += tuple(Place("chart", code, form) for form, code in self.chart)
        active = {"row": board.codes} if board else {}
        now = {each: each.now(listed) for each in wanted}
        shown = [each for each in now.values() if each.code in active.get(each.widget, symbols)]
        return Watch(
            self.edition,
            tuple(dict.fromkeys(shown)),
            # with a mark, the rows are ours: a code that is not active was removed, and is not
            # unknown
            missing=() if self.mark else tuple(p for p in now.values() if p.code not in symbols),
            renamed=tuple(pair for pair in now.items() if pair[0] != pair[1]),
            rate=self.rate,
        )

    def current(self, listed: Listed) -> Address:
        """Return the address with the codes that its symbols have now, for a new page."""
        return replace(
            self, symbols=tuple(dict.fromkeys(listed.current(code) for code in self.symbols))
        )


def _codes(values: Iterable[str]) -> tuple[str, ...]:
    codes = (code_of(code) for code in ",".join(values).split(","))
    return tuple(dict.fromkeys(shortened(code) for code in codes if code))


def _charts(values: Iterable[str]) -> tuple[tuple[Form, str], ...]:
    """Read `options/code`; an item without options is compared with the one before it."""
    found: dict[tuple[Form, str], list[str]] = {}
    others: list[str] = []
    for item in ",".join(values).split(","):
        options, slash, text = item.partition("/")
        code = shortened(code_of(text))
        if options and code:
            others = found.setdefault((Form.read(options), code), [])
        elif found and slash and code and code not in others and len(others) < MAX_SERIES - 1:
            others.append(code)
    return tuple((form._replace(others=tuple(o)), code) for (form, code), o in found.items())


def _places(values: Iterable[str]) -> tuple[int, ...]:
    given = (place for value in values for place in value.split(","))
    return tuple(dict.fromkeys(int(p) for p in given if p.isascii() and p.isdigit() and len(p) < 6))


def _language(given: str) -> str:
    """Return the language of our texts for a code like de or de-AT, else the reader's own."""
    with suppress(LookupError):
        found = translation.get_supported_language_variant(given.lower())
        if language_of_texts(found) == found:
            return found
    return language_of_texts(translation.get_language() or settings.LANGUAGE_CODE)


def _zone(given: str) -> Zone:
    """Return one of ZONES, else that of the site."""
    return next((zone for zone in ZONES if zone == given.lower()), "")


def _rate(given: str) -> int:
    """Return one of RATES, else the pace of the site."""
    return next((rate for rate in RATES if str(rate) == given), 0)
