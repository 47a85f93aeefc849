"""The site's addresses, and one whose page a site shows only without debug mode."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from quoteboard.urls import urlpatterns as of_site


def missing(request: HttpRequest) -> HttpResponse:
    """Show the page of an unknown symbol, with status 200: in debug mode, a 404 has no styles."""
    return render(request, "404.html", {"exception": "There is no symbol “US0378331005”."})


urlpatterns = [path("missing/", missing), *of_site]
