"""The script of live pages: htmx with its socket extension, from the package django-htmx.

Each tag of a page adds it, so that a tag has all it needs wherever a cache puts it. It is a module:
a browser runs a module once per page, however often the page names it, while it would run an
ordinary script each time. The variables of a module are its own, so that `window.htmx` stays as it
is. Modules share no variables, so all files come as one.

We serve it at an address that contains its digest, so that browsers may keep it for a year. It is
not a static file: from another host, a browser runs a module only with CORS headers.
"""

from __future__ import annotations

import gzip
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import django_htmx
from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from quotes import conf

FILES = Path(django_htmx.__file__).parent / "static" / "django_htmx"
OURS, FOR_2 = "htmx-4-with-ws.js", "ws-for-htmx-2.js"
PARTS = {OURS: ("htmx-4.min.js", "ext/hx-ws-4.min.js"), FOR_2: ("ext/hx-ws-2.min.js",)}
YEAR = 365 * 86_400  # seconds


class Module(NamedTuple):
    """A script, and the same compressed."""

    plain: bytes
    compressed: bytes
    digest: str


def ours() -> list[str]:
    """Return the addresses of the scripts of our own pages: htmx 4 with its socket extension."""
    return [_address(OURS)]


def beside_htmx_of_site() -> list[str]:
    """Return those that the site's own pages need in addition to the htmx that they have."""
    if conf.get("HTMX") == 2:
        return [_address(FOR_2)]
    return [] if conf.get("HTMX") == 4 else ours()


@require_safe
@cache_control(public=True, max_age=YEAR, immutable=True)
@vary_on_headers("Accept-Encoding")
async def script(request: HttpRequest, digest: str, name: str) -> HttpResponse:
    """Return a script with this digest; raise Http404 for all other files."""
    if name not in PARTS or digest != (module := _module(name)).digest:
        raise Http404
    zipped = "gzip" in request.headers.get("Accept-Encoding", "")
    answer = HttpResponse(module.compressed if zipped else module.plain)
    answer["Content-Type"] = "text/javascript; charset=utf-8"
    if zipped:
        answer["Content-Encoding"] = "gzip"
    return answer


def _address(name: str) -> str:
    return reverse("quotes:script", args=(_module(name).digest, name))


def _module(name: str) -> Module:
    copy = conf.get("HTMX_SCRIPTS") if name == OURS else ()
    return _joined(tuple(map(find, copy)) or tuple(FILES / each for each in PARTS[name]))


@cache
def _joined(files: tuple[Path, ...]) -> Module:
    plain = b"\n".join(file.read_bytes() for file in files)
    return Module(plain, gzip.compress(plain, mtime=0), sha256(plain).hexdigest()[:16])


@cache
def find(name: str) -> Path:
    """Return the file of a static file, collected or not; raise ImproperlyConfigured for others."""
    if path := finders.find(name):
        return Path(path)
    # without STATIC_ROOT, nothing is collected
    if settings.STATIC_ROOT and staticfiles_storage.exists(name):
        return Path(staticfiles_storage.path(name))
    raise ImproperlyConfigured(
        f"QUOTES['HTMX_SCRIPTS'] has {name!r}, which is not there, must be names of static "
        "files, such as 'mysite/htmx.min.js'"
    )
