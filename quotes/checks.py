"""System checks: invalid settings are reported at start, with what is allowed."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register  # noqa: A004
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands
from django.db import DatabaseError, router
from django.urls import NoReverseMatch, reverse

from quotes import conf
from quotes.conf import forms, overrides, renamed
from quotes.feed.configured import configured_provider
from quotes.htmx.nonces import wants_nonce
from quotes.models import Symbol
from quotes.providers import REGISTRY, ProviderError

COUNTS = (
    "PAGE_SIZE",
    "MAX_SYMBOLS",
    "MAX_SOCKETS",
    "MAX_SOCKETS_PER_ADDRESS",
    "MAX_MESSAGES",
    "MAX_MESSAGE_BYTES",
    "MAX_BODY_BYTES",
)
BY_KEY = ("MAX_JUMP", "STALE_AFTER", "RETENTION", "BACKFILL")  # dicts of numbers
DEPLOYMENT = re.compile(r"[A-Za-z0-9._-]{0,64}")
OTHER_RUNSERVERS = {  # app: what its runserver lacks; ours replaces it if `quotes` comes first
    "daphne": "does not limit the memory of a client that reads slowly",
    "django.contrib.staticfiles": "serves no sockets",
}
AN_ORIGIN = "origins, for example https://partner.example, in small letters and without a path"
A_NETWORK = "IP addresses and networks, for example 127.0.0.1 or 10.0.0.0/8"
SETUP = "manage.py quotes_setup"
REQUEST = "django.template.context_processors.request"
QUERY = "Correct the query, and check that the other program has created its table."
REMOVE = "remove it from QUOTES['PROVIDERS'] (in this project, from QUOTES_PROVIDERS)."


@register()
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Check the keys and values of QUOTES."""
    if errors := _check_types():  # the other checks read these values
        return errors
    given = getattr(settings, "QUOTES", {})
    if unknown := sorted(given.keys() - conf.DEFAULTS.keys() - renamed.SETTINGS.keys()):
        return [Error(conf.unknown_keys(unknown), id="quotes.E001")]
    return [
        *(_old_name("the key of QUOTES", old, new) for old, new in renamed.used(given)),
        *_check_feed(),
        *_check_providers(),
        *_check_numbers(),
        *_check_pulse(),
        *_check_htmx(),
        *_check_numbers_by_key(),
        *_check_access(),
        *_check_deployment(),
        *_check_prefix(),
    ]


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
                f"quotes.urls is not included in {settings.ROOT_URLCONF}, which the tags need",
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
        *(_old_name("the template", old, renamed.TEMPLATES[old]) for old in overrides.old_names()),
        *(_of_override(each) for each in overrides.find() if not each.is_current),
    ]


def _old_name(what: str, old: str, new: str) -> CheckMessage:
    hint = "Rename it. docs/upgrading.md states what else changed."
    return Warning(renamed.notice(what, old, new), hint=hint, id="quotes.W033")


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


