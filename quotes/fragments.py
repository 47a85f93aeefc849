"""Fragments: a quote as HTML, rendered once per state, widget and language for everybody.

A page's first paint and every message on the wire come from the same templates. On the wire the
outermost element also carries `hx-swap-oob`, which tells htmx where it belongs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.template.loader import get_template
from django.utils import timezone, translation
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from quotes import formats
from quotes.providers import REGISTRY, provider_class
from quotes.quote import Quote
from quotes.store import State, Store

# Each widget's template, and how htmx finds its places on a page. A row of a board is found by
# its id and keeps it when rows change places; the others may stand anywhere any number of times.
TEMPLATES = {
    "row": "quotes/_row.html",
    "listing": "quotes/_listing.html",
    "panel": "quotes/_panel.html",
    "price": "quotes/_price.html",
}
TARGETS = {
    "row": "outerMorph",
    "listing": "outerMorph:tr.quote-listing[data-symbol='{code}']",
    "panel": "outerMorph:.quote-panel[data-symbol='{code}']",
    "price": "outerMorph:.quote-price[data-symbol='{code}']",
}
BLANK = "—"


@dataclass(frozen=True, slots=True)
class Watch:
    """What one page shows: codes by widget, in order. Equal watches get equal bytes."""

    language: str
    row: tuple[str, ...] = ()
    listing: tuple[str, ...] = ()
    panel: tuple[str, ...] = ()
    price: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()  # asked for, and not listed

    def places(self) -> list[tuple[str, str]]:
        """Return (widget, code) pairs; table rows first, or the parser would drop them."""
        return [(widget, code) for widget in TEMPLATES for code in getattr(self, widget)]

    @property
    def codes(self) -> frozenset[str]:
        """The codes that stand anywhere on the page."""
        return frozenset(code for _, code in self.places())


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
        return BLANK if value is None else formats.price(value, self.symbol.digits, self.language)

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
        return formats.signed(change, self.digits, self.language)

    @property
    def change_percent(self) -> str:
        """Change as a percentage with its sign."""
        change = self.quote.change_percent if self.quote else None
        return BLANK if change is None else formats.percent(change, self.language)

    @property
    def since(self) -> str:
        """What change is measured from, in words."""
        words = {
            "prev_close": gettext("vs prev. close"),
            "rolling_24h": gettext("24 h"),
            "utc_day": gettext("since 00:00 UTC"),
        }
        return words.get(self.quote.reference_kind, "") if self.quote else ""

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
        words = {
            "prev_close": gettext("Prev. close"),
            "rolling_24h": gettext("24 h ago"),
            "utc_day": gettext("00:00 UTC"),
        }
        return words.get(self.quote.reference_kind if self.quote else "", gettext("Reference"))

    @property
    def clock(self) -> str:
        """The time of day of the quote."""
        return formats.clock(self.quote.time) if self.quote else BLANK

    @property
    def condition(self) -> str:
        """The row's state in one word for the page's CSS: "live", "stale", "closed", "none"."""
        if self.quote is None:
            return "none"
        if self.state.stale:
            return "stale"
        return "closed" if self.quote.session in ("closed", "halted") else "live"

    @property
    def status(self) -> str:
        """The row's state in words; delay and age are said, a healthy price says little."""
        if self.quote is None:
            return gettext("No price yet")
        if self.state.stale_minutes is not None:
            return formats.age(self.state.stale_minutes * 60, self.language)
        if self.quote.delay:
            return gettext("Delayed %(n)d min") % {"n": self.quote.delay // 60}
        words = {
            "always": gettext("24/7"),
            "pre": gettext("Pre-market"),
            "regular": gettext("Open"),
            "break": gettext("Break"),
            "post": gettext("After hours"),
            "closed": gettext("Closed"),
            "halted": gettext("Halted"),
        }
        return words.get(self.quote.session or "", "")

    @property
    def simulated(self) -> bool:
        """Whether this price is made up, which every page must say."""
        return self.quote is not None and self.quote.provider == "simulated"

    @property
    def source(self) -> str:
        """The provider as people know it."""
        return provider_title(self.quote.provider) if self.quote else ""


@dataclass(slots=True)
class Fragments:
    """Renders states, each once per widget and language, and joins them into messages."""

    store: Store
    renders: Counter[str] = field(default_factory=Counter)  # by template
    rendered: dict[tuple[str, str, str], tuple[State, SafeString]] = field(default_factory=dict)

    def paint(self, widget: str, code: str, language: str) -> SafeString:
        """Return a symbol's fragment as a page's first paint shows it."""
        state = self.store.states[code]
        known = self.rendered.get((widget, code, language))
        if known is not None and known[0] is state:
            return known[1]
        html = self.render(TEMPLATES[widget], language, {"shown": Shown(state, language)})
        self.rendered[widget, code, language] = (state, html)
        return html

    def update(self, watch: Watch, codes: Collection[str]) -> str:
        """Join the fragments of these codes as a message; a price that moved flashes."""
        return self._join(watch, codes, self.store.flash)

    def snapshot(self, watch: Watch, codes: Collection[str] | None = None) -> str:
        """Join the fragments of all (or these) codes as a message in which nothing flashes."""
        return self._join(watch, watch.codes if codes is None else codes, lambda code: "")

    def opening(self, watch: Watch) -> str:
        """Join everything that a page which just opened its socket needs to be current."""
        return self.snapshot(watch) + self.about(watch) + addressed(self.pulse(watch.language))

    def about(self, watch: Watch) -> str:
        """Join what a page must say of its prices and their sources as a message."""
        return addressed(self.notes(watch)) + addressed(self.sources(watch))

    def pulse(self, language: str, condition: str = "live") -> SafeString:
        """Return the sign of life that keeps a page from doubting its socket.

        Its condition is "live" from a socket, "opening" on a page that has none yet, and "late"
        in the answer that helps a page whose socket was silent.
        """
        context = {"condition": condition, "now": timezone.now()}
        return self.render("quotes/_pulse.html", language, context)

    def notes(self, watch: Watch) -> SafeString:
        """Return what a page must say of its prices: simulated, failing, not listed."""
        quotes = self._quotes(watch)
        outages = [
            (provider_title(name), formats.clock(since))
            for name, since in sorted(self.store.outages.items())
            if None in quotes or name in _providers(quotes)
        ]
        context = {
            "simulated": "simulated" in _providers(quotes),
            "outages": outages,
            "unknown": watch.unknown,
        }
        return self.render("quotes/_notes.html", watch.language, context)

    def sources(self, watch: Watch) -> SafeString:
        """Return whom the prices of a page come from, in the words that they ask for."""
        names = _providers(self._quotes(watch))
        lines = [provider_class(name).attribution for name in names if name in REGISTRY]
        return self.render("quotes/_sources.html", watch.language, {"attributions": lines})

    def render(self, template: str, language: str, context: dict[str, Any]) -> SafeString:
        """Render a template in a language, without its last line end."""
        self.renders[template] += 1
        with translation.override(language):
            return mark_safe(get_template(template).render(context).strip())  # noqa: S308

    def _quotes(self, watch: Watch) -> list[Quote | None]:
        states = self.store.states
        return [states[code].quote for code in watch.codes if code in states]

    def _join(self, watch: Watch, codes: Collection[str], flash: Callable[[str], str]) -> str:
        return "".join(
            addressed(
                self.paint(widget, code, watch.language),
                TARGETS[widget].format(code=code),
                flash(code),
            )
            for widget, code in watch.places()
            if code in codes and code in self.store.states
        )


def _providers(quotes: list[Quote | None]) -> list[str]:
    return sorted({quote.provider for quote in quotes if quote})


def addressed(html: str, swap: str = "true", flash: str = "") -> str:
    """Write on the outermost tag, at its first space, where htmx shall put it."""
    marks = f' hx-swap-oob="{swap}"' + (f' data-flash="{flash}"' if flash else "")
    return html.replace(" ", marks + " ", 1)


def provider_title(name: str) -> str:
    """Return a provider's name as people know it."""
    return provider_class(name).title if name in REGISTRY else name
