"""A page of another site, which uses htmx 2 or 4, with attributes of its body for all requests."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template import RequestContext, Template
from django.urls import include, path

SCRIPTS = {
    2: ["django_htmx/htmx-2.min.js"],
    4: ["django_htmx/htmx-4.min.js", "django_htmx/ext/hx-ws-4.min.js"],
}
HTMX = '{% for each in scripts %}<script src="{% static each %}"></script>{% endfor %}'
PAGE = """{% load quotes static %}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A site with htmx</title>
<meta name="htmx-config" content='{"includeIndicatorStyles": false}'>
<link rel="icon" href="/static/quotes/icon.svg">
{% if order == "before" %}HTMX{% elif order == "deferred" %}DEFERRED{% endif %}
</head><body hx-target="#nowhere" hx-push-url="true" hx-sync="this:drop">
<button hx-get="/mirror/" hx-target="#answer" hx-push-url="false">GET</button>
<form hx-post="/mirror/" hx-target="#answer" hx-push-url="false">{% csrf_token %}
<button>POST</button></form>
<p id="answer"></p>
<button hx-get="/piece/" hx-target="#later" hx-push-url="false">Later</button>
<div id="later"></div>
{% if quotes %}{% live_quotes "BTC-USD" "ETH-USD" "NOPE" %}
<p>Bitcoin stands at {% live_quote "BTC-USD" %}.</p>{% endif %}
{% if order == "after" %}HTMX{% endif %}
</body></html>""".replace("HTMX", HTMX).replace("DEFERRED", HTMX.replace("></", " defer></"))


def page(request: HttpRequest, version: int, order: str) -> HttpResponse:
    """Show the page; with `?without`, it has no quotes."""
    context = {
        "scripts": SCRIPTS.get(version),
        "order": order,
        "quotes": "without" not in request.GET,
    }
    return HttpResponse(Template(PAGE).render(RequestContext(request, context)))


def piece(request: HttpRequest) -> HttpResponse:
    """Show a piece of a page, which the page inserts."""
    source = '{% load quotes %}{% live_quotes symbol %}<p>{% live_quote "BTC-USD" %}</p>'
    context = {"symbol": request.GET.get("symbol", "ETH-USD")}
    return HttpResponse(Template(source).render(RequestContext(request, context)))


def mirror(request: HttpRequest) -> HttpResponse:
    """Return the method of a request."""
    return HttpResponse(request.method)


urlpatterns = [
    path("page/<int:version>/<str:order>/", page),
    path("piece/", piece),
    path("mirror/", mirror),
    path("", include("quotes.urls")),
]
