"""Pages: complete without JavaScript, live with it. They read from memory, not the database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.paginator import Paginator
from django.db import Error
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.http import content_disposition_header
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from quotes import conf, formats
from quotes.addresses import BEYOND, Address, TooManySymbols
from quotes.boards import BoardQuery, BoardView, Selection
from quotes.codes import MAX_CODE, code_of, comparable
from quotes.conf.forms import is_within
from quotes.embeds.frames import embeddable
from quotes.fragments.signs import TURNS
from quotes.graphs import Choice, as_csv, closes_as_csv, file_name
from quotes.live import Live, live_for
from quotes.metrics import exposition
from quotes.models import Symbol
from quotes.orders import SORTS
from quotes.search import MOST, matched
from quotes.shown import Shown
from quotes.shown.panels import Panel, market_days
from quotes.watch import Edition, Place

FRONT_ROWS = 6  # symbols of each board on the front page
FILE_WITHIN = 5.0  # seconds for the prices of a file
SUGGESTIONS = 8  # symbols below the field of the search
THEMES = ("auto", "light", "dark")
TAGS = ("symbols", "price")  # the names under which tags state what they show
LIVE = "ok"
fresh = cache_control(no_store=True)  # a browser that goes back would show old prices as live


def in_our_language(view: Any) -> Any:
    """Run a view in a language of our texts, so that no part of its page is in another one."""

    @wraps(view)
    async def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with translation.override(formats.language_of_texts(language())):
            response: HttpResponse = await view(request, *args, **kwargs)
            response.headers.setdefault("Content-Language", language())
            return response

    return wrapped


def at_its_code(view: Any) -> Any:
    """Redirect a former code of a symbol to the same page at its code, with all that was chosen.

    No browser may keep this, although it is permanent: the code may come back.
    """

    @wraps(view)
    async def wrapped(request: HttpRequest, code: str) -> HttpResponse:
        listed, given = (await live_for(request)).listed, code_of(code)
        if (now := listed.current(given)) == given:
            response: HttpResponse = await view(request, code)
            return response
        page = reverse(f"quotes:{view.__name__}", args=[now])
        query = request.META.get("QUERY_STRING", "")
        return redirect(f"{page}?{query}" if query else page, permanent=True)

    return wrapped


def language() -> str:
    """Return the language of the request."""
    return translation.get_language() or "en"


def edition() -> Edition:
    """Return how our own pages are written: in the language of the request."""
    return Edition(language())


def page(live: Live, address: Address, **more: Any) -> dict[str, Any]:
    """Return the context that every live page needs in addition to its quotes."""
    watch = address.watch(live.listed)
    return {
        "address": address,
        "watch": watch,
        "boards": live.listed.boards.values(),
        "notes": live.fragments.notes(watch),
        "sources": live.fragments.sources(watch),
        "shared": live.fragments.shared(watch),
        "pulse": live.fragments.signs.pulse(address.edition, "opening"),
        "language": address.language,
    } | more


@fresh
@require_safe
@in_our_language
async def index(request: HttpRequest) -> HttpResponse:
    """Show all boards with their first symbols."""
    live = await live_for(request)
    address, fronts = first_rows(live)
    context = page(live, address, fronts=fronts, setup=await setup(request, live))
    return render(request, "quotes/index.html", context)


async def setup(request: HttpRequest, live: Live) -> bool:
    """Return whether to offer the command that loads symbols: to staff, and in debug mode."""
    return not live.listed.symbols and (settings.DEBUG or await by_staff(request))


async def by_staff(request: HttpRequest) -> bool:
    """Return whether somebody of the staff requests a page."""
    try:
        return hasattr(request, "auser") and getattr(await request.auser(), "is_staff", False)
    except Error:  # a page needs no database
        return False


async def rule_url(request: HttpRequest, board: BoardView) -> str:
    """Return the page of a rule that finds nothing, for the staff of a site with our admin."""
    if board.codes or not board.rule or not await by_staff(request):
        return ""
    try:
        return reverse("admin:quotes_board_change", args=[board.key])
    except NoReverseMatch:
        return ""


def first_rows(live: Live) -> tuple[Address, list[tuple[BoardView, list[SafeString]]]]:
    """Return each board with its first rows, and the address that watches them.

    A board gets no rows if one socket can't watch them in addition to those of the boards before
    it.
    """
    address, fronts = Address(language=language()), []
    for board in live.listed.boards.values():
        codes = live.rows.first(board, FRONT_ROWS)
        longer = replace(address, symbols=tuple(dict.fromkeys((*address.symbols, *codes))))
        address, codes = (longer, codes) if longer.fits else (address, ())
        fronts.append((board, entries(live, codes)))
    return address, fronts


def entries(live: Live, codes: Iterable[str]) -> list[SafeString]:
    """Return the rows of some symbols in a table without columns."""
    return [live.fragments.paint("entry", code, edition()) for code in codes]


@fresh
@require_safe
@in_our_language
async def search(request: HttpRequest) -> HttpResponse:
    """Show the symbols of all boards that a search finds, or lead to the one with this code."""
    live = await live_for(request)
    wanted = searched(request)
    codes = find(live, wanted)
    meant = live.listed.current(code_of(wanted))
    is_code = comparable(codes[0]) == comparable(meant) if codes else False
    is_first = request.GET.get("first") == wanted or is_code
    if codes and "page" not in request.GET and is_first:
        return redirect("quotes:symbol", codes[0])
    found = Paginator(codes, conf.get("PAGE_SIZE")).get_page(request.GET.get("page"))
    address = Address(symbols=tuple(found), language=language())
    while not address.fits:
        address = replace(address, symbols=address.symbols[:-1])
    context: dict[str, Any] = {
        "wanted": wanted,
        "found": found,
        "many": len(codes) == MOST,
        "rows": entries(live, address.symbols),
        "previous": page_of(wanted, found.number - 1) if found.has_previous() else "",
        "next": page_of(wanted, found.number + 1) if found.has_next() else "",
    }
    if not codes:
        address, context["fronts"] = first_rows(live)
        context["setup"] = await setup(request, live)
    return render(request, "quotes/search.html", page(live, address, **context))


@fresh
@require_safe
@in_our_language
async def suggestions(request: HttpRequest) -> HttpResponse:
    """Return the first symbols that a search finds, for the field in the header.

    A single letter finds too many. With a symbol as `of`, they are for the field below its chart,
    and their links add them to it.
    """
    live = await live_for(request)
    of = live.listed.symbols.get(live.listed.current(code_of(request.GET.get("of", ""))))
    wanted = searched(request, "add" if of else "q")
    codes = find(live, wanted) if len(wanted) > 1 else []
    choice = Choice(request.GET, of.code, live.listed) if of else None
    if choice:
        codes = [code for code in codes if code not in choice.codes][:SUGGESTIONS]
    shown = [Shown(live.store.states[code], language()) for code in codes[:SUGGESTIONS]]
    suggested = [
        (each, matched(each.symbol.name, wanted), choice.adding(code) if choice else each.url)
        for code, each in zip(codes, shown, strict=False)
    ]
    total = len(codes)
    context = {"wanted": wanted, "total": total, "many": total == MOST, "suggestions": suggested}
    html = render_to_string("quotes/_suggestions.html", context, request)
    return HttpResponse(html.strip())  # the panel is hidden only if it is empty


def find(live: Live, wanted: str) -> list[str]:
    """Return the codes that a search finds, without those that became inactive just now.

    The symbol with this former code comes first.
    """
    now = live.listed.aliases.get(code_of(wanted), "")
    found = dict.fromkeys(([now] if now else []) + live.index.find(wanted))
    return [code for code in found if code in live.store.states]


def page_of(wanted: str, number: int) -> str:
    """Return the query string of a page of results; with a page, no code leads to its symbol."""
    return "?" + urlencode({"q": wanted, "page": number})


def searched(request: HttpRequest, field: str = "q") -> str:
    """Return the text that a visitor searches for."""
    return request.GET.get(field, "").strip()[:MAX_CODE].strip()


@fresh
@require_safe
@in_our_language
async def board(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one page of a board, searched, filtered and sorted by the query string."""
    live = await live_for(request)
    found = live.listed.boards.get(slug)
    if found is None:
        raise Http404(_("There is no board “%(slug)s”.") % {"slug": slug})
    query = BoardQuery.read(request.GET)
    address, selection = live.rows.choose(Address(board=slug, query=query, language=language()))
    context = page(live, address, **board_page(live, found, address, selection))
    context["rule_url"] = await rule_url(request, found)
    return render(request, "quotes/board.html", context)


