"""The application that servers run, for sites that need nothing else: pages and live parts.

In the `asgi.py` of a site, in any order of imports:

    from quotes.asgi import get_live_application

    application = get_live_application("mysite.settings")

A site without an `asgi.py` has `quotes.asgi:application`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from django.core.asgi import get_asgi_application


def get_live_application(settings: str = "") -> Callable[..., Any]:
    """Set up Django, and return its application with our sockets and live parts.

    `settings` is the module of the settings, unless DJANGO_SETTINGS_MODULE names another one, as
    in the files of `startproject`. Raise ImproperlyConfigured for invalid settings.
    """
    if settings:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings)
    application = get_asgi_application()
    from quotes.routing import live_application  # noqa: PLC0415  # models need Django set up

    return live_application(application)


def site_application(with_static: bool = False) -> Callable[..., Any]:
    """Return the application that our servers run: that of ASGI_APPLICATION, with live parts.

    Without this setting, it is `quotes.asgi:application`. `with_static` adds the static files, as
    in debug mode. Raise ImproperlyConfigured if the setting can't be imported.
    """
    from channels.routing import get_default_application  # noqa: PLC0415
    from django.conf import settings  # noqa: PLC0415
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: PLC0415

    from quotes.routing import below_prefix, live_application  # noqa: PLC0415

    if getattr(settings, "ASGI_APPLICATION", None):
        application: Any = live_application(get_default_application())
    else:
        application = get_live_application()
    return below_prefix(ASGIStaticFilesHandler(application)) if with_static else application


def __getattr__(name: str) -> Any:
    """Make `application` when a server first reads it: an import alone must not set up Django."""
    if name != "application":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = application = get_live_application()
    return application
