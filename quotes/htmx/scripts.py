"""The scripts of live pages: htmx and its socket extension, from the package django-htmx.

They are static files if the app `django_htmx` is installed. Otherwise, we serve the same files from
the package, at addresses that contain its version, so that browsers may keep them for a year.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from pathlib import Path

import django_htmx
from django.apps import apps
from django.http import Http404, HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

FILES = Path(django_htmx.__file__).parent / "static" / "django_htmx"
VERSION = version("django-htmx")
SCRIPTS = ("htmx-4.min.js", "ext/hx-ws-4.min.js")
YEAR = 365 * 86_400  # seconds


def addresses() -> list[str]:
    """Return the addresses of the scripts that a page needs, in the order to load them."""
    if apps.is_installed("django_htmx"):
        return [static(f"django_htmx/{name}") for name in SCRIPTS]
    return [reverse("quotes:script", args=(VERSION, name)) for name in SCRIPTS]


@require_safe
@cache_control(public=True, max_age=YEAR, immutable=True)
async def script(request: HttpRequest, release: str, name: str) -> HttpResponse:
    """Return a script of this release of django-htmx; raise Http404 for all other files."""
    if release != VERSION or name not in SCRIPTS:
        raise Http404
    return HttpResponse(_content(name), content_type="text/javascript; charset=utf-8")


@cache
def _content(name: str) -> bytes:
    return (FILES / name).read_bytes()