def board_page(
    live: Live, found: BoardView, address: Address, selection: Selection
) -> dict[str, Any]:
    """Return the context of a board's page, without the part that every live page has."""
    query = address.query
    labels = dict(Symbol.Kind.choices)  # a program may have stored another kind
    kinds = [("", _("All"))] + [(kind, labels[kind]) for kind in selection.kinds if kind in labels]
    return {
        "board": found,
        "query": query,
        "selection": selection,
        "rows": [live.fragments.paint("row", code, address.edition) for code in selection.codes],
        "kinds": [
            (label, query.encode(kind=kind, page=1), kind == query.kind) for kind, label in kinds
        ],
        "others": live.rows.others(address),
        "unsorted": query.encode(sort="", page=1),
        "columns": [column(query, name, heading) for name, heading in columns()],
        "foot": live.rows.foot(address, selection),
    }


def columns() -> list[tuple[str, str]]:
    """Return the names and headings of a board's columns; SORTS names the sortable ones."""
    return [
        ("symbol", _("Symbol")),
        ("spark", ""),
        ("last", _("Last")),
        ("percent", _("% Change")),
        ("change", pgettext("price", "Change")),
        ("bid", _("Bid")),
        ("ask", _("Ask")),
        ("day", _("Day range")),
        ("volume", _("Volume")),
        ("time", _("Time")),
        ("state", _("State")),
    ]


