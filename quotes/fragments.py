"""Fragments: a quote as HTML, rendered once per state, widget and edition for all pages.

A page's first paint and every message to it come from the same templates. In a message the
outermost element also has `hx-swap-oob`, from which htmx knows where to put it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from quotes import conf, formats
from quotes.boards import Listed
from quotes.candles.known import Known
from quotes.conf import renamed
from quotes.htmx import dialect
from quotes.models import Symbol
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

# An opener waits beside what its tag watches.
OPENED = ".quotes-watch[name='{name}'][value='{value}']+.quotes-opener"

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

# A new turn starts the clocks in the stylesheet again. Those of pulses alternate. A sign between
# pulses has its own, because it does not know which one its page had last.
TURNS = (1, 2)
BETWEEN = 3

MAX_REMEMBERED = 1000  # notes and sources: without a limit, unknown symbols would fill the memory
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
    renders: Counter[str] = field(default_factory=Counter)  # by template
    rendered: dict[tuple[Place, Edition], tuple[tuple[object, ...], SafeString]] = field(
        default_factory=dict
    )
    remembered: dict[tuple[Hashable, ...], SafeString] = field(default_factory=dict)
    sparks: dict[str, Spark] = field(default_factory=dict)  # by code
    charts: Callable[[Watch], str] = lambda watch: ""  # the message with all charts of a page
    listed: Callable[[], Listed] = Listed
    known: Known = field(default_factory=Known)  # figures, which only a panel shows
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)  # that panels have shown

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
            return self.render("quotes/_spark.html", edition, context)

        return self._kept(Place("spark", code), edition, (spark,), render)

    def sparklines(self, watch: Watch, codes: Collection[str] | None = None) -> str:
        """Return a message with all sparklines that are drawn, or with those of these codes."""
        drawn = self.sparks if codes is None else codes
        return "".join(
            _inside(self.spark(code, watch.edition), _swap(SPARK_TARGET, watch.edition, code))
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
        return self.everything(watch) + self.sparklines(watch) + self.sign(watch.edition)

    def everything(self, watch: Watch) -> str:
        """Return a message with all fragments, notes and sources, and without inactive symbols."""
        gone = self.gone(watch.missing, watch.edition)
        titles = self.titles(watch, watch.codes)
        return gone + self.snapshot(watch) + self.charts(watch) + self.about(watch) + titles

    def gone(self, places: Iterable[Place], edition: Edition) -> str:
        """Return a message that removes symbols from these places.

        The symbols are no longer active. Rows of a board are deleted. Other places state
        this, and show the symbol again when it is active.
        """
        return "".join(
            addressed(self.unknown(widget, code, edition), _swap(GONE[widget], edition, code))
            for widget, code, _ in places
            if widget in GONE
        )

    def unknown(self, widget: str, code: str, edition: Edition) -> SafeString:
        """Return the fragment of a symbol that is not active."""
        if widget == "row":
            return format_html('<tr class="quote" data-symbol="{}"></tr>', code)
        setup = settings.DEBUG and not self.store.states  # the site has no symbols at all
        context = {"widget": widget, "code": code, "setup": setup}
        return self.render("quotes/_unknown.html", edition, context)

    def about(self, watch: Watch) -> str:
        """Return a message with the parts of a page that most quotes leave as they are."""
        shared = addressed(self.shared(watch)) if watch.of("row") else ""
        heads = "".join(
            addressed(self.head(code, watch.edition), "outerMorph")
            for code in watch.of("panel")
            if code in self.store.states
        )
        notes = addressed(self.notes(watch), _swap("outerMorph:.quotes-notes", watch.edition))
        swap = _swap("outerMorph:.quotes-sources", watch.edition)
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
            return self.render("quotes/_symbol_head.html", edition, context)

        return self._kept(Place("head", code), edition, (listed,), render)

    def sign(self, edition: Edition, condition: str = "live", turn: int = BETWEEN) -> str:
        """Return a message with the pulse of every place on a page, its retry and its announcement.

        Screen readers announce when prices stop, and when they are live again. Openers begin again:
        their tags came later than the socket, which does not watch what they show.
        """
        if dialect.reports_missing(edition.htmx):
            return self.state(edition, condition, turn)
        opener = addressed(self.opener(edition), "outerHTML:.quotes-opener")
        return self.state(edition, condition, turn) + opener

    def state(
        self, edition: Edition, condition: str, turn: int = TURNS[0], *, waits: bool = False
    ) -> str:
        """Return a message with all of a sign that stays as it is while a socket is opened."""
        announcement = self.announcement(edition, condition, turn)
        return (
            self.pulses(edition, condition, turn)
            + addressed(announcement, _swap("outerMorph", edition))
            + addressed(self.retry(edition, condition, turn, waits=waits))
        )

    def pulses(self, edition: Edition, condition: str, turn: int) -> str:
        """Return a message with the pulse of every place on a page."""
        pulse = self.pulse(edition, condition, turn)
        return addressed(pulse, _swap("outerMorph:.quotes-pulse", edition))

    def pulse(
        self,
        edition: Edition,
        condition: str = "live",
        turn: int = TURNS[0],
        *,
        in_line: bool = False,
    ) -> SafeString:
        """Return the pulse of one place. Without pulses, a page shows "Not live" and loses colour.

        The condition is "live" in messages, "opening" on a page whose socket is not open yet,
        "late" in the answer to a page whose socket was silent, and "polled" in that of a WSGI
        server. While this process does not hear its feed, it is "stopped" everywhere. In a line of
        text, an opening pulse is short: the first message brings the rest.
        """
        condition = self._actual(condition)
        at = self._current_until()
        context = {
            "condition": condition,
            "brief": in_line and condition == "opening",
            "turn": turn,
            "fast": conf.get("PULSE") == conf.FAST,
            "every": conf.NOT_LIVE_AFTER[conf.get("PULSE")],
            "at": at,
            "moment": self.moment(edition),
            "minutes": (self.store.clock() - at).total_seconds() // 60,
        }
        return self.render("quotes/_pulse.html", edition, context)

    def now(self, edition: Edition) -> str:
        """Return a message with the time of the pulse of every place on a page.

        It comes with prices: a page must not state that they stopped before the newest of them.
        """
        return addressed(self.moment(edition), _swap("outerMorph:.pulse-moment", edition))

    def moment(self, edition: Edition) -> SafeString:
        """Return the time at which prices stop if nothing else comes."""
        at = self._current_until()
        machine = timezone.localtime(at).isoformat(timespec="seconds")
        time = '<time datetime="{}" class="pulse-moment">{}</time>'
        return format_html(time, machine, self._written(at, edition))

    def announcement(
        self, edition: Edition, condition: str = "live", turn: int = TURNS[0]
    ) -> SafeString:
        """Return the announcement for screen readers: that prices stopped, or are live again.

        Each page has one such element. While pulses arrive, it has no visible text. When they end,
        the stylesheet shows its text to screen readers. After that, it shows for some seconds that
        prices are live again, whatever had stopped them.
        """
        at, condition = self.store.stopped_at, self._actual(condition)
        # A page whose socket fails requests this again and again. With a new text each time, screen
        # readers would repeat it.
        context = {
            "stopped": at is not None,
            "written": self._written(at, edition) if at else "",
            "late": condition == "late",
            "polled": condition == "polled",
            "again": condition == "live" and turn == BETWEEN,
            "turn": turn,
            "fast": conf.get("PULSE") == conf.FAST,
        }
        return self.render_once("quotes/_announcement.html", edition, context)

    def end(
        self,
        address: Any,
        edition: Edition,
        *,
        polled: bool = False,
        at_once: bool = False,
    ) -> SafeString:
        """Return the end of a page: its socket, its retry, and its announcement, each once.

        The end of a page that is polled has no socket. `at_once` polls when the page is loaded.
        """
        condition = "polled" if polled else ""
        context = {
            "address": address,
            "edition": edition,
            "polled": polled,
            "retry": self.retry(edition, condition, TURNS[0], at_once=at_once, waits=address.seen),
            "announcement": self.announcement(edition, "opening"),
        }
        return self.render("quotes/_end.html", edition, context)

    def retry(
        self,
        edition: Edition,
        condition: str = "",
        turn: int = BETWEEN,
        *,
        at_once: bool = False,
        waits: bool = False,
    ) -> SafeString:
        """Return the element that requests quotes and a new socket unless a pulse replaces it.

        A page that is polled requests the next turn with it. `at_once` also requests it when the
        page is loaded. With `waits`, it waits until the page is in view.
        """
        following = TURNS[turn == TURNS[0]] if condition == "polled" else ""
        more = {"turn": following, "at_once": at_once, "waits": waits}
        return self._requesting("quotes/_retry.html", edition, **more)

    def opener(self, edition: Edition) -> SafeString:
        """Return the element of a tag that requests a socket for all tags of its page."""
        return self._requesting("quotes/_opener.html", edition)

    def opened(self, watched: Iterable[tuple[str, str]], edition: Edition) -> str:
        """Return a message that removes the openers of the tags with these names and values.

        Other openers stay, because their tags came while the socket was requested.
        """
        targets = [
            OPENED.format(name=name, value=_in_selectors(value))
            for name, value in dict.fromkeys(watched)
        ]
        if dialect.reports_missing(edition.htmx):
            targets = [",".join(targets)]
        return "".join(f'<span hx-swap-oob="delete:{each}"></span>' for each in targets)

    def _requesting(self, template: str, edition: Edition, **more: Hashable) -> SafeString:
        not_live_after = conf.NOT_LIVE_AFTER[conf.get("PULSE")]
        context = {"not_live_after": not_live_after, "edition": edition, **more}
        return self.render_once(template, edition, context)

    def notes(self, watch: Watch) -> SafeString:
        """Return the notes of a page: simulated prices, failing providers, unknown symbols."""
        # a page without rows still states that the prices of its site are simulated
        providers = _providers(self._quotes(watch.codes or self.store.states))
        missing = {self._missing_provider(code) for code in watch.codes}
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
        return self.render_once("quotes/_notes.html", watch.edition, context)

    def shared(self, watch: Watch) -> SafeString:
        """Return what all rows of a board share, so that a row need not state it."""
        states = [self.store.states[code] for code in watch.of("row") if code in self.store.states]
        with watch.edition.written():
            context = summary(states)
        return self.render_once("quotes/_shared.html", watch.edition, context)

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
        return self.render_once("quotes/_sources.html", watch.edition, context)

    def render_once(
        self, template: str, edition: Edition, context: dict[str, Hashable]
    ) -> SafeString:
        """Render a template that many pages need with the same context, and keep the result."""
        key = (template, edition, *context.values())
        if key not in self.remembered:
            if len(self.remembered) >= MAX_REMEMBERED:
                self.remembered.clear()
            self.remembered[key] = self.render(template, edition, context)
        return self.remembered[key]

    def render(
        self,
        template: str,
        edition: Edition,
        context: dict[str, Any],
        symbol: Symbol | None = None,
    ) -> SafeString:
        """Render a template in an edition, in ASCII and without the last line break.

        ASCII, because a server encodes a frame again for each socket: 25 rows take 1.5 µs, and
        34 µs with a single “▲” in them. Other characters become HTML character references.
        """
        self.renders[template] += 1
        with edition.written(symbol):
            html = renamed.template(template).render(context).strip()
        return SafeString(html.encode("ascii", "xmlcharrefreplace").decode())

    def _painted(self, place: Place, edition: Edition) -> SafeString:
        state = self.store.states[place.code]
        figures = self.known.of(state) if place.widget in ("panel", "title") else None

        def render() -> SafeString:
            shown = Shown(state, edition.language)
            if figures is not None:
                known = self.values.get(place.code, ())
                shown = panel = Panel(state, edition.language, figures, known)
                self.values[place.code] = panel.known
            shown.names_zone = bool(edition.zone)
            context: dict[str, Any] = {"shown": shown}
            for name in CELLS if place.widget in ROWS else ():
                context[name] = partial(self._cell, name, place, edition, shown)
            template = TEMPLATES.get(place.widget, TITLE)
            return self.render(template, edition, context, state.symbol)

        return self._kept(place, edition, (state, figures), render)

    def _sent(self, place: Place, edition: Edition) -> SafeString:
        if dialect.keeps_sparklines(edition.htmx):
            return self._painted(place, edition)
        return self.paint(place.widget, place.code, edition)

    def _cell(self, name: str, place: Place, edition: Edition, shown: Shown) -> SafeString:
        """Return a cell of a row that ticks rarely change, rendered once for its values."""
        context = {"shown": shown, "widget": place.widget}
        render = partial(self.render, f"quotes/_{name}.html", edition, context)
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

    def _current_until(self) -> datetime:
        return self.store.stopped_at or max(self.store.clock(), self.store.newest)

    def _written(self, at: datetime, edition: Edition) -> str:
        with edition.written():
            return formats.clock_or_day(at, self.store.clock())

    def _actual(self, condition: str) -> str:
        if self.store.stopped_at:
            return "stopped"
        return "opening" if condition == "live" and not self.store.heard else condition

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
        return "".join(
            addressed(
                self._sent(place, edition),
                _swap(TARGETS[place.widget], edition, place.code),
                flashes.get(place.code, ""),
            )
            for place in watch.places
            if place.code in codes and place.code in self.store.states and place.widget in TARGETS
        )


def _swap(target: str, edition: Edition, code: str = "") -> str:
    return dialect.swap(target.format(code=_in_selectors(code)), edition.htmx)


def _inside(html: str, swap: str) -> str:
    """Return the message that replaces what is inside a place; htmx drops the outer element."""
    return f'<div hx-swap-oob="{swap}">{html}</div>'


def _in_selectors(text: str) -> str:
    return "".join(map(_in_selector, text))


def _in_selector(character: str) -> str:
    # six hexadecimal digits need no space after them; htmx would divide the value there
    plain = character.isascii() and (character.isalnum() or character in "-_.^=:")
    return character if plain else f"\\{ord(character):06x}"


def _providers(quotes: list[Quote | None]) -> list[str]:
    return sorted({quote.provider for quote in quotes if quote})


def addressed(html: str, swap: str = "true", flash: str = "") -> str:
    """Add to the outermost tag, at its first space, where htmx must put it."""
    marks = f' hx-swap-oob="{swap}"' + (f' data-flash="{flash}"' if flash else "")
    return html.replace(" ", marks + " ", 1)
