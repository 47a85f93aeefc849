"""Pages: complete without JavaScript, live with it. They read memory, not the database."""

from __future__ import annotations

from dataclasses import replace
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from quotes import conf, live
from quotes.addresses import Address, TooManySymbols
from quotes.boards import SORTS, BoardQuery, BoardView, Selection
from quotes.fragments import addressed
from quotes.live.live import Live
from quotes.metrics import exposition
from quotes.models import Symbol
from quotes.shown import since

FRONT_ROWS = 6  # symbols of each board on the front page
THEMES = ("auto", "light", "dark")


def language() -> str:
    """Return the language of the request."""
    return translation.get_language() or "en"


def page(parts: Live, address: Address, **more: Any) -> dict[str, Any]:
    """Return what every live page shows around its quotes."""
    watch = address.watch(parts.catalogue)
    return {
        "address": address,
        "watch": watch,
        "boards": parts.catalogue.boards.values(),
        "notes": parts.fragments.notes(watch),
        "sources": parts.fragments.sources(watch),
        "pulse": parts.fragments.pulse(address.language, "opening"),
        "language": address.language,
    } | more


@require_safe
async def index(request: HttpRequest) -> HttpResponse:
    """Show all boards with their first symbols."""
    parts = await live.ensure_started()
    boards = parts.catalogue.boards.values()
    codes = dict.fromkeys(code for board in boards for code in board.codes[:FRONT_ROWS])
    address = Address(symbols=tuple(codes), language=language())
    fronts = [
        (board, [parts.fragments.paint("listing", c, language()) for c in board.codes[:FRONT_ROWS]])
        for board in boards
    ]
    context = page(parts, address, fronts=fronts)
    return render(request, "quotes/index.html", context)


@require_safe
async def board(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one page of a board: searched, filtered and sorted as the query string says."""
    parts = await live.ensure_started()
    found = parts.catalogue.boards.get(slug)
    if found is None:
        raise Http404(_("There is no board “%(slug)s”.") % {"slug": slug})
    asked = Address(board=slug, query=BoardQuery.read(request.GET), language=language())
    address, rows = parts.rows.choose(asked)
    context = page(parts, address, **board_page(parts, found, address, rows))
    return render(request, "quotes/board.html", context)


def board_page(
    parts: Live, found: BoardView, address: Address, selection: Selection
) -> dict[str, Any]:
    """Return what the board's template shows around and in its rows."""
    query, states = address.query, parts.store.states
    kinds = [("", _("All"))] + [(kind, Symbol.Kind(kind).label) for kind in selection.kinds]
    return {
        "board": found,
        "query": query,
        "selection": selection,
        "since": since(states[code].quote for code in address.symbols),
        "rows": [parts.fragments.paint("row", code, address.language) for code in address.symbols],
        "kinds": [
            (label, query.encode(kind=kind, page=1), kind == query.kind) for kind, label in kinds
        ],
        "columns": [column(query, *named) for named in columns()],
        "previous": query.encode(page=selection.page - 1) if selection.page > 1 else "",
        "next": query.encode(page=selection.page + 1) if selection.page < selection.pages else "",
    }


def columns() -> list[tuple[str, str]]:
    """Return the columns of a board: their names, by which some sort, and headings."""
    return [
        ("symbol", _("Symbol")),
        ("last", _("Last")),
        ("change", pgettext("price", "Change")),
        ("percent", _("% Change")),
        ("bid", _("Bid")),
        ("ask", _("Ask")),
        ("day", _("Day range")),
        ("volume", _("Volume")),
        ("time", _("Time")),
        ("state", _("State")),
    ]


def column(query: BoardQuery, name: str, heading: str) -> dict[str, str]:
    """Return a heading with the link that sorts by it: descending first, but for names."""
    if name not in SORTS:
        return {"heading": heading, "name": name, "link": "", "order": ""}
    first, second = (name, "-" + name) if name == "symbol" else ("-" + name, name)
    following = {first: second, second: ""}.get(query.sort, first)
    orders = {name: "ascending", "-" + name: "descending"}
    return {
        "heading": heading,
        "name": name,
        "link": query.encode(sort=following, page=1),
        "order": orders.get(query.sort, ""),
    }


@require_safe
async def symbol(request: HttpRequest, code: str) -> HttpResponse:
    """Show one symbol."""
    parts = await live.ensure_started()
    found = parts.catalogue.symbols.get(code.upper())
    if found is None:
        raise Http404(_("There is no symbol “%(code)s”.") % {"code": code})
    address = Address(panel=(found.code,), language=language())
    context = page(
        parts,
        address,
        symbol=found,
        panel=parts.fragments.paint("panel", found.code, language()),
        on_boards=[each for each in parts.catalogue.boards.values() if found.code in each.codes],
    )
    return render(request, "quotes/symbol.html", context)


@require_safe
async def live_again(request: HttpRequest) -> HttpResponse:
    """Bring a page that doubts its socket up to date, and give it a new socket.

    Its pulse says "Not live" until the new socket sends its own.
    """
    parts = await live.ensure_started()
    try:
        address = Address.read(request.GET)
    except TooManySymbols as error:
        return HttpResponse(str(error), status=400, content_type="text/plain")
    if address.board and address.board not in parts.catalogue.boards:
        raise Http404
    address, rows = parts.rows.renew(address) or (address, "")
    watch = address.watch(parts.catalogue)
    late = "opening" if "opening" in request.GET else "late"
    fragments = parts.fragments
    answer = [
        rows + fragments.about(watch) if rows else fragments.everything(watch),
        addressed(fragments.pulse(address.language, late)),
        addressed(fragments.render("quotes/_socket.html", address.language, {"address": address})),
    ]
    return HttpResponse("".join(answer))


def embeddable(view: Any) -> Any:
    """Let the pages of QUOTES["EMBED_ORIGINS"], and no others, frame a view."""

    @wraps(view)
    async def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = await view(request, *args, **kwargs)
        ancestors = " ".join(conf.get("EMBED_ORIGINS")) or "'none'"
        response["Content-Security-Policy"] = (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
            f"img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
        )
        return response

    return xframe_options_exempt(wrapped)


@require_safe
@embeddable
async def embed(request: HttpRequest) -> HttpResponse:
    """Show a live table for an iframe: `?symbols=BTC-USD,AAPL&theme=dark&lang=de`."""
    parts = await live.ensure_started()
    try:
        address = replace(Address.read(request.GET), board="")
    except TooManySymbols as error:
        return HttpResponse(str(error), status=400, content_type="text/plain")
    theme = request.GET.get("theme", "auto")
    rows = [parts.fragments.place("listing", c, address.language) for c in address.symbols]
    context = page(parts, address, rows=rows, theme=theme if theme in THEMES else "auto")
    with translation.override(address.language):
        return render(request, "quotes/embed.html", context)


@require_safe
async def healthz(request: HttpRequest) -> HttpResponse:
    """Say that this process answers."""
    await live.ensure_started()
    return HttpResponse("ok", content_type="text/plain")


@require_safe
async def metrics(request: HttpRequest) -> HttpResponse:
    """Tell Prometheus what this process has counted; to others there is no such page."""
    if request.META.get("REMOTE_ADDR") not in conf.get("METRICS_FROM"):
        raise Http404
    return HttpResponse(exposition(await live.ensure_started()), content_type=CONTENT_TYPE_LATEST)