def column(query: BoardQuery, name: str, heading: str) -> dict[str, str]:
    """Return a heading with its link: it sorts descending first, but symbols ascending."""
    if name not in SORTS:
        return {"heading": heading, "name": name, "link": "", "order": "", "mark": ""}
    first, second = (name, "-" + name) if name == "symbol" else ("-" + name, name)
    following = {first: second, second: ""}.get(query.sort, first)
    orders = {name: ("ascending", "↑"), "-" + name: ("descending", "↓")}
    order, mark = orders.get(query.sort, ("", ""))
    return {
        "heading": heading,
        "name": name,
        "link": query.encode(sort=following, page=1),
        "order": order,
        "mark": mark,
    }


@fresh
@require_safe
@in_our_language
@at_its_code
async def symbol(request: HttpRequest, code: str) -> HttpResponse:
    """Show one symbol."""
    live = await live_for(request)
    found, symbols = listed(live, code), live.listed.symbols
    await live.fragments.known.prepare(live, [found.code])
    choice = chosen(request, live, found.code)
    chart = Place("chart", found.code, choice.form)
    await live.charts.ready([chart], edition())
    if found.code not in live.store.states:  # it became inactive just now
        raise no_symbol(code)
    context = symbol_page(live, found, chart) | {
        "canonical": request.build_absolute_uri(found.get_absolute_url()),
        "choice": choice.context(steep=live.charts.is_steep(chart, edition())),
        "adding": "add" in request.GET or (is_removal(request) and not choice.form.others),
        "near": [(symbols[code], choice.adding(code)) for code in choice.near],
    }
    answer = render(request, "quotes/symbol.html", context)
    if searched(request, "add") and not choice.wrong:
        answer["HX-Push-Url"] = choice.link()  # what was typed may mean another symbol later
    return answer


def chosen(request: HttpRequest, live: Live, code: str) -> Choice:
    """Return the chart that a visitor chose, compared with the symbol that was typed."""
    choice = Choice(request.GET, code, live.listed)
    if typed := searched(request, "add"):
        first, near = request.GET.get("first") == typed, live.index.near(code_of(typed))
        choice.add(typed, find(live, typed), near, first=first)
    return choice


def symbol_page(live: Live, found: Symbol, chart: Place) -> dict[str, Any]:
    """Return the context of a symbol's page, without the part that depends on its request."""
    state, fragments, charts = live.store.states[found.code], live.fragments, live.charts
    board, around = live.listed.neighbours(found.code, live.store.states)
    address = Address(
        panel=(found.code,),
        chart=((chart.form, found.code),),
        symbols=around,
        language=language(),
    )
    return page(
        live,
        address,
        symbol=found,
        title=fragments.title(found.code, edition()),
        head=fragments.head(found.code, edition()),
        card=Panel(state, language(), fragments.known.of(state)),
        panel=fragments.paint("panel", found.code, edition()),
        hours=market_days(state, live.store.clock()),
        neighbours={"board": board, "rows": entries(live, around)},
        chart=charts.whole(chart, edition()),
        table=charts.table(chart, edition()),
        later=not charts.is_drawn(chart, edition()),
    )


def is_removal(request: HttpRequest) -> bool:
    """Return whether a visitor removed a symbol from a comparison: htmx states what was clicked."""
    return request.headers.get("HX-Source", "").startswith("a#remove-")


def listed(live: Live, code: str) -> Symbol:
    """Return an active symbol by its code as a visitor wrote it; raise Http404 without one."""
    found = live.listed.symbols.get(code_of(code))
    if found is None:
        raise no_symbol(code, live.listed.not_found.get(code_of(code)))
    return found


def no_symbol(code: str, not_found_at: datetime | None = None) -> Http404:
    """Return the error for a code that no active symbol has."""
    if not_found_at:
        day = date_format(timezone.localtime(not_found_at))
        words = _("“%(code)s” has not been shown since %(day)s: no provider has a price of it.")
        return Http404(words % {"code": code_of(code), "day": day})
    return Http404(_("There is no symbol “%(code)s”.") % {"code": code})


