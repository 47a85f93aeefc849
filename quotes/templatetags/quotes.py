"""Live quotes in any template: `{% load quotes %}{% live_quotes "BTC-USD" "AAPL" %}`.

Each tag also adds what makes it live: the stylesheets, the script, and an opener, which requests
one socket for everything that the tags of the page show. So a tag needs nothing else of its page if
a cache or a request brings it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from django import template
from django.conf import settings
from django.template import Context, TemplateSyntaxError
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from quotes import conf
from quotes.addresses import Address
from quotes.boards import BoardView
from quotes.codes import code_of
from quotes.embeds import given, plain, position
from quotes.embeds.page import FIRST, FURTHER, OURS, page_of, request_of
from quotes.formats import language_of_texts
from quotes.fragments import Fragments
from quotes.htmx import dialect, scripts
from quotes.htmx.nonces import nonce_of
from quotes.live import current, known_to
from quotes.models import Symbol
from quotes.shown import Shown
from quotes.watch import Edition, Watch, places

register = template.Library()


@register.simple_tag(takes_context=True)
def quotes_head(
    context: Context, *, htmx: bool = True, stylesheets: bool = True, own: bool = False
) -> SafeString:
    """Add the stylesheets and scripts in the <head>, so that the tags of the page do not add them.

    `own=True` is for our own pages, which have our htmx whatever QUOTES["HTMX"] is.
    `stylesheets=False` is for pages whose own ones contain these. `htmx=False` leaves the script
    out, for parts that are inserted into other pages.
    """
    page_of(context).has_head = True
    return _head(context, htmx=htmx, stylesheets=stylesheets, own=own)


@register.simple_tag(takes_context=True)
def quotes_nonce(context: Context) -> str:
    """Return the attribute with the nonce of the request, or "" if its policy needs none."""
    nonce = nonce_of(context.get("request"))
    return format_html(' nonce="{}"', nonce) if nonce else ""


@register.simple_tag(takes_context=True)
def live_quotes(context: Context, *symbols: object) -> SafeString:
    """Show a live table of symbols, given as codes, as `Symbol` objects, or as lists of these.

    Symbols beyond those that one socket may watch are left out, and their number is shown.
    """
    wanted = [_current(context, code) for code in given.codes_of(symbols)]
    live = given.fitting(page_of(context).codes, "entry", wanted)
    return _show(context, "entry", tuple(live), left_out=len(wanted) - len(live))


@register.simple_tag(takes_context=True)
def live_quote(context: Context, symbol: object) -> str:
    """Show a live price in a line of text, of a symbol given as its code or as a `Symbol`."""
    code = _current(context, given.code_of(symbol))
    if not given.fitting(page_of(context).codes, "price", [code]):
        return static_quote(context, code)
    return _show(context, "price", (code,))


for name in ("live_quotes", "live_quote"):
    register.tag(name, position.checked(register.tags[name]))


@register.simple_tag(takes_context=True)
def quote_value(context: Context, symbol: object, field: str = "last") -> str:
    """Return one value of a quote as plain text, for places that can't be live, such as titles.

    It is escaped like any other value of a template. `plain.FIELDS` has all fields.
    """
    code, edition = _current(context, given.code_of(symbol)), _edition()
    state = _fragments(context).store.states.get(code)
    with edition.written(), _as_template_error("quote_value"):
        return plain.value(state, field, edition.language) if state else plain.unknown(code)


@register.simple_tag(takes_context=True)
def static_quote(context: Context, symbol: object, *, text: bool = False, base: str = "") -> str:
    """Show a price that does not move, for mail and feeds, with its time, its source and a link.

    The link is below `base`, such as "https://site.example", or below the host of the request.
    `text=True` returns plain text, for the text of a mail.
    """
    code, edition = _current(context, given.code_of(symbol)), _edition()
    state = _fragments(context).store.states.get(code)
    with edition.written(), _as_template_error("static_quote"):
        if state is None:
            return plain.unknown(code)
        link = plain.absolute(Shown(state, edition.language).url, base, request_of(context))
        piece = plain.piece(state, edition.language, link, text=text)
    return piece if text else mark_safe(piece)  # noqa: S308


@register.simple_tag(takes_context=True)
def quotes_socket(context: Context, address: Address) -> SafeString:
    """Open the page's socket, for an address and all tags above. It is at the end of a page."""
    codes, live = page_of(context).codes, known_to(request_of(context))
    merged = replace(
        address,
        symbols=address.symbols if address.board else (*address.symbols, *codes["entry"]),
        price=(*address.price, *codes["price"]),
    )
    polled = live is not None and live.is_polled
    # the answer to the first request may come from another server, which has sockets
    return _fragments(context).signs.end(merged, polled=polled, at_once=polled)


