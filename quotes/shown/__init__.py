"""All values of a symbol that a fragment shows, as strings in one language.

They are formatted here once per state, because templates would format them for each page.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import timedelta, tzinfo
from decimal import Decimal
from functools import cache
from html import escape
from typing import Any

from django.conf import settings
from django.urls import get_script_prefix, get_urlconf, reverse
from django.utils import timezone, translation
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop, pgettext

from quotes import conf, formats, sessions
from quotes.kinds import ALL_DAY, KINDS
from quotes.models import Override
from quotes.providers import REGISTRY, provider_class
from quotes.quote import Quote
from quotes.shown.overrides import painted
from quotes.store import State

BLANK = "—"
SHORT_CODE = 10  # characters that fit beside the price on the smallest phone
SINCE = {
    "prev_close": gettext_noop("vs prev. close"),
    "rolling_24h": gettext_noop("over 24 h"),
    "utc_day": gettext_noop("since 00:00 UTC"),
}
USUAL = {kind.reference for kind in KINDS.values()}
MIXED = gettext_noop("over 24 h for crypto, otherwise vs prev. close")
REFERENCES = {
    "prev_close": gettext_noop("Prev. close"),
    "rolling_24h": gettext_noop("24 h ago"),
    "utc_day": gettext_noop("00:00 UTC"),
}
SESSIONS = {
    "always": gettext_noop("24/7"),
    "pre": gettext_noop("Pre-market"),
    "regular": gettext_noop("Open"),
    "break": gettext_noop("Break"),
    "post": gettext_noop("After hours"),
    "closed": gettext_noop("Closed"),
    "halted": gettext_noop("Halted"),
}
OVERRIDES = {"price": gettext_noop("Fixed price")}  # without a label; a halt is a session
ROW_ROOM = 11  # characters of a number in a row, beside the last price
QUIET = ("always", "regular")  # sessions that a row does not state: its price moves
LABELS = {"close": gettext_noop("At close"), "post": SESSIONS["post"]}
# titles of providers, for the catalogues; all other titles are names
TITLES = (gettext_noop("Simulated market"), gettext_noop("Database"))
ATTRIBUTIONS = (  # of our providers, which know nothing of Django
    gettext_noop("Prices by Alpaca. Stock prices are from IEX or from all US exchanges"),
    gettext_noop("Prices by Binance"),
    gettext_noop("Prices by Coinbase"),
    gettext_noop("Data provided by CoinGecko (www.coingecko.com)"),
    gettext_noop("Prices from a database of this site"),
    gettext_noop("Prices by Finnhub"),
    gettext_noop("Prices provided by this site"),
    gettext_noop("Prices by Kraken"),
    gettext_noop("SIMULATED prices, not a real market"),
    gettext_noop("Prices by Yahoo Finance, read unofficially, for personal use only"),
)


class Shown(dict[str, Any]):
    """A state in one language, as the strings that templates print.

    Each is made when a template first needs it. From then on it is an item of this dictionary,
    because templates look up items before attributes.
    """

    names_zone = False  # beside each time; without it, only beside times of another zone

    def __init__(self, state: State, language: str, zone: tzinfo | None = None) -> None:
        """Write all times in `zone`; without one, in the time zone in use."""
        self._zone = zone or timezone.get_current_timezone()
        self.state, self.language = painted(state), language
        self.symbol, self.quote = state.symbol, self.state.quote
        self.fixed = self.symbol.digits_near(self.quote.last) if self.quote else None
        self.digits = formats.price_digits(self.quote.last, self.fixed) if self.quote else 2

    def __getattr__(self, name: str) -> str | SafeString:
        """Format one of the quote's prices: `shown.last`, `shown.bid`."""
        value = getattr(self.quote, name) if self.quote else None
        if value is None:
            return BLANK
        digits = self.fixed
        if digits is None:  # as many as `last` has, or as this price has if these are more
            digits = max(self.digits, formats.price_digits(value.normalize(), None))
        return formats.price(value, digits, self.language)

    def as_text(self, value: Decimal) -> str:
        """Write a price with all its digits, for attributes, which can't contain elements."""
        return formats.number(value, formats.price_digits(value, self.fixed), self.language)

    @property
    def row_low(self) -> str | SafeString:
        """Low as a row has room for it: with fewer decimals, or abbreviated."""
        return self._short("low", abbreviated=True)

    @property
    def row_high(self) -> str | SafeString:
        """High, written like `row_low`."""
        return self._short("high", abbreviated=True)

    @property
    def row_bid(self) -> str | SafeString:
        """Bid as a row has room for it: with fewer decimals, or empty."""
        return self._short("bid")

    @property
    def row_ask(self) -> str | SafeString:
        """Ask, written like `row_bid`."""
        return self._short("ask")

    @property
    def row_change(self) -> str | SafeString:
        """Change, written like `row_bid`."""
        return self._short("change")

    def _short(self, name: str, *, abbreviated: bool = False) -> str | SafeString:
        text: str | SafeString = getattr(self, name)
        if len(text) <= ROW_ROOM or "<" in text:  # a tiny price is short, and contains HTML
            return text
        value = getattr(self.quote, name)
        write = formats.price_change if name == "change" else formats.price
        room = ROW_ROOM - len(write(value, 0, self.language))
        if room < 0:
            return formats.compact(value, self.language) if abbreviated else ""
        shorter: str | SafeString = write(value, max(0, room - 1), self.language)
        return shorter

    def __missing__(self, name: str) -> Any:
        """Make an attribute an item.

        Texts are escaped here, because a template takes four times as long for the same.
        """
        value = getattr(self, name)
        self[name] = value = SafeString(escape(value)) if type(value) is str else value
        return value

    @property
    def pk(self) -> str:
        """The symbol's primary key as text: templates add thousands separators to a number."""
        return str(self.symbol.pk)

    @property
    def code(self) -> str:
        """The symbol's code, which templates find faster than `symbol.code`."""
        return self.symbol.code

    @property
    def url(self) -> str:
        """The address of the symbol's page."""
        routes = get_urlconf() or settings.ROOT_URLCONF
        return _url(self.symbol.code, translation.get_language(), get_script_prefix(), routes)

    @property
    def long(self) -> bool:
        """Whether its code may need more than one line on a phone."""
        return len(self.symbol.code) > SHORT_CODE

    @property
    def value(self) -> str:
        """Last with all digits of the source, for machines."""
        return formats.plain(self.quote.last) if self.quote else ""

    @property
    def points(self) -> bool:
        """Whether the price is a number of points, and people call the symbol by its name."""
        return self.symbol.kind_of.points

    @property
    def currency(self) -> str:
        """The currency of the quote, which may differ from that of the symbol."""
        return _currency(self.state)

    @property
    def unit(self) -> str:
        """The currency, or points for an index."""
        return _unit(self.state)

    @cached_property
    def _percent(self) -> Decimal | None:
        change = self.quote.change_percent if self.quote else None
        return None if change is None else formats.rounded_to(change, 2)

    @cached_property
    def direction(self) -> str:
        """The direction of the change as it is shown: "up", "down" or "flat"."""
        return formats.direction(self._percent, 2)

    @property
    def arrow(self) -> str:
        """An arrow for the direction, or "" without a reference."""
        return formats.ARROWS[self.direction] if self.quote and self.quote.reference else ""

    @property
    def change(self) -> str:
        """Change in the quote's currency with its sign."""
        change = self.quote.change if self.quote else None
        if change is None:
            return BLANK
        return formats.price_change(change, self.digits, self.language)

    @property
    def change_percent(self) -> str:
        """Change as a percentage with its sign."""
        return BLANK if self._percent is None else formats.percent(self._percent, self.language)

    @property
    def since(self) -> str:
        """The reference of the change as text, or "" without one."""
        quote = self.quote
        kind = quote.reference_kind if quote and quote.reference else None
        return translated(SINCE, kind, self.language)

    @property
    def unlike(self) -> str:
        """The reference of the change, or "" if pages state the same one for this kind."""
        quote = self.quote
        usual = self.symbol.kind_of.reference
        return self.since if quote and quote.reference_kind != usual else ""

    @property
    def volume(self) -> str:
        """Volume, abbreviated: 1.23M."""
        volume = self.quote.volume if self.quote else None
        return BLANK if volume is None else formats.compact(volume, self.language)

    @property
    def low_value(self) -> str:
        """Low for machines, never above last: the day's range includes now."""
        quote = self.quote
        return formats.plain(min(quote.low, quote.last)) if quote and quote.low else ""

    @property
    def high_value(self) -> str:
        """High for machines, never below last."""
        quote = self.quote
        return formats.plain(max(quote.high, quote.last)) if quote and quote.high else ""

    @property
    def has_range(self) -> bool:
        """Whether low and high are both known."""
        quote = self.quote
        return bool(quote and quote.low and quote.high)

    @property
    def datetime(self) -> str:
        """The quote's time in RFC 3339, UTC."""
        return self.quote.time.isoformat() if self.quote else ""

    @property
    def zone(self) -> str:
        """The time zone of the times on the page."""
        return timezone.get_current_timezone_name()

    @property
    def abroad(self) -> str:
        """The short name of the time zone, “EST”, or "" if it is that of the site.

        A page that chose its zone names it in any case.
        """
        here = self._zone is timezone.get_default_timezone()
        if self.quote is None or (here and not self.names_zone):
            return ""
        return self.quote.time.astimezone(self._zone).tzname() or ""

    @property
    def reference_name(self) -> str:
        """The name of the reference."""
        kind = self.quote.reference_kind if self.quote else None
        return translated(REFERENCES, kind, self.language) or gettext("Reference")

    @cached_property
    def clock(self) -> str:
        """The time of the quote, with its day unless it belongs to the current session."""
        if self.quote is None:
            return BLANK
        began = self.state.session.since if self.state.session else None
        of_now = self.session != "closed" and not self.called
        if began is None:
            age = timedelta(minutes=self.state.stale_minutes or 0)
            return formats.clock_or_day(self.quote.time, self.quote.received_at + age, self._zone)
        if began <= self.quote.time and of_now:
            return formats.clock(self.quote.time, self._zone)
        return formats.day_and_time(self.quote.time, began)

    @property
    def time(self) -> str:
        """The clock, with the time zone if it is not that of the site."""
        return f"{self.clock} {self.abroad}" if self.abroad else self.clock

    @cached_property
    def called(self) -> str:
        """The label of a price outside regular trading: "At close", "After hours", or ""."""
        session, quote = self.state.session, self.quote
        if session is None or session.since is None or quote is None or quote.source_time is None:
            return ""
        if session.name not in ("pre", "post", "closed"):
            return ""
        symbol = self.symbol
        valid_at = quote.received_at - timedelta(seconds=quote.delay or 0)
        of = sessions.price_label(
            symbol.exchange, symbol.kind, session.since, quote.source_time, valid_at
        )
        return "" if of == session.name else translated(LABELS, of, self.language)

    @property
    def session(self) -> str:
        """The session of the market, one of quotes.quote.SESSIONS, or "" if it is unknown."""
        return self.state.session.name if self.state.session else ""

    @property
    def opens(self) -> str:
        """The time when the market opens next, or "" if it is open or that is unknown."""
        session = self.state.session
        if session is None or session.since is None or session.next_open is None:
            return ""
        return formats.day_and_time(session.next_open, session.since)

    @property
    def condition(self) -> str:
        """The row's state for CSS: "live", "stale", "closed" or "none"."""
        if self.quote is None:
            return "none"
        if self.has_fixed_price:
            return "closed"
        if self.state.stale:
            return "stale"
        return "closed" if self.session in ("closed", "halted") else "live"

    @property
    def status(self) -> str:
        """The session as a short text, for rows: "" while the price moves."""
        if self.session in QUIET:
            return ""
        if self.session == "closed" and self.opens:
            return gettext("Opens %(when)s") % {"when": self.opens}
        return translated(SESSIONS, self.session, self.language)

    @property
    def exception(self) -> str:
        """The gravest thing that a row states, for CSS; "" while its price moves."""
        if self.wrong:
            return "stale"
        if self.session == "halted":
            return "halted"
        if self.called:
            return "called"
        return "session" if self.status else ""

    @property
    def remark(self) -> str:
        """What else a row states of its price: its delay and source, or the base of its change."""
        return " · ".join(filter(None, (self.late, self.via))) or self.unlike

    @property
    def late(self) -> str:
        """The delay of the price in its shortest form: “15 min”, or ""."""
        delay = self.quote.delay if self.quote else None
        return gettext("%(n)d min") % {"n": -(-delay // 60)} if delay else ""

    @property
    def via(self) -> str:
        """The first word of the source's name if it is not the preferred source, or ""."""
        if not self.state.fallback:
            return ""
        return self.source if self.simulated else self.source.partition(" ")[0]

    @property
    def reason(self) -> str:
        """The cause of a missing price: its provider is down, or no provider has sent one."""
        if self.state.outage is None:
            return gettext(
                "No provider has sent a price of this symbol. It appears here as soon as one does."
            )
        name, since = self.state.outage
        title = provider_title(name, self.symbol.kind)
        words = gettext("Prices from %(title)s unavailable since %(since)s")
        return words % {"title": title, "since": formats.clock(since)}

    @property
    def status_in_full(self) -> str:
        """The state of the price and of the market, for places with enough room."""
        return " · ".join(filter(None, (self.wrong, self.circumstances)))

    @property
    def circumstances(self) -> str:
        """The state of the market, the fallback provider and the delay, on one line."""
        return " · ".join(filter(None, (self.market, *self.asides)))

    @property
    def remarks(self) -> str:
        """The state of the price on one line, without that of the market.

        A simulated price does not name its source, because `simulated` states it beside.
        """
        asides = self.asides[1:] if self.simulated and self.state.fallback else self.asides
        return " · ".join(filter(None, (self.wrong, *asides)))

    @cached_property
    def wrong(self) -> str:
        """The problem with the price: the label of an override, "No price", its age, or ""."""
        if self.label:
            return self.label
        if self.quote is None:
            return gettext("No price")
        minutes = self.state.stale_minutes
        return "" if minutes is None else formats.age(minutes * 60, self.language)

    @property
    def has_fixed_price(self) -> bool:
        """Whether the price is one that the staff has set."""
        return self.state.override is not None and self.state.override.kind == Override.Kind.PRICE

    @property
    def label(self) -> str:
        """The text of an override, or "" if there is none."""
        override = self.state.override
        if override is None:
            return ""
        return override.label or translated(OVERRIDES, override.kind, self.language)

    @cached_property
    def asides(self) -> tuple[str, ...]:
        """The fallback provider of the price and its delay, if it has them."""
        delay = self.quote.delay if self.quote else None
        via = (gettext("via %(source)s") % {"source": self.source},) if self.state.fallback else ()
        late = (gettext("Delayed %(n)d min") % {"n": -(-delay // 60)},) if delay else ()
        return via + late

    @property
    def market(self) -> str:
        """The session of the market, with the time when it opens."""
        if _never_closes(self.state):
            return gettext("Simulated, always open")
        session = translated(SESSIONS, self.session, self.language)
        if self.session in ("pre", "break", "closed") and self.opens:
            return gettext("%(session)s, opens %(when)s") % {
                "session": session,
                "when": self.opens,
            }
        return session

    @property
    def simulated(self) -> bool:
        """Whether this price is simulated, which every page must state."""
        return self.quote is not None and self.quote.provider == "simulated"

    @property
    def source(self) -> str:
        """The title of the quote's provider, with the part of it that has this symbol."""
        if self.quote is None:
            return ""
        if self.has_fixed_price:
            return gettext("This site")
        return provider_title(self.quote.provider, self.symbol.kind)


def since_in_english(quotes: Iterable[Quote | None]) -> str:
    """Return the reference of the changes of some quotes, in English, to be translated later.

    A row with another reference has its own text.
    """
    found = {quote.reference_kind for quote in quotes if quote}
    texts = [text for reference, text in SINCE.items() if reference in USUAL & found]
    return MIXED if len(texts) > 1 else "".join(texts)


def _currency(state: State) -> str:
    return state.quote.currency if state.quote else state.symbol.currency


def _unit(state: State) -> str:
    points = state.symbol.kind_of.points
    return pgettext("the unit of an index", "pts") if points else _currency(state)


def summary(states: Sequence[State]) -> dict[str, Hashable]:
    """Return what all rows share: the base of changes, the currency, the hours of the markets.

    "same" is true if no row needs to state its session.
    """
    sessions = {state.session.name if state.session else "" for state in states}
    units = set(map(_unit, states))
    texts: list[str] = [*units] if len(units) == 1 else []
    if sessions == {"always"}:
        simulated = any(map(_never_closes, states))
        texts.append(gettext("simulated, always open") if simulated else gettext("24/7"))
    elif sessions <= {"always", "regular"} and sessions:
        texts.append(gettext("all markets open"))
    elif sessions == {"closed"}:
        texts.append(_all_closed(states))
    since = since_in_english(state.quote for state in states)
    if since:
        texts.insert(0, gettext("Change: %(since)s") % {"since": gettext(since)})
    return {"texts": tuple(texts), "same": sessions in ({"always"}, {"closed"})}


def _never_closes(state: State) -> bool:
    """Return whether a simulated market is open at times when the real one is closed."""
    quote = state.quote
    simulated = quote is not None and quote.provider == "simulated" and quote.session == "always"
    return simulated and state.symbol.kind_of.venue != ALL_DAY


def _all_closed(states: Iterable[State]) -> str:
    opens = [
        (state.session.next_open, state.session.since)
        for state in states
        if state.session and state.session.next_open and state.session.since
    ]
    if not opens:
        return gettext("all markets closed")
    when = formats.day_and_time(*min(opens))
    return gettext("all markets closed, the first opens %(when)s") % {"when": when}


@cache
def _url(code: str, language: str | None, prefix: str, routes: str) -> str:
    """Return the address of a symbol's page. With `i18n_patterns`, it begins with the language."""
    return reverse("quotes:symbol", args=[code])


def translated(texts: Mapping[str, str], name: str | None, language: str) -> str:
    """Return the text of a name in a language, or "" if it has none."""
    return _translated(texts[name], language) if name and name in texts else ""


@cache
def _translated(text: str, language: str) -> str:
    with translation.override(language):
        return gettext(text)


def provider_title(name: str, kind: str = "") -> str:
    """Return a provider's title in the active language, or its name if it is unknown.

    For the symbols of a kind, it may name a part of the provider: "Alpaca (IEX)".
    """
    if name not in REGISTRY:
        return name
    provider = provider_class(name)
    options = conf.get("PROVIDER_OPTIONS").get(name, {})
    return gettext(provider.title_for(kind, options) if kind else provider.title)
