"""Checks of an installation: each step that was forgotten is named, with what to do."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Info, Tags, Warning, register  # noqa: A004
from django.core.management import get_commands
from django.db import DatabaseError, router
from django.urls import NoReverseMatch, reverse

from quotes import conf
from quotes.checks.settings import old_name
from quotes.conf import overrides, renamed
from quotes.htmx.nonces import wants_nonce
from quotes.models import Symbol

OTHER_RUNSERVERS = {  # app: what its runserver lacks; ours replaces it if `quotes` comes first
    "daphne": "does not limit the memory of a client that reads slowly",
    "django.contrib.staticfiles": "serves no sockets",
}
REQUEST = "django.template.context_processors.request"


@register()
def check_apps(**kwargs: Any) -> list[CheckMessage]:
    """Check that `runserver` is ours: the first app in INSTALLED_APPS that has one wins."""
    app = str(getattr(get_commands()["runserver"], "app_name", get_commands()["runserver"]))
    if app == "quotes":
        return []
    lacks = OTHER_RUNSERVERS.get(app, "may serve no sockets")
    return [
        Warning(
            f"{app!r} stands before 'quotes' in INSTALLED_APPS, so its runserver is used, "
            f"which {lacks}",
            hint="Move 'quotes' to the top of INSTALLED_APPS.",
            id="quotes.W015",
        )
    ]


@register(Tags.urls)
def check_urls(**kwargs: Any) -> list[CheckMessage]:
    """Check that the site has our pages: tags link to them, and request the socket from one."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    try:
        reverse("quotes:index")
    except NoReverseMatch:
        return [
            Warning(
                f"{settings.ROOT_URLCONF} does not include quotes.urls, which the tags need",
                hint='Add  path("market/", include("quotes.urls"))  to its urlpatterns, or run  '
                "manage.py quotes_setup --write.",
                id="quotes.W017",
            )
        ]
    return []


@register(Tags.templates)
def check_templates(**kwargs: Any) -> list[CheckMessage]:
    """Check that tags can read the request, if the site's policy wants its nonce on scripts."""
    if not wants_nonce() or any(REQUEST in each for each in _context_processors()):
        return []
    return [
        Warning(
            "The content security policy allows only scripts with a nonce, and templates have no "
            "request to read it from: no page with quotes will be live",
            hint=f"Add {REQUEST!r} to the context processors in TEMPLATES.",
            id="quotes.W020",
        )
    ]


@register(Tags.templates)
def check_overrides(**kwargs: Any) -> list[CheckMessage]:
    """Check that templates of the site that replace ours are copies of their newest revision."""
    return [
        *(old_name("the template", old, renamed.TEMPLATES[old]) for old in overrides.old_names()),
        *(_of_override(each) for each in overrides.find() if not each.is_current),
    ]


@register(Tags.database)
def check_tables(databases: Collection[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that there are tables, and symbols in them. `migrate` is about to create the tables."""
    if not databases or "migrate" in sys.argv[:2]:
        return []
    alias = router.db_for_read(Symbol)
    if alias not in databases:
        return []
    try:
        if Symbol.objects.using(alias).exists():
            return []
    except DatabaseError:
        text, hint = "The tables of quotes are missing", "Run  manage.py migrate."
        return [Warning(text, hint=hint, id="quotes.W018")]
    text = "There are no symbols yet, so all quotes are unknown"
    return [Warning(text, hint="Run  manage.py quotes_setup.", id="quotes.W019")]


@register(deploy=True)
def check_servers(**kwargs: Any) -> list[CheckMessage]:
    """Check what only production needs: a server with sockets, and a layer between processes."""
    found: list[CheckMessage] = []
    if not getattr(settings, "ASGI_APPLICATION", None):
        found.append(
            Warning(
                "ASGI_APPLICATION is not set. A WSGI server, such as gunicorn with wsgi.py, serves "
                "no sockets, and quotes are then refreshed only every "
                f"{conf.not_live_after()} s",
                hint="Serve with  manage.py serve, or set ASGI_APPLICATION and run it with an ASGI "
                "server. With a WSGI server, set QUOTES['FEED'] to 'external', and run  manage.py "
                "runfeed  beside it. Once you do so, add 'quotes.W021' to SILENCED_SYSTEM_CHECKS.",
                id="quotes.W021",
            )
        )
    if conf.get("CHANNEL_LAYER") not in conf.layers():
        found.append(
            Warning(
                "CHANNEL_LAYERS has no layer for quotes, so only one process can serve them live",
                hint="For several processes, add a layer on Redis: see docs/operations.md. For "
                "one process, add 'quotes.W022' to SILENCED_SYSTEM_CHECKS.",
                id="quotes.W022",
            )
        )
    return found


def _of_override(found: overrides.Override) -> CheckMessage:
    if not found.ours:
        return Warning(
            f"{found.path} replaces a template of ours that may change in every release",
            hint="Remove it. docs/embedding.md lists the templates that a site may replace.",
            id="quotes.W031",
        )
    if not found.revision:
        return Info(
            f"{found.path} replaces ours, but does not state of which revision it is a copy",
            hint=f"Compare it with ours, and let it begin with  {found.mark}",
            id="quotes.I032",
        )
    return Warning(
        f"{found.path} is a copy of revision {found.revision} of our template, which now has "
        f"revision {found.ours}",
        hint=f"Compare it with {overrides.FOLDER / found.name}, see docs/upgrading.md. Then let it "
        f"begin with  {found.mark}",
        id="quotes.W030",
    )


def _context_processors() -> list[Collection[str]]:
    engines: Any = settings.TEMPLATES
    return [each.get("OPTIONS", {}).get("context_processors", ()) for each in engines]
