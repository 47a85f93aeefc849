"""What a fragment shows of one symbol: every value as a ready string, in one language.

Formatted here once per state, the templates only print.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cache, cached_property
from html import escape
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, gettext_noop

from quotes import formats, sessions
from quotes.providers import REGISTRY, provider_class
from quotes.quote import Quote
from quotes.store import State

BLANK = "—"
SINCE = {
    "prev_close": gettext_noop("vs prev. close"),
    "rolling_24h": gettext_noop("24 h"),
    "utc_day": gettext_noop("since 00:00 UTC"),
}
ORDINARY = {"crypto": "rolling_24h"}  # what change is measured from, by kind of symbol
ORDINARILY = "prev_close"  # of all other kinds
MIXED = gettext_noop("24 h for crypto, otherwise vs prev. close")
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
CALLED = {"close": gettext_noop("At close"), "post": SESSIONS["post"]}


class Shown:
    """A state in one language: what the templates print, as ready strings."""

    def __init__(self, state: State, language: str) -> None:
        self.state, self.language = state, language
        self.symbol, self.quote = state.symbol, state.quote
        self.digits = (
            formats.price_digits(self.quote.last, state.symbol.digits) if self.quote else 2
        )

    def __getattr__(self, name: str) -> str | SafeString:
        """Format one of the quote's prices: `shown.last`, `shown.bid`."""
        value = getattr(self.quote, name) if self.quote else None
        if value is None:
            return BLANK
        digits = self.symbol.digits
        if digits is None:  # as many as last has, and no digit is lost
            digits = max(self.digits, formats.price_digits(value.normalize(), None))
        return formats.price(value, digits, self.language)

    def __getitem__(self, name: str) -> Any:
        """Answer a template, which asks for an item before it asks for an attribute.

        Texts come escaped: the template's own way to the same function takes four times as long.
        """
        value = getattr(self, name)
        return mark_safe(escape(value)) if type(value) is str else value  # noqa: S308

    @property
    def pk(self) -> str:
        """The symbol's primary key, for ids: a number would get thousands separators."""
        return str(self.symbol.pk)

    @property
    def url(self) -> str:
        """The address of the symbol's page."""
        return _url(self.symbol.code)

    @property
    def value(self) -> str:
        """Last with every digit it came with, for machines."""
        return formats.plain(self.quote.last) if self.quote else ""

    @property
    def currency(self) -> str:
        """The currency that was quoted, which is not always the one that was asked for."""
        return self.quote.currency if self.quote else self.symbol.currency

    @cached_property
    def direction(self) -> str:
        """Whether the change reads "up", "down" or "flat"."""
        return formats.direction(self.quote.change_percent, 2) if self.quote else "flat"

    @property
    def arrow(self) -> str:
        """The direction without colour."""
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
        change = self.quote.change_percent if self.quote else None
        return BLANK if change is None else formats.percent(change, self.language)

    @property
    def since(self) -> str:
        """What change is measured from, in words; "" where there is none."""
        quote = self.quote
        return _word(SINCE, quote.reference_kind if quote and quote.reference else None)

    @property
    def unlike(self) -> str:
        """The same where it is not what a page says, once, of all symbols of this kind."""
        quote = self.quote
        ordinary = ORDINARY.get(self.symbol.kind, ORDINARILY)
        return self.since if quote and quote.reference_kind != ordinary else ""

    @property
    def volume(self) -> str:
        """Volume in short: 1.23M."""
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
    def datetime(self) -> str:
        """The quote's time in RFC 3339, UTC."""
        return self.quote.time.isoformat() if self.quote else ""

    @property
    def zone(self) -> str:
        """The time zone that clocks on the page show."""
        return timezone.get_current_timezone_name()

    @property
    def reference_name(self) -> str:
        """What the reference is, in words."""
        kind = self.quote.reference_kind if self.quote else None
        return _word(REFERENCES, kind) or gettext("Reference")

    @cached_property
    def clock(self) -> str:
        """The time of day of the quote; with its day, unless it is one of the open session."""
        if self.quote is None:
            return BLANK
        began = self.state.session.since if self.state.session else None
        of_now = self.session != "closed" and not self.called
        if began is None or (began <= self.quote.time and of_now):
            return formats.clock(self.quote.time)
        return formats.day_and_time(self.quote.time, began)

    @cached_property
    def called(self) -> str:
        """What its price is called while its market is shut: "At close", "After hours", or ""."""
        session, quote = self.state.session, self.quote
        if session is None or session.since is None or quote is None or quote.source_time is None:
            return ""
        if session.name not in ("pre", "post", "closed"):
            return ""
        symbol, heard_at = self.symbol, quote.received_at - timedelta(seconds=quote.delay or 0)
        of = sessions.price_label(
            symbol.exchange, symbol.kind, session.since, quote.source_time, heard_at
        )
        return "" if of == session.name else _word(CALLED, of)

    @property
    def session(self) -> str:
        """The session of its market, one of quotes.quote.SESSIONS; "" where nobody knows."""
        return self.state.session.name if self.state.session else ""

    @property
    def opens(self) -> str:
        """When its market opens next, where it is known and not open."""
        session = self.state.session
        if session is None or session.since is None or session.next_open is None:
            return ""
        return formats.day_and_time(session.next_open, session.since)

    @property
    def condition(self) -> str:
        """The row's state in one word for the page's CSS: "live", "stale", "closed", "none"."""
        if self.quote is None:
            return "none"
        if self.state.stale:
            return "stale"
        return "closed" if self.session in ("closed", "halted") else "live"

    @property
    def status(self) -> str:
        """The row's state in a few words: what is wrong with its price, else its market's."""
        if self.wrong:  # only while the market is open, which then goes without saying
            return self.wrong
        if self.session == "closed" and self.opens:
            return gettext("Opens %(when)s") % {"when": self.opens}
        return _word(SESSIONS, self.session)

    @property
    def status_in_full(self) -> str:
        """All that is to be said of its market and its price, where there is room for it."""
        return " · ".join(text for text in (self.market, self.wrong, *self.asides) if text)

    @property
    def remarks(self) -> str:
        """What is wrong or special with its price in a line, and nothing of its market."""
        return " · ".join(text for text in (self.wrong, *self.asides) if text)

    @cached_property
    def wrong(self) -> str:
        """What is wrong with its price: that there is none, or its age."""
        if self.quote is None:
            return gettext("No price")
        minutes = self.state.stale_minutes
        return "" if minutes is None else formats.age(minutes * 60, self.language)

    @cached_property
    def asides(self) -> tuple[str, ...]:
        """What is special with its price, whatever its market does: whose it is, and how late."""
        delay = self.quote.delay if self.quote else None
        via = (gettext("via %(source)s") % {"source": self.source},) if self.state.fallback else ()
        late = (gettext("Delayed %(n)d min") % {"n": -(-delay // 60)},) if delay else ()
        return via + late

    @property
    def market(self) -> str:
        """The session of its market in words, and when it opens."""
        said = _word(SESSIONS, self.session)
        if self.session in ("pre", "break", "closed") and self.opens:
            words = {"session": said, "when": self.opens}
            return gettext("%(session)s, opens %(when)s") % words
        return said

    @property
    def simulated(self) -> bool:
        """Whether this price is made up, which every page must say."""
        return self.quote is not None and self.quote.provider == "simulated"

    @property
    def source(self) -> str:
        """The provider as people know it."""
        return provider_title(self.quote.provider) if self.quote else ""


def since(quotes: Iterable[Quote | None]) -> str:
    """Say what the changes of some quotes are measured from, in the language that is active."""
    words = base(quotes)
    return gettext(words) if words else ""


def base(quotes: Iterable[Quote | None]) -> str:
    """Say the same in English, to be translated; what is not ordinary is said by its own row."""
    kinds = {quote.reference_kind for quote in quotes if quote}
    said = [SINCE[kind] for kind in (ORDINARILY, *ORDINARY.values()) if kind in kinds]
    return MIXED if len(said) > 1 else "".join(said)


@cache
def _url(code: str) -> str:
    return reverse("quotes:symbol", args=[code])


def _word(words: Mapping[str, str], name: str | None) -> str:
    return gettext(words[name]) if name and name in words else ""


def provider_title(name: str) -> str:
    """Return a provider's name as people know it."""
    return provider_class(name).title if name in REGISTRY else name