@register(Tags.database)
def check_tables(databases: Collection[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that there are tables, and symbols in them. `migrate` is about to create the tables."""
    if not databases or "migrate" in sys.argv[:2]:
        return []
    alias = router.db_for_read(Symbol)
    if alias not in databases:
        return []
    try:
        missing = not Symbol.objects.using(alias).exists()
    except DatabaseError:
        text, hint = "The tables of quotes are missing", "Run  manage.py migrate."
        return [Warning(text, hint=hint, id="quotes.W018")]
    if missing:
        text, hint = "There are no symbols yet, so all quotes are unknown", f"Run  {SETUP}."
        return [Warning(text, hint=hint, id="quotes.W019")]
    return []


@register(deploy=True)
def check_servers(**kwargs: Any) -> list[CheckMessage]:
    """Check what only production needs: a server with sockets, and a layer between processes."""
    found: list[CheckMessage] = []
    if not getattr(settings, "ASGI_APPLICATION", None):
        found.append(
            Warning(
                "ASGI_APPLICATION is not set. A WSGI server, such as gunicorn with wsgi.py, serves "
                "no sockets, and quotes are then refreshed only every "
                f"{conf.NOT_LIVE_AFTER[conf.get('PULSE')]} s",
                hint="Serve with  manage.py serve, or set ASGI_APPLICATION and run it with an ASGI "
                "server. With a WSGI server, set QUOTES['FEED'] to 'external', and run  manage.py "
                "runfeed  beside it.",
                id="quotes.W021",
            )
        )
    if conf.get("CHANNEL_LAYER") not in conf.layers():
        found.append(
            Warning(
                "CHANNEL_LAYERS has no layer for quotes, so only one process can serve them live",
                hint="For several processes, add a layer on Redis: see docs/operations.md. For "
                "one, add 'quotes.W022' to SILENCED_SYSTEM_CHECKS.",
                id="quotes.W022",
            )
        )
    return found


@register(Tags.database)
def check_queries(databases: Collection[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Run the query of a `database` provider once, if its database is to be checked.

    A failure is only a warning: `migrate` runs this check too, and the table may not exist yet.
    """
    if not databases or check_settings():  # invalid settings have their own errors
        return []
    warnings: list[CheckMessage] = []
    for provider in map(configured_provider, _configured_names()):
        if provider.database in databases:
            try:
                async_to_sync(provider.check)()
            except ProviderError as error:
                warnings.append(Warning(str(error), hint=QUERY, id="quotes.W001"))
    return warnings


def _context_processors() -> list[Collection[str]]:
    engines: Any = settings.TEMPLATES
    return [each.get("OPTIONS", {}).get("context_processors", ()) for each in engines]


def refuse_wrong_settings() -> None:
    """Raise ImproperlyConfigured with all errors of `check_settings`, which servers do not run."""
    errors = [each for each in check_settings() if each.is_serious() and not each.is_silenced()]
    if errors:
        lines = (f"{each.msg} ({each.id}) {each.hint or ''}".strip() for each in errors)
        raise ImproperlyConfigured("\n".join(lines))


def _check_types() -> list[CheckMessage]:
    given = getattr(settings, "QUOTES", {})
    if not isinstance(given, dict):
        return [Error(f"QUOTES is {given!r}, must be a dict", id="quotes.E013")]
    providers, options = given.get("PROVIDERS", []), given.get("PROVIDER_OPTIONS", {})
    errors: list[CheckMessage] = []
    if not (_is_list(providers) and all(isinstance(each, str) for each in providers)):
        text = f"QUOTES['PROVIDERS'] is {providers!r}, must be a list of names: ['simulated']"
        errors.append(Error(text, id="quotes.E013"))
    if not (isinstance(options, dict) and all(isinstance(v, dict) for v in options.values())):
        # without the value, which may contain keys
        text = "QUOTES['PROVIDER_OPTIONS'] must be a dict of dicts: {'simulated': {'rate': 120}}"
        errors.append(Error(text, id="quotes.E013"))
    return errors


def _check_feed() -> list[CheckMessage]:
    if conf.get("FEED") not in ("inline", "external"):
        return [
            Error(
                f"Unexpected QUOTES['FEED'] {conf.get('FEED')!r}, must be one of: inline, external",
                id="quotes.E002",
            )
        ]
    alias, layers = conf.get("CHANNEL_LAYER"), conf.layers()
    if alias not in layers and alias != conf.DEFAULTS["CHANNEL_LAYER"]:
        return [
            Error(
                f"QUOTES['CHANNEL_LAYER'] is {alias!r}, which is missing in CHANNEL_LAYERS",
                hint="Add it to CHANNEL_LAYERS, or remove CHANNEL_LAYER from QUOTES.",
                id="quotes.E003",
            )
        ]
    # without a layer, we have one of our own, in memory
    in_memory = alias not in layers or "InMemory" in layers[alias]["BACKEND"]
    # under WSGI, quotes come from the database alone
    may_be_wsgi = not getattr(settings, "ASGI_APPLICATION", None)
    if conf.get("FEED") == "external" and in_memory and not may_be_wsgi:
        return [
            Error(
                "QUOTES['FEED'] is 'external', which needs a channel layer between processes, "
                f"but CHANNEL_LAYERS has {'one in memory' if alias in layers else 'none'}",
                hint="Set REDIS_URL or QUOTES_FEED=inline in this project; change "
                "CHANNEL_LAYERS or QUOTES['FEED'] in a site of your own.",
                id="quotes.E004",
            )
        ]
    return []


def _check_providers() -> list[CheckMessage]:
    errors: list[CheckMessage] = []
    if not conf.get("PROVIDERS"):
        allowed = ", ".join(REGISTRY)
        errors.append(
            Error(
                f"QUOTES['PROVIDERS'] is empty, must have one or more of: {allowed}",
                id="quotes.E008",
            )
        )
    for name in _configured_names():
        try:
            configured_provider(name)
        except ValueError as error:
            hint = f"Correct its options{_variables(name, str(error))}, or {REMOVE}"
            errors.append(Error(str(error), hint=hint, id="quotes.E005"))
    return errors


def _variables(provider: str, message: str) -> str:
    """Return the variables of the options in a message or, if it has none, of all options."""
    given = list(conf.get("PROVIDER_OPTIONS").get(provider, {}))
    options = [option for option in given if option in message.split()] or given
    variables = ", ".join(f"{provider}_{option}".upper() for option in options)
    return f" (in this project, {variables})" if variables else ""


def _configured_names() -> list[str]:
    with_options = [name for name, options in conf.get("PROVIDER_OPTIONS").items() if options]
    return list(dict.fromkeys([*conf.get("PROVIDERS"), *with_options]))


def _check_numbers() -> list[CheckMessage]:
    errors: list[CheckMessage] = []
    if not _is_positive(conf.get("PACE")):
        text = f"QUOTES['PACE'] is {conf.get('PACE')!r}, must be a number above 0"
        errors.append(Error(text, id="quotes.E006"))
    for name in COUNTS:
        given = conf.get(name)
        if given is None is conf.DEFAULTS[name]:
            continue
        if not (_is_positive(given) and isinstance(given, int)):
            text = f"QUOTES[{name!r}] is {given!r}, must be a whole number above 0"
            errors.append(Error(text, id="quotes.E007"))
    return errors


def _is_positive(given: object) -> bool:
    return isinstance(given, int | float) and given is not True and 0 < given < math.inf


def _check_pulse() -> list[CheckMessage]:
    if conf.get("PULSE") in list(conf.NOT_LIVE_AFTER):
        return []
    allowed = ", ".join(map(str, conf.NOT_LIVE_AFTER))
    return [
        Error(
            f"QUOTES['PULSE'] is {conf.get('PULSE')!r}, must be one of: {allowed}",
            id="quotes.E009",
        )
    ]


def _check_htmx() -> list[CheckMessage]:
    errors: list[CheckMessage] = []
    version, copy = conf.get("HTMX"), conf.get("HTMX_SCRIPTS")
    if version not in (None, 2, 4):
        text = f"QUOTES['HTMX'] is {version!r}, must be 2 or 4, the version of the htmx that your "
        text += "pages have, or None if they have none"
        errors.append(Error(text, id="quotes.E014"))
    if not (_is_list(copy) and all(isinstance(each, str) and each for each in copy)):
        text = f"QUOTES['HTMX_SCRIPTS'] is {copy!r}, must be a list of static files: "
        text += "['mysite/htmx.min.js', 'mysite/hx-ws.min.js']"
        errors.append(Error(text, id="quotes.E014"))
    return errors


def _check_numbers_by_key() -> list[CheckMessage]:
    errors: list[CheckMessage] = []
    for name in BY_KEY:
        given, keys = conf.get(name), conf.DEFAULTS[name].keys()
        allowed = ", ".join(map(str, keys))
        if not isinstance(given, dict):
            text = f"QUOTES[{name!r}] is {given!r}, must be a dict with the keys: {allowed}"
            errors.append(Error(text, id="quotes.E010"))
            continue
        for key in given.keys() - keys:
            text = f"Unknown key {key!r} in QUOTES[{name!r}], must be one of: {allowed}"
            errors.append(Error(text, id="quotes.E010"))
        for key in given.keys() & keys:
            may_be_0 = name == "BACKFILL"  # requests no candles of this length
            number = given[key]
            if not (_is_positive(number) or (may_be_0 and number == 0)):
                least = "a number, 0 or larger" if may_be_0 else "a number above 0"
                text = f"QUOTES[{name!r}][{key!r}] is {number!r}, must be {least}"
                errors.append(Error(text, id="quotes.E010"))
    return errors


def _check_access() -> list[CheckMessage]:
    errors: list[CheckMessage] = []
    for name, allowed, read in (
        ("ORIGINS", AN_ORIGIN, forms.origin),
        # in the header of a page, https://*.partner.example means each of its subdomains
        ("EMBED_ORIGINS", AN_ORIGIN, partial(forms.origin, wildcard=True)),
        ("METRICS_FROM", A_NETWORK, forms.network),
    ):
        given = conf.get(name)
        wrong = [each for each in given if not _reads(read, each)] if _is_list(given) else [given]
        errors += [
            Error(
                f"Unexpected value {each!r} in QUOTES[{name!r}], must be a list of {allowed}",
                hint=f"In this project, correct QUOTES_{name}.",
                id="quotes.E011",
            )
            for each in wrong
        ]
    return errors


def _check_deployment() -> list[CheckMessage]:
    given = conf.get("DEPLOYMENT")
    if isinstance(given, str) and DEPLOYMENT.fullmatch(given):
        return []
    return [
        Error(
            f"Unexpected value {given!r} in QUOTES['DEPLOYMENT'], must be at most 64 letters, "
            "digits, hyphens, dots and underscores, or empty",
            hint="In this project, correct QUOTES_DEPLOYMENT.",
            id="quotes.E012",
        )
    ]


def _check_prefix() -> list[CheckMessage]:
    given = settings.FORCE_SCRIPT_NAME
    if given is None or _reads(forms.prefix, given):
        return []
    return [
        Error(
            f"Unexpected value {given!r} in FORCE_SCRIPT_NAME, must be a prefix such as /market, "
            "without a slash at its end",
            hint="In this project, correct DJANGO_SCRIPT_NAME.",
            id="quotes.E016",
        )
    ]


def _is_list(given: object) -> bool:
    return isinstance(given, list | tuple)


def _reads(read: Callable[[object], object], given: object) -> bool:
    try:
        read(given)
    except ValueError:
        return False
    return True