@fresh
@require_safe
@at_its_code
async def bars(request: HttpRequest, code: str) -> HttpResponse:
    """Return the stored bars of a symbol's chart as CSV, or the closes of a comparison."""
    live = await live_for(request)
    found, listed_now = listed(live, code), live.listed.symbols
    choice = Choice(request.GET, found.code, live.listed)
    if choice.errors:
        return plain(" ".join(choice.errors), status=400)
    try:
        async with asyncio.timeout(FILE_WITHIN):
            stored = await live.charts.stored(found.code, choice.form)
    except (Error, TimeoutError):
        return plain(_("The database does not answer. Try again later."), status=503)
    if choice.form.others:
        symbols = [listed_now[each] for each in stored if each in listed_now]
        file = closes_as_csv(symbols, [*stored.values()])
    else:
        file = as_csv(found, stored[found.code])
    name = content_disposition_header(True, file_name(stored, choice.form))
    return HttpResponse(file, content_type="text/csv", headers={"Content-Disposition": name})


@fresh
@require_safe
async def live_again(request: HttpRequest) -> HttpResponse:
    """Update a page that has no socket, or whose socket may have failed, and give it a new one.

    The page shows "Not live" until the new socket sends a pulse. Under WSGI there are no sockets:
    the page requests this again and again.
    """
    live = await live_for(request)
    try:
        address, beyond = Address.read(request.GET, times=BEYOND).divided()
    except TooManySymbols as error:
        return plain(str(error), status=400)
    if address.board and address.board not in live.listed.boards:
        raise Http404
    address, rows = live.rows.renew(address) or (address, "")
    watch = address.watch(live.listed)
    await live.fragments.known.prepare(live, watch.of("panel"))
    quotes = rows + live.fragments.about(watch) if rows else live.fragments.everything(watch)
    # tags already name those that are not active
    listed_beyond = [place for place in beyond if place.code in live.store.states]
    quotes += live.fragments.gone(listed_beyond, address.edition, beyond=True)
    return HttpResponse(quotes + signs_of(request, live, address))


def signs_of(request: HttpRequest, live: Live, address: Address) -> str:
    """Return the signs of a page for its answer, with a new socket unless it is polled.

    The first opener of a page has `opening` without `opened`, and gets the end of the page.
    """
    signs, edition, polled = live.fragments.signs, address.edition, live.is_polled
    opening = "opening" in request.GET
    condition = "polled" if polled else "opening" if opening else "late"
    turn = TURNS[polled and request.GET.get("turn") == "2"]
    watched = ((name, value) for name in TAGS for value in request.GET.getlist(name))
    opened = signs.opened(watched, edition) if opening else ""
    if opening and "opened" not in request.GET:
        end = signs.end(address, polled=polled)
        return opened + signs.pulses(edition, condition, turn) + end
    state = signs.state(edition, condition, turn, waits=address.seen)
    return opened + state + ("" if polled else signs.socket(address))


@fresh
@require_safe
@embeddable
@in_our_language
async def embed(request: HttpRequest) -> HttpResponse:
    """Show a live table for an iframe: `?symbols=BTC-USD,AAPL&theme=dark&lang=de`."""
    live = await live_for(request)
    try:
        address = replace(Address.read(request.GET), board="", seen=True).current(live.listed)
    except TooManySymbols as error:
        return plain(str(error), status=400)
    theme = request.GET.get("theme", "auto")
    rows = [live.fragments.place("entry", c, address.edition) for c in address.symbols]
    context = page(live, address, rows=rows, theme=theme if theme in THEMES else "auto")
    with translation.override(address.language):
        answer = render(request, "quotes/embed.html", context)
    answer["Content-Language"] = address.language
    return answer


@fresh
@require_safe
async def healthz(request: HttpRequest) -> HttpResponse:
    """Answer 200 while this process works, with "ok" or with what is wrong.

    A silent feed is not a reason to restart a web process, so it does not change the status.
    """
    return plain(await condition(request))


@fresh
@require_safe
async def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 with "ok" while the pages of this process are live, else 503 with the reason."""
    words = await condition(request)
    return plain(words, status=200 if words == LIVE else 503)


async def condition(request: HttpRequest) -> str:
    """Return "ok", or the time in UTC when prices stopped, or that no batch has come yet."""
    live = await live_for(request)
    if stopped_at := live.store.stopped_at:
        return f"prices stopped at {stopped_at.isoformat(timespec='seconds')}"
    return LIVE if live.beat.heard_at else "opening: no batch of the feed yet"


def plain(words: str, status: int = 200) -> HttpResponse:
    """Return an answer in plain text."""
    return HttpResponse(words, status=status, content_type="text/plain")


@fresh
@require_safe
async def metrics(request: HttpRequest) -> HttpResponse:
    """Return the figures of this process to the addresses in METRICS_FROM, to others a 404."""
    if not is_within(request.META.get("REMOTE_ADDR", ""), conf.get("METRICS_FROM")):
        return plain("Not found", status=404)
    return HttpResponse(exposition(await live_for(request)), content_type=CONTENT_TYPE_LATEST)
