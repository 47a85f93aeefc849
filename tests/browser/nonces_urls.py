"""Pages of a site whose policy has nonces."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.template import RequestContext, Template
from django.urls import include, path

from tests.browser.pieces_urls import FRESH, LAYOUT, PIECE, TABLE


def page(body: str, head: str = "") -> Callable[[HttpRequest], HttpResponse]:
    """Return a view of a page."""
    source = LAYOUT.format(head=head, body=body)
    return lambda request: HttpResponse(Template(source).render(RequestContext(request)))


urlpatterns = [
    path("tags/", page(TABLE + FRESH)),
    path("piece/", page(PIECE, "{% quotes_head %}")),
    path("stale/", page(PIECE.replace(" piece ", " stale "))),
    path("", include("quotes.urls")),
]
