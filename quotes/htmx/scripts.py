"""The scripts of live pages: htmx and its socket extension, from the package django-htmx.

They are static files if the app `django_htmx` is installed. Otherwise, we serve the same files from
the package, at addresses that contain its version, so that browsers may keep them for a year.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import django_htmx
from django.apps import apps
from django.forms import Media
from django.http import Http404, HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from quotes import conf

FILES = Path(django_htmx.__file__).parent / "static" / "django_htmx"
VERSION = version("django-htmx")
SCRIPTS = ("htmx-4.min.js", "ext/hx-ws-4.min.js")
EXTENSION_OF_2 = "ext/hx-ws-2.min.js"
SERVED = (*SCRIPTS, EXTENSION_OF_2)
YEAR = 365 * 86_400  # seconds


class Script(NamedTuple):
    """A script that a page loads."""

    address: str
    deferred: bool = False  # until the page is read


def ours() -> list[Script]:
    """Return htmx 4 and its socket extension, in the order to load them."""
    if copy := conf.get("HTMX_SCRIPTS"):
        return [Script(Media().absolute_path(each)) for each in copy]
    return [Script(_address(name)) for name in SCRIPTS]


def beside_htmx_of_site() -> list[Script]:
    """Return the scripts that the site's own pages need in addition to the htmx that they have."""
    if conf.get("HTMX") == 2:
        # the htmx of the page may come later in the page, and must be there first
        return [Script(_address(EXTENSION_OF_2), deferred=True)]
    return [] if conf.get("HTMX") == 4 else ours()


@require_safe
@cache_control(public=True, max_age=YEAR, immutable=True)
async def script(request: HttpRequest, release: str, name: str) -> HttpResponse:
    """Return a script of this release of django-htmx; raise Http404 for all other files."""
    if release != VERSION or name not in SERVED:
        raise Http404
    return HttpResponse(_content(name), content_type="text/javascript; charset=utf-8")


def _address(name: str) -> str:
    if apps.is_installed("django_htmx"):
        return static(f"django_htmx/{name}")
    return reverse("quotes:script", args=(VERSION, name))


@cache
def _content(name: str) -> bytes:
    return (FILES / name).read_bytes()
