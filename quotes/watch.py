"""The watch: what one page shows, and how it is written. Equal watches receive the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from django.utils import timezone, translation

from quotes import sessions
from quotes.boards import Listed
from quotes.charts.forms import Form
from quotes.htmx import dialect
from quotes.models import Symbol

Zone = Literal["", "utc", "exchange"]
ZONES: tuple[Zone, ...] = ("", "utc", "exchange")
ROWS = ("row", "entry")  # widgets that are rows of tables
RATES = (0, 5, 30)  # seconds; 0 is the pace of the site
UTC = ZoneInfo("UTC")
AS_IT_IS = nullcontext()
_in_use: ContextVar[tuple[str, tzinfo] | None] = ContextVar("language and zone", default=None)


class Edition(NamedTuple):
    """How the quotes of a page are written: language, zone of their times, version of htmx."""

    language: str
    zone: Zone = ""  # "" for the zone of the site, "exchange" for that of each symbol's exchange
    htmx: dialect.Version = dialect.OURS

    def zone_of(self, symbol: Symbol | None = None) -> tzinfo:
        """Return the time zone of a symbol's times, or of texts without a symbol.

        A symbol whose exchange is not known has UTC for the zone of its exchange. Texts without a
        symbol then have the zone of the site.
        """
        if self.zone == "utc":
            return UTC
        if self.zone == "exchange" and symbol is not None:
            return sessions.zone(symbol.exchange, symbol.kind) or UTC
        return timezone.get_default_timezone()

    def written(self, symbol: Symbol | None = None) -> AbstractContextManager[None]:
        """Use the language and the time zone inside the block, whatever those of a request are."""
        wanted = self.language, self.zone_of(symbol)
        # Django would need ten times as long to state what is in use
        return AS_IT_IS if _in_use.get() == wanted else _using(*wanted)


@contextmanager
def _using(language: str, zone: tzinfo) -> Iterator[None]:
    with translation.override(language), timezone.override(zone):
        token = _in_use.set((language, zone))
        try:
            yield
        finally:
            _in_use.reset(token)


class Place(NamedTuple):
    """A widget of one symbol on a page; only a chart has different forms."""

    widget: str
    code: str
    form: Form = Form()

    def now(self, listed: Listed) -> Place:
        """Return the place with the codes that its symbols have now."""
        if not listed.aliases:
            return self
        others = tuple(map(listed.current, self.form.others))
        form = self.form._replace(others=others) if others else self.form
        return Place(self.widget, listed.current(self.code), form)


@dataclass(frozen=True, slots=True)
class Watch:
    """What one page shows: places in the order in which messages contain them."""

    edition: Edition
    places: tuple[Place, ...] = ()
    missing: tuple[Place, ...] = ()  # that the page wants, but whose symbols are not active
    renamed: tuple[tuple[Place, Place], ...] = ()  # places with a former code, and as they are now
    rate: float = 0  # seconds between two messages with prices; pages may choose one of RATES
    codes: frozenset[str] = field(init=False, compare=False, repr=False)  # of all widgets
    charts: tuple[Place, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Collect the codes and the charts once, because they are needed at every pace."""
        object.__setattr__(self, "codes", frozenset(place.code for place in self.places))
        charts = tuple(place for place in self.places if place.widget == "chart")
        object.__setattr__(self, "charts", charts)

    def of(self, *widgets: str) -> list[str]:
        """Return the codes of these widgets, in order and each once."""
        codes = (place.code for place in self.places if place.widget in widgets)
        return list(dict.fromkeys(codes))

    @property
    def unknown(self) -> tuple[str, ...]:
        """The codes that the page wants and that are not active; a panel states that by itself."""
        panels = {place.code for place in self.missing if place.widget == "panel"}
        return tuple(dict.fromkeys(p.code for p in self.missing if p.code not in panels))


def places(**codes: Iterable[str]) -> tuple[Place, ...]:
    """Return the places of widgets without forms: `places(row=["AAPL"], price=["TSLA"])`.

    Rows of tables come first, because HTML parsers drop them elsewhere.
    """
    found = [Place(widget, code) for widget, given in codes.items() for code in given]
    return tuple(sorted(found, key=lambda place: place.widget not in ROWS))
