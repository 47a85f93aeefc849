"""Fragments: a quote as HTML, rendered once per state, widget and edition for all pages.

A page's first paint and every message to it come from the same templates. In a message the
outermost element also has `hx-swap-oob`, from which htmx knows where to put it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString

from quotes import conf, formats
from quotes.boards import Listed
from quotes.candles.known import Known
from quotes.fragments.signs import Signs
from quotes.fragments.swaps import addressed, inside, swap_for
from quotes.fragments.templates import Templates
from quotes.htmx import dialect
from quotes.providers import REGISTRY, provider_class
from quotes.quote import Quote
from quotes.shown import Shown, provider_title, since_in_english, summary
from quotes.shown.panels import Panel
from quotes.store import Store
from quotes.watch import ROWS, Edition, Place, Watch

# The template of each widget, and how htmx finds the widget on a page. A row of a board is found by
# its id, so that it stays the same element when rows are sorted. All others can occur repeatedly.
TEMPLATES = {
    "row": "quotes/_row.html",
    "entry": "quotes/_entry.html",
    "panel": "quotes/_panel.html",
    "price": "quotes/_price.html",
}
TITLE = "quotes/_symbol_title.html"
TARGETS = {
    "row": "outerMorph",
    "entry": "outerMorph:tr.quote-entry[data-symbol='{code}']",
    "panel": "outerMorph:.quote-panel[data-symbol='{code}']",
    "price": "outerMorph:.quote-price[data-symbol='{code}']",
}
# The same for a symbol that is no longer active: rows of a board are deleted, all others stay.
GONE = TARGETS | {"row": "delete:tr.quote:not(.quote-entry)[data-symbol='{code}']"}

# The same for a former code, whose element becomes that of the code now.
RENAMED = TARGETS | {"row": GONE["row"].replace("delete", "outerMorph")}

# The cells of a row that ticks rarely change, with all values that they show.
CELLS: dict[str, Callable[[Shown], tuple[object, ...]]] = {
    "heading": lambda shown: (shown.symbol.name, shown.symbol.kind, shown.late),
    "state": lambda shown: (
        shown.wrong,
        shown.status,
        shown.remark,
        shown.status_in_full,
        shown.called and (shown.called, shown.clock, shown.datetime),
    ),
}

MAX_RENDERED = 20_000  # fragments, of about 1 KB: without a limit, each edition would keep all

# A sparkline is put there for the first paint. Ticks come without it, and htmx keeps the element.
SPARK = '<td class="c-spark" hx-morph-skip>'
EMPTY_SPARK = SPARK + "</td>"
SPARK_TARGET = "innerMorph:.quote[data-symbol='{code}']>.c-spark"


@dataclass(frozen=True, slots=True)
class Spark:
    """The prices of the last session as a line in a box of 120 by 48 units; empty without them."""

    path: str = ""
    reference: int | None = None  # the height of the reference in the box, from the top
    low: Decimal = Decimal(0)
    high: Decimal = Decimal(0)


NO_SPARK = Spark()


@dataclass(slots=True)
class Fragments:
    """Renders each state once per widget and edition, and joins fragments into messages."""

    store: Store
    templates: Templates = field(default_factory=Templates)
    signs: Signs = field(init=False)
    rendered: dict[tuple[Place, Edition], tuple[tuple[object, ...], SafeString]] = field(
        default_factory=dict
    )
    sparks: dict[str, Spark] = field(default_factory=dict)  # by code
    charts: Callable[[Watch], str] = lambda watch: ""  # the message with all charts of a page
    listed: Callable[[], Listed] = Listed
    known: Known = field(default_factory=Known)  # figures, which only a panel shows
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)  # that panels have shown

    def __post_init__(self) -> None:
        """Let the signs share the store and the templates."""
        self.signs = Signs(self.store, self.templates)

    def paint(self, widget: str, code: str, edition: Edition) -> SafeString:
        """Return a symbol's fragment for the first paint of a page."""
        html = self._painted(Place(widget, code), edition)
        if widget not in ROWS:
            return html
        filled = SPARK + self.spark(code, edition) + "</td>"
        return SafeString(html.replace(EMPTY_SPARK, filled, 1))  # parts are escaped

    def spark(self, code: str, edition: Edition) -> SafeString:
        """Return the sparkline of a symbol, which is empty if there are no prices to draw."""
        spark, state = self.sparks.get(code, NO_SPARK), self.store.states[code]

        def render() -> SafeString:
            shown = Shown(state, edition.language)
            low, high = shown.as_text(spark.low), shown.as_text(spark.high)
            context = {"spark": spark, "low": low, "high": high}
            return self.templates.render("quotes/_spark.html", edition, context)

        return self._kept(Place("spark", code), edition, (spark,), render)

    def sparklines(self, watch: Watch, codes: Collection[str] | None = None) -> str:
        """Return a message with all sparklines that are drawn, or with those of these codes."""
        drawn = self.sparks if codes is None else codes
        return "".join(
            inside(self.spark(code, watch.edition), swap_for(SPARK_TARGET, watch.edition, code))
            for code in watch.of(*ROWS)
            if code in drawn and code in self.store.states
        )

    def place(self, widget: str, code: str, edition: Edition) -> SafeString:
        """Return a symbol's fragment, or the fragment of an unknown symbol if it is not active."""
        listed = code in self.store.states
        return (self.paint if listed else self.unknown)(widget, code, edition)

    def update(self, watch: Watch, codes: Collection[str]) -> str:
        """Return a message with the fragments of these codes; the largest moves flash."""
        shown = watch.codes.intersection(codes)
        return self._join(watch, codes, self.store.flashes(shown, conf.get("PACE")))

    def snapshot(self, watch: Watch, codes: Collection[str] | None = None) -> str:
        """Return a message with the fragments of all codes, or of these; nothing flashes."""
        return self._join(watch, watch.codes if codes is None else codes, {})

    def opening(self, watch: Watch) -> str:
        """Return the first message to a socket, with all that its page needs to be current."""
        # the page may be older than its sparklines, which are not sent again until they change
        return self.everything(watch) + self.sparklines(watch) + self.signs.sign(watch.edition)

    def everything(self, watch: Watch) -> str:
        """Return a message with all fragments, notes and sources, and without inactive symbols."""
        gone = self.gone(watch.missing, watch.edition) + self.renamed(watch)
        titles = self.titles(watch, watch.codes)
        return gone + self.snapshot(watch) + self.charts(watch) + self.about(watch) + titles

    def gone(self, places: Iterable[Place], edition: Edition, *, beyond: bool = False) -> str:
        """Return a message that removes symbols from these places.

        The symbols are no longer active. Rows of a board are deleted. Other places state
        this, and show the symbol again when it is active. `beyond` states that the page has more
        symbols than one socket may watch.
        """
        return "".join(
            addressed(
                self.unknown(widget, code, edition, beyond=beyond),
                swap_for(GONE[widget], edition, code),
            )
            for widget, code, _ in places
            if widget in GONE
        )

    def renamed(self, watch: Watch) -> str:
        """Return a message that gives places with a former code the fragment of the code now."""
        return "".join(
            addressed(
                self._sent(now, watch.edition),
                swap_for(RENAMED[former.widget], watch.edition, former.code),
            )
            for former, now in watch.renamed
            if former.widget in RENAMED and now.code in self.store.states
        )

    def unknown(
        self, widget: str, code: str, edition: Edition, *, beyond: bool = False
    ) -> SafeString:
        """Return the fragment of a symbol that is not active, or that a page can't watch."""
        if widget == "row":
            return format_html('<tr class="quote" data-symbol="{}"></tr>', code)
        setup = settings.DEBUG and not self.store.states  # the site has no symbols at all
        context = {"widget": widget, "code": code, "setup": setup, "beyond": beyond}
        return self.templates.render("quotes/_unknown.html", edition, context)

    def about(self, watch: Watch) -> str:
        """Return a message with the parts of a page that most quotes leave as they are."""
        shared = addressed(self.shared(watch)) if watch.of("row") else ""
        heads = "".join(
            addressed(self.head(code, watch.edition), "outerMorph")
            for code in watch.of("panel")
            if code in self.store.states
        )
        notes = addressed(self.notes(watch), swap_for("outerMorph:.quotes-notes", watch.edition))
        swap = swap_for("outerMorph:.quotes-sources", watch.edition)
        return heads + notes + shared + addressed(self.sources(watch), swap)

    def titles(self, watch: Watch, codes: Collection[str]) -> str:
        """Return a message with the title of a symbol's page, which htmx makes that of its tab."""
        return "".join(
            f"<title>{self.title(code, watch.edition)}</title>"
            for code in watch.of("panel")
            if code in codes and code in self.store.states
        )

    def title(self, code: str, edition: Edition) -> SafeString:
        """Return the title of a symbol's page: its price with the time, and its name."""
        return self._painted(Place("title", code), edition)

    def head(self, code: str, edition: Edition) -> SafeString:
        """Return the head of a symbol's page: its boards, its name, and what it is."""
        symbol, listed = self.store.states[code].symbol, self.listed()

        def render() -> SafeString:
            boards = listed.boards_with(code)
            with edition.written():
                headings = {each.heading for each in boards}
                known = (symbol.traded_at, str(symbol.get_kind_display()))
                facts = [fact for fact in known if fact and fact not in headings]
            context = {"symbol": symbol, "boards": boards, "facts": facts}
            return self.templates.render("quotes/_symbol_head.html", edition, context)

        return self._kept(Place("head", code), edition, (listed,), render)

    def notes(self, watch: Watch) -> SafeString:
        """Return the notes of a page: simulated prices, failing providers, unknown symbols."""
        # a page without rows still states that the prices of its site are simulated
        providers = _providers(self._quotes(watch.codes or self.store.states))
        missing = {self._missing_provider(code) for code in watch.codes}
        with watch.edition.written():
            outages = tuple(
                (provider_title(name), formats.clock(since))
                for name, since in sorted(self.store.outages.items())
                if name in providers or name in missing or "any" in missing
            )
        context = {
            "simulated": "simulated" in providers,
            "outages": outages,
            "unknown": watch.unknown,
        }
        return self.templates.render_once("quotes/_notes.html", watch.edition, context)

    def shared(self, watch: Watch) -> SafeString:
        """Return what all rows of a board share, so that a row need not state it."""
        states = [self.store.states[code] for code in watch.of("row") if code in self.store.states]
        with watch.edition.written():
            context = summary(states)
        return self.templates.render_once("quotes/_shared.html", watch.edition, context)

    def sources(self, watch: Watch) -> SafeString:
        """Return the attributions of the providers on a page, as the providers require them.

        They come with the purpose of the prices and the reference of changes in tables.
        """
        # the notes already state, more visibly, that prices are simulated
        names = [name for name in _providers(self._quotes(watch.codes)) if name != "simulated"]
        lines = tuple(provider_class(name).attribution for name in names if name in REGISTRY)
        context: dict[str, Hashable] = {
            "since": since_in_english(self._quotes(watch.of("entry"))),
            "attributions": lines,
        }
        return self.templates.render_once("quotes/_sources.html", watch.edition, context)

    def _painted(self, place: Place, edition: Edition) -> SafeString:
        state = self.store.states[place.code]
        figures = self.known.of(state) if place.widget in ("panel", "title") else None

        def render() -> SafeString:
            zone = edition.zone_of(state.symbol)
            if figures is None:
                shown = Shown(state, edition.language, zone)
            else:
                known = self.values.get(place.code, ())
                shown = panel = Panel(state, edition.language, figures, known, zone)
                self.values[place.code] = panel.known
            shown.names_zone = bool(edition.zone)
            context: dict[str, Any] = {"shown": shown}
            for name in CELLS if place.widget in ROWS else ():
                context[name] = partial(self._cell, name, place, edition, shown)
            template = TEMPLATES.get(place.widget, TITLE)
            return self.templates.render(template, edition, context, state.symbol)

        return self._kept(place, edition, (state, figures), render)

    def _sent(self, place: Place, edition: Edition) -> SafeString:
        if dialect.keeps_sparklines(edition.htmx):
            return self._painted(place, edition)
        return self.paint(place.widget, place.code, edition)

    def _cell(self, name: str, place: Place, edition: Edition, shown: Shown) -> SafeString:
        """Return a cell of a row that ticks rarely change, rendered once for its values."""
        context = {"shown": shown, "widget": place.widget}
        render = partial(self.templates.render, f"quotes/_{name}.html", edition, context)
        kept = Place(f"{name} of {place.widget}", place.code)
        return self._kept(kept, edition, CELLS[name](shown), render)

    def _kept(
        self,
        place: Place,
        edition: Edition,
        of: tuple[object, ...],
        render: Callable[[], SafeString],
    ) -> SafeString:
        """Return what was rendered of some values, or render it now if one of them is another."""
        known = self.rendered.get((place, edition))
        if known is not None and known[0] == of:
            return known[1]
        html = render()  # which may keep cells of its own
        if known is None and len(self.rendered) >= MAX_RENDERED:
            self.rendered.clear()
        self.rendered[place, edition] = (of, html)
        return html

    def _quotes(self, codes: Iterable[str]) -> list[Quote | None]:
        states = self.store.states
        return [states[code].quote for code in codes if code in states]

    def _missing_provider(self, code: str) -> str:
        """Return the provider whose price a symbol lacks, "any" if that is unknown, or ""."""
        state, chain = self.store.states.get(code), self.store.chains.get(code, ())
        quote = state.quote if state is not None else None
        if not chain:
            return "" if quote else "any"
        return "" if quote and quote.provider in chain else chain[0]

    def _join(self, watch: Watch, codes: Collection[str], flashes: Mapping[str, str]) -> str:
        edition = watch.edition
        with edition.written():  # once for all rows
            return "".join(
                addressed(
                    self._sent(place, edition),
                    swap_for(TARGETS[place.widget], edition, place.code),
                    flashes.get(place.code, ""),
                )
                for place in watch.places
                if place.code in codes
                and place.code in self.store.states
                and place.widget in TARGETS
            )


def _providers(quotes: list[Quote | None]) -> list[str]:
    return sorted({quote.provider for quote in quotes if quote})
