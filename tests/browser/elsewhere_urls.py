"""A page of another site, with quotes in several places."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template import RequestContext, Template
from django.urls import include, path

from tests.browser.strange import strange

ARTICLE = """{% load quotes %}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>An article</title>
<link rel="icon" href="/static/quotes/icon.svg"></head><body>
<h1>Markets today</h1>
{% live_quotes "BTC-USD" "AAPL" %}
<p>Bitcoin stands at {% live_quote "BTC-USD" %} and Apple at {% live_quote "AAPL" %}.</p>
{% live_quotes "BTC-USD" "ETH-USD" "NOPE" %}
</body></html>"""

LINE = """{% load quotes %}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A line</title>
<link rel="icon" href="/static/quotes/icon.svg"></head><body>
<p>Apple stands at {% live_quote "AAPL" %}.</p>
</body></html>"""

LINE_AND_TABLE = LINE.replace("</body>", '{% live_quotes "BTC-USD" %}</body>')


def article(request: HttpRequest) -> HttpResponse:
    """Show an article."""
    return HttpResponse(Template(ARTICLE).render(RequestContext(request)))


def line(request: HttpRequest) -> HttpResponse:
    """Show a line of text."""
    return HttpResponse(Template(LINE).render(RequestContext(request)))


def line_and_table(request: HttpRequest) -> HttpResponse:
    """Show a line of text, then a table."""
    return HttpResponse(Template(LINE_AND_TABLE).render(RequestContext(request)))


urlpatterns = [
    path("article/", article),
    path("line/", line),
    path("line-and-table/", line_and_table),
    path("strange/<str:style>/", strange),
    path("", include("quotes.urls")),
]
