"""Pages of another site: some come from a cache, and some get parts with prices later."""

from __future__ import annotations

from collections.abc import Callable

from csp.decorators import csp_exempt
from django.http import HttpRequest, HttpResponse
from django.template import RequestContext, Template
from django.urls import include, path
from django.views.decorators.cache import cache_page

from tests.snippets import snippets

YEAR = 365 * 86_400  # seconds
LAYOUT = """{{% load cache quotes static %}}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A site</title>
<link rel="icon" href="{{% static 'quotes/icon.svg' %}}">{head}</head><body>
{body}</body></html>"""
TABLE = '{% live_quotes "BTC-USD" "ETH-USD" %}'
PRICE = '<p class="line">Bitcoin is at {% live_quote "BTC-USD" %}.</p>'
PIECE = f"{{% cache {YEAR} piece %}}<div>{TABLE}{PRICE}</div>{{% endcache %}}"
FRESH = '<p>Solana is at {% live_quote "SOL-USD" %}.</p>'

# htmx 4 of the site's own
[HTMX] = [each for each in snippets("django") if "htmx_script" in each]
HTMX = HTMX.replace("<head>", "").replace("</head>", "")
BUTTONS = """<nav hx-boost:inherited="true"><a href="{visited}">Visit</a></nav>
<button hx-get="{late}" hx-target="#place">Get</button>
<button hx-get="{more}" hx-target="#place" hx-swap="beforeend">More</button>
<button hx-get="/nothing/" hx-target="#place">Drop</button>
<section id="place"></section><aside id="other"></aside>"""
OURS = BUTTONS.format(late="/late/", more="/more/", visited="/visited/")
BARE = BUTTONS.format(late="/bare/late/", more="/bare/more/", visited="/bare/visited/")
LATE = f'<div class="late">{TABLE}{PRICE}</div>'
MORE = '<p class="more">{% live_quote "ADA-USD" %}</p>'
WITHOUT = "{% quotes_head htmx=False stylesheets=False %}"


def page(body: str, head: str = "") -> Callable[[HttpRequest], HttpResponse]:
    """Return a view of a page."""
    return piece(LAYOUT.format(head=head, body=body))


def piece(source: str) -> Callable[[HttpRequest], HttpResponse]:
    """Return a view of a template, without the policy of the site."""
    source = source if "{% load" in source else "{% load quotes %}" + source

    @csp_exempt()
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(Template(source).render(RequestContext(request)))

    return view


urlpatterns = [
    path("cached/", cache_page(YEAR)(page(TABLE + PRICE))),
    path("filled/", page(FRESH + PIECE)),  # here, the tags of the piece are not the first ones
    path("piece/", page(PIECE)),
    path("pieces/", page(PIECE + FRESH + PIECE)),
    path("ten/", page(TABLE * 5 + PRICE * 5)),
    path("ours/", page(FRESH + OURS)),  # htmx is that of the tags
    path("host/", page(FRESH + BARE, HTMX)),
    path("visited/", page(TABLE)),
    path("late/", piece(LATE)),
    path("more/", piece(MORE)),
    path("bare/visited/", page(TABLE, HTMX)),
    path("bare/late/", piece(WITHOUT + LATE)),
    path("bare/more/", piece(WITHOUT + MORE)),
    path("nothing/", piece("<p>Nothing</p>")),
    path("", include("quotes.urls")),
]
