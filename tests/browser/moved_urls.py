"""Addresses of a site with `i18n_patterns`: /de/market/boards/crypto/."""

from __future__ import annotations

from django.conf.urls.i18n import i18n_patterns
from django.http import HttpRequest, HttpResponse
from django.template import RequestContext, Template
from django.urls import include, path

PAGE = """{% load quotes static i18n %}{% get_current_language as language %}<!doctype html>
<html lang="{{ language }}"><head><meta charset="utf-8">
<title>{% quote_value "BTC-USD" %}</title>
<link rel="icon" href="{% static 'quotes/icon.svg' %}"></head><body>
{% live_quotes "BTC-USD" "ETH-USD" %}
<p>Ether: {% live_quote "ETH-USD" %}</p><p>{% static_quote "BTC-USD" %}</p>
</body></html>"""


def tagged(request: HttpRequest) -> HttpResponse:
    """Show tags."""
    return HttpResponse(Template(PAGE).render(RequestContext(request)))


urlpatterns = i18n_patterns(
    path("tags/", tagged),
    path("market/", include("quotes.urls")),
)