@register.simple_tag
def quotes_scripts(own: object = False) -> list[str]:
    """Return the addresses of the scripts that a page with quotes needs, or one of our own."""
    return scripts.ours() if own else scripts.beside_htmx_of_site()


@register.simple_tag
def quotes_boards() -> Iterable[BoardView]:
    """Return the boards as this process knows them, for the navigation of a page without quotes."""
    live = current()
    return () if live is None else live.listed.boards.values()


@register.simple_tag
def quotes_near(code: str) -> list[Symbol]:
    """Return at most three symbols whose codes are like one that is unknown."""
    live = current()
    if live is None:
        return []
    near, symbols = live.index.near(code_of(code)), live.listed.symbols
    return [symbols[each] for each in near if each in symbols]


@register.simple_tag(takes_context=True)
def quotes_own_socket(context: Context) -> str:
    """Keep the tags from adding openers and notes, in a page that ends with `quotes_socket`."""
    page_of(context).parts = {"entry": OURS, "price": OURS}
    return ""


def _current(context: Context, code: str) -> str:
    """Return the code that a symbol has now, for a template that knows a former one."""
    return _fragments(context).listed().current(code)


def _show(context: Context, widget: str, codes: tuple[str, ...], left_out: int = 0) -> SafeString:
    edition, page, fragments = _edition(), page_of(context), _fragments(context)
    part, parts = page.parts[widget], set(page.parts.values())
    page.codes[widget].extend(codes)
    listed = [code for code in codes if code in fragments.store.states]
    # of this tag only: the socket adds what the page's other tags need
    watch = Watch(edition, places(**{widget: listed}))
    shown = {
        "codes": ",".join(codes),
        "rows": [fragments.place(widget, code, edition) for code in codes],
        "left_out": left_out,
        "head": "" if page.has_head else _head(context),
        "part": part,
        "opener": fragments.signs.opener(edition) if part != OURS else "",
        "notes": fragments.notes(watch),
        "sources": fragments.sources(watch),
        "pulse": fragments.signs.pulse(edition, "opening", in_line=widget == "price"),
        "may_have_htmx_twice": parts == {FIRST} and _may_have_htmx_twice(),
    }
    page.parts[widget] = part and FURTHER
    with edition.written():
        html = render_to_string(f"quotes/live_{widget}.html", shown)
    return mark_safe(html.strip())  # noqa: S308


def _edition() -> Edition:
    language = language_of_texts(translation.get_language() or "en")
    return Edition(language, htmx=conf.get("HTMX") or dialect.OURS)


def _may_have_htmx_twice() -> bool:
    return settings.DEBUG and conf.get("HTMX") is None


@contextmanager
def _as_template_error(tag: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise TemplateSyntaxError(f"{{% {tag} %}}: {error}") from error


def _head(
    context: Context, *, htmx: bool = True, stylesheets: bool = True, own: bool = False
) -> SafeString:
    shown = {"htmx": htmx, "stylesheets": stylesheets, "own": own, "nonce": quotes_nonce(context)}
    return mark_safe(render_to_string("quotes/_head.html", shown).strip())  # noqa: S308


def _fragments(context: Context) -> Fragments:
    return page_of(context).fragments(request_of(context))
