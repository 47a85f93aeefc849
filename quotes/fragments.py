"""Fragments: a quote as HTML, rendered once per state, widget and language for everybody.

A page's first paint and every message on the wire come from the same templates. On the wire the
outermost element also carries `hx-swap-oob`, which tells htmx where it belongs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.template.loader import get_template
from django.utils import timezone, translation
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from quotes import conf, formats
from quotes.providers import REGISTRY, provider_class
from quotes.quote import Quote
from quotes.shown import Shown, base, provider_title
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
# The same for a symbol that is not listed any more: only the rows of a board vanish.
GONE = TARGETS | {"row": "delete:tr.quote:not(.quote-listing)[data-symbol='{code}']"}

MOST_REMEMBERED = 1000  # different notes and sources; strangers can ask for unknown symbols


@dataclass(frozen=True, slots=True)
class Watch:
    """What one page shows: codes by widget, in order. Equal watches get equal bytes."""

    language: str
    row: tuple[str, ...] = ()
    listing: tuple[str, ...] = ()
    panel: tuple[str, ...] = ()
    price: tuple[str, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()  # (widget, code) asked for, and not listed
    codes: frozenset[str] = field(init=False, compare=False, repr=False)  # that stand anywhere

    def __post_init__(self) -> None:
        """Gather the codes once: the hub asks for them at every pace."""
        object.__setattr__(self, "codes", frozenset(code for _, code in self.places()))

    def places(self) -> list[tuple[str, str]]:
        """Return (widget, code) pairs; table rows first, or the parser would drop them."""
        return [(widget, code) for widget in TEMPLATES for code in getattr(self, widget)]

    @property
    def unknown(self) -> tuple[str, ...]:
        """The codes that were asked for and are not listed."""
        return tuple(dict.fromkeys(code for _, code in self.missing))


@dataclass(slots=True)
class Fragments:
    """Renders states, each once per widget and language, and joins them into messages."""

    store: Store
    renders: Counter[str] = field(default_factory=Counter)  # by template
    rendered: dict[tuple[str, str, str], tuple[State, SafeString]] = field(default_factory=dict)
    remembered: dict[tuple[Hashable, ...], SafeString] = field(default_factory=dict)

    def paint(self, widget: str, code: str, language: str) -> SafeString:
        """Return a symbol's fragment as a page's first paint shows it."""
        state = self.store.states[code]
        known = self.rendered.get((widget, code, language))
        if known is not None and known[0] is state:
            return known[1]
        html = self.render(TEMPLATES[widget], language, {"shown": Shown(state, language)})
        self.rendered[widget, code, language] = (state, html)
        return html

    def place(self, widget: str, code: str, language: str) -> SafeString:
        """Return a symbol's fragment, or what stands there while it is not listed."""
        listed = code in self.store.states
        return (self.paint if listed else self.unknown)(widget, code, language)

    def update(self, watch: Watch, codes: Collection[str]) -> str:
        """Join the fragments of these codes as a message; a price that moved flashes."""
        return self._join(watch, codes, self.store.flash)

    def snapshot(self, watch: Watch, codes: Collection[str] | None = None) -> str:
        """Join the fragments of all (or these) codes as a message in which nothing flashes."""
        return self._join(watch, watch.codes if codes is None else codes, lambda code: "")

    def opening(self, watch: Watch) -> str:
        """Join everything that a page which just opened its socket needs to be current."""
        return self.everything(watch) + addressed(self.pulse(watch.language))

    def everything(self, watch: Watch) -> str:
        """Join all rows as they are now and what is to be said of them; what is not listed goes."""
        gone = self.gone(watch.missing, watch.language)
        return gone + self.snapshot(watch) + self.about(watch)

    def gone(self, places: Iterable[tuple[str, str]], language: str) -> str:
        """Return a message for (widget, code) places of symbols that are not listed.

        The rows of a board vanish; other places say so, and show the symbol again when it is.
        """
        return "".join(
            addressed(self.unknown(widget, code, language), _swap(GONE[widget], code))
            for widget, code in places
        )

    def unknown(self, widget: str, code: str, language: str) -> SafeString:
        """Return what stands in the place of a symbol that is not listed."""
        if widget == "row":
            return format_html('<tr class="quote" data-symbol="{}"></tr>', code)
        return self.render("quotes/_unknown.html", language, {"widget": widget, "code": code})

    def about(self, watch: Watch) -> str:
        """Join what a page must say of its prices and their sources as a message."""
        return addressed(self.notes(watch)) + addressed(self.sources(watch))

    def pulse(self, language: str, condition: str = "live") -> SafeString:
        """Return the sign of life that keeps a page from doubting its socket.

        Its condition is "live" from a socket, "opening" on a page that has none yet, and "late"
        in the answer that helps a page whose socket was silent.
        """
        every = conf.get("PULSE")
        context = {
            "condition": condition,
            "brisk": every == conf.BRISK,
            "doubts_after": conf.DOUBTS_AFTER[every],
            "now": timezone.now(),
        }
        return self.render("quotes/_pulse.html", language, context)

    def notes(self, watch: Watch) -> SafeString:
        """Return what a page must say of its prices: simulated, failing, not listed."""
        providers = _providers(self._quotes(watch.codes))
        missed = {self._missed(code) for code in watch.codes}
        outages = tuple(
            (provider_title(name), formats.clock(since))
            for name, since in sorted(self.store.outages.items())
            if name in providers or name in missed or "any" in missed
        )
        context = {
            "simulated": "simulated" in providers,
            "outages": outages,
            "unknown": watch.unknown,
        }
        return self.said("quotes/_notes.html", watch.language, context)

    def sources(self, watch: Watch) -> SafeString:
        """Return whom the prices of a page come from, in the words that they ask for.

        With it goes what they are not for, and what the changes in listings are measured from.
        """
        # the notes say already, and louder, what is simulated
        names = [name for name in _providers(self._quotes(watch.codes)) if name != "simulated"]
        lines = tuple(provider_class(name).attribution for name in names if name in REGISTRY)
        context: dict[str, Hashable] = {
            "since": base(self._quotes(watch.listing)),
            "attributions": lines,
        }
        return self.said("quotes/_sources.html", watch.language, context)

    def said(self, template: str, language: str, context: dict[str, Hashable]) -> SafeString:
        """Render what many pages say and say again, or remember it."""
        key = (template, language, *context.values())
        if key not in self.remembered:
            if len(self.remembered) >= MOST_REMEMBERED:
                self.remembered.clear()
            self.remembered[key] = self.render(template, language, context)
        return self.remembered[key]

    def render(self, template: str, language: str, context: dict[str, Any]) -> SafeString:
        """Render a template in a language, in ASCII and without its last line end.

        ASCII, because a server encodes each frame for each socket anew: 1.5 µs for 25 rows of it
        and 34 µs with a single “▲” in them. Other characters become HTML's references.
        """
        self.renders[template] += 1
        with translation.override(language):
            html = get_template(template).render(context).strip()
        return mark_safe(html.encode("ascii", "xmlcharrefreplace").decode())  # noqa: S308

    def _quotes(self, codes: Iterable[str]) -> list[Quote | None]:
        states = self.store.states
        return [states[code].quote for code in codes if code in states]

    def _missed(self, code: str) -> str:
        """Return the provider that should have brought a symbol's price, where none did."""
        state, chain = self.store.states.get(code), self.store.chains.get(code, ())
        quote = state.quote if state is not None else None
        if not chain:
            return "" if quote else "any"
        return "" if quote and quote.provider in chain else chain[0]

    def _join(self, watch: Watch, codes: Collection[str], flash: Callable[[str], str]) -> str:
        return "".join(
            addressed(
                self.paint(widget, code, watch.language),
                _swap(TARGETS[widget], code),
                flash(code),
            )
            for widget, code in watch.places()
            if code in codes and code in self.store.states
        )


def _swap(target: str, code: str) -> str:
    return target.format(code=escape(code))


def _providers(quotes: list[Quote | None]) -> list[str]:
    return sorted({quote.provider for quote in quotes if quote})


def addressed(html: str, swap: str = "true", flash: str = "") -> str:
    """Write on the outermost tag, at its first space, where htmx shall put it."""
    marks = f' hx-swap-oob="{swap}"' + (f' data-flash="{flash}"' if flash else "")
    return html.replace(" ", marks + " ", 1)
