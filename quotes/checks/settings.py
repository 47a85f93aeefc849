"""Checks of settings: an invalid value is reported at the start, with what is allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004
from django.core.exceptions import ImproperlyConfigured

from quotes import conf
from quotes.conf import forms, renamed
from quotes.feed.configured import configured_provider
from quotes.htmx import scripts
from quotes.providers import REGISTRY, ProviderError

COUNTS = (
    "PAGE_SIZE",
    "MAX_SYMBOLS",
    "MAX_SOCKETS",
    "MAX_SOCKETS_PER_ADDRESS",
    "MAX_MESSAGES",
    "MAX_MESSAGE_BYTES",
    "MAX_BODY_BYTES",
    "NOT_FOUND_AFTER",
)
BY_KEY = ("MAX_JUMP", "STALE_AFTER", "RETENTION", "BACKFILL")  # dicts of numbers
DEPLOYMENT = re.compile(r"[A-Za-z0-9._-]{0,64}")
AN_ORIGIN = "origins, for example https://partner.example, in small letters and without a path"
A_NETWORK = "IP addresses and networks, for example 127.0.0.1 or 10.0.0.0/8"
QUERY = "Correct the query, and check that the other program has created its table."
REMOVE = "remove it from QUOTES['PROVIDERS'] (in this project, from QUOTES_PROVIDERS)."


@register()
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Check the keys and values of QUOTES."""
    if errors := list(_check_types()):  # the other checks read these values
        return errors
    given = getattr(settings, "QUOTES", {})
    if unknown := sorted(given.keys() - conf.DEFAULTS.keys() - renamed.SETTINGS.keys()):
        return [Error(conf.unknown_keys(unknown), id="quotes.E001")]
    return [
        *(old_name("the key of QUOTES", old, new) for old, new in renamed.used(given)),
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


@register(Tags.staticfiles)
def check_scripts(**kwargs: Any) -> list[CheckMessage]:
    """Check that the site's own copy of htmx is there, which each page with quotes reads."""
    found: list[CheckMessage] = []
    for name in [] if any(_check_htmx()) else conf.get("HTMX_SCRIPTS"):
        try:
            scripts.find(name)
        except ImproperlyConfigured as error:
            hint = "Correct the name, or add the folder of the file to STATICFILES_DIRS."
            found.append(Warning(str(error), hint=hint, id="quotes.W034"))
    return found


def old_name(what: str, old: str, new: str) -> CheckMessage:
    """Return the warning for a name that is accepted for one release only."""
    hint = "Rename it. docs/upgrading.md states what else changed."
    return Warning(renamed.notice(what, old, new), hint=hint, id="quotes.W033")


def refuse_wrong_settings() -> None:
    """Raise ImproperlyConfigured with all errors of `check_settings`, which servers do not run."""
    errors = [each for each in check_settings() if each.is_serious() and not each.is_silenced()]
    if errors:
        lines = (f"{each.msg} ({each.id}) {each.hint or ''}".strip() for each in errors)
        raise ImproperlyConfigured("\n".join(lines))


def _check_types() -> Iterator[CheckMessage]:
    given = getattr(settings, "QUOTES", {})
    if not isinstance(given, dict):
        yield Error(f"QUOTES is {given!r}, must be a dict", id="quotes.E013")
        return
    providers, options = given.get("PROVIDERS", []), given.get("PROVIDER_OPTIONS", {})
    if not (_is_list(providers) and all(isinstance(each, str) for each in providers)):
        text = f"QUOTES['PROVIDERS'] is {providers!r}, must be a list of names: ['simulated']"
        yield Error(text, id="quotes.E013")
    if not (isinstance(options, dict) and all(isinstance(v, dict) for v in options.values())):
        # without the value, which may contain keys
        text = "QUOTES['PROVIDER_OPTIONS'] must be a dict of dicts: {'simulated': {'rate': 120}}"
        yield Error(text, id="quotes.E013")


def _check_feed() -> Iterator[CheckMessage]:
    feed, alias, layers = conf.get("FEED"), conf.get("CHANNEL_LAYER"), conf.layers()
    # without a layer, we have one of our own, in memory
    in_memory = alias not in layers or "InMemory" in layers[alias]["BACKEND"]
    # under WSGI, quotes come from the database alone
    may_be_wsgi = not getattr(settings, "ASGI_APPLICATION", None)
    if feed not in ("inline", "external"):
        text = f"Unexpected QUOTES['FEED'] {feed!r}, must be one of: inline, external"
        yield Error(text, id="quotes.E002")
    elif alias not in layers and alias != conf.DEFAULTS["CHANNEL_LAYER"]:
        yield Error(
            f"QUOTES['CHANNEL_LAYER'] is {alias!r}, which is missing in CHANNEL_LAYERS",
            hint="Add it to CHANNEL_LAYERS, or remove CHANNEL_LAYER from QUOTES.",
            id="quotes.E003",
        )
    elif feed == "external" and in_memory and not may_be_wsgi:
        yield Error(
            "QUOTES['FEED'] is 'external', which needs a channel layer between processes, "
            f"but CHANNEL_LAYERS has {'one in memory' if alias in layers else 'none'}",
            hint="Set REDIS_URL or QUOTES_FEED=inline in this project; change "
            "CHANNEL_LAYERS or QUOTES['FEED'] in a site of your own.",
            id="quotes.E004",
        )


def _check_providers() -> Iterator[CheckMessage]:
    if not conf.get("PROVIDERS"):
        text = f"QUOTES['PROVIDERS'] is empty, must have one or more of: {', '.join(REGISTRY)}"
        yield Error(text, id="quotes.E008")
    for name in _configured_names():
        try:
            configured_provider(name)
        except ValueError as error:
            wrong = f"options{_variables(name, str(error))}" if name in REGISTRY else "name"
            hint = f"Correct its {wrong}, or {REMOVE}"
            yield Error(str(error), hint=hint, id="quotes.E005")


def _variables(provider: str, message: str) -> str:
    """Return the variables of the options in a message or, if it has none, of all options."""
    given = list(conf.get("PROVIDER_OPTIONS").get(provider, {}))
    options = [option for option in given if option in message.split()] or given
    variables = ", ".join(f"{provider}_{option}".upper() for option in options)
    return f" (in this project, {variables})" if variables else ""


def _configured_names() -> list[str]:
    with_options = [name for name, options in conf.get("PROVIDER_OPTIONS").items() if options]
    return list(dict.fromkeys([*conf.get("PROVIDERS"), *with_options]))


def _check_numbers() -> Iterator[CheckMessage]:
    if not _is_positive(conf.get("PACE")):
        text = f"QUOTES['PACE'] is {conf.get('PACE')!r}, must be a number above 0"
        yield Error(text, id="quotes.E006")
    for name in COUNTS:
        given = conf.get(name)
        if given is None is conf.DEFAULTS[name]:
            continue
        if not (_is_positive(given) and isinstance(given, int)):
            text = f"QUOTES[{name!r}] is {given!r}, must be a whole number above 0"
            yield Error(text, id="quotes.E007")


def _is_positive(given: object) -> bool:
    return isinstance(given, int | float) and given is not True and 0 < given < math.inf


def _check_pulse() -> Iterator[CheckMessage]:
    given, allowed = conf.get("PULSE"), list(conf.NOT_LIVE_AFTER)
    if given not in allowed:
        text = f"QUOTES['PULSE'] is {given!r}, must be one of: {', '.join(map(str, allowed))}"
        yield Error(text, id="quotes.E009")


def _check_htmx() -> Iterator[CheckMessage]:
    version, copy = conf.get("HTMX"), conf.get("HTMX_SCRIPTS")
    if version not in (None, 2, 4):
        text = f"QUOTES['HTMX'] is {version!r}, must be 2 or 4, the version of the htmx that your "
        text += "pages have, or None if they have none"
        yield Error(text, id="quotes.E014")
    if not (_is_list(copy) and all(isinstance(each, str) and each for each in copy)):
        text = f"QUOTES['HTMX_SCRIPTS'] is {copy!r}, must be a list of static files: "
        text += "['mysite/htmx.min.js', 'mysite/hx-ws.min.js']"
        yield Error(text, id="quotes.E014")


def _check_numbers_by_key() -> Iterator[CheckMessage]:
    for name in BY_KEY:
        given, keys = conf.get(name), conf.DEFAULTS[name].keys()
        allowed = ", ".join(map(str, keys))
        if not isinstance(given, dict):
            text = f"QUOTES[{name!r}] is {given!r}, must be a dict with the keys: {allowed}"
            yield Error(text, id="quotes.E010")
            continue
        for key in given.keys() - keys:
            text = f"Unknown key {key!r} in QUOTES[{name!r}], must be one of: {allowed}"
            yield Error(text, id="quotes.E010")
        for key in given.keys() & keys:
            may_be_0 = name == "BACKFILL"  # requests no candles of this length
            number = given[key]
            if not (_is_positive(number) or (may_be_0 and number == 0)):
                least = "a number, 0 or larger" if may_be_0 else "a number above 0"
                text = f"QUOTES[{name!r}][{key!r}] is {number!r}, must be {least}"
                yield Error(text, id="quotes.E010")


def _check_access() -> Iterator[CheckMessage]:
    for name, allowed, read in (
        ("ORIGINS", AN_ORIGIN, forms.origin),
        # in the header of a page, https://*.partner.example means each of its subdomains
        ("EMBED_ORIGINS", AN_ORIGIN, partial(forms.origin, wildcard=True)),
        ("METRICS_FROM", A_NETWORK, forms.network),
    ):
        given = conf.get(name)
        for each in given if _is_list(given) else [given]:
            if not (_is_list(given) and _reads(read, each)):
                yield Error(
                    f"Unexpected value {each!r} in QUOTES[{name!r}], must be a list of {allowed}",
                    hint=f"In this project, correct QUOTES_{name}.",
                    id="quotes.E011",
                )


def _check_deployment() -> Iterator[CheckMessage]:
    given = conf.get("DEPLOYMENT")
    if not (isinstance(given, str) and DEPLOYMENT.fullmatch(given)):
        yield Error(
            f"Unexpected value {given!r} in QUOTES['DEPLOYMENT'], must be at most 64 letters, "
            "digits, hyphens, dots and underscores, or empty",
            hint="In this project, correct QUOTES_DEPLOYMENT.",
            id="quotes.E012",
        )


def _check_prefix() -> Iterator[CheckMessage]:
    given = settings.FORCE_SCRIPT_NAME
    if given is not None and not _reads(forms.prefix, given):
        yield Error(
            f"Unexpected value {given!r} in FORCE_SCRIPT_NAME, must be a prefix such as /market, "
            "without a slash at its end",
            hint="In this project, correct DJANGO_SCRIPT_NAME.",
            id="quotes.E016",
        )


def _is_list(given: object) -> bool:
    return isinstance(given, list | tuple)


def _reads(read: Callable[[object], object], given: object) -> bool:
    try:
        read(given)
    except ValueError:
        return False
    return True
