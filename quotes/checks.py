"""System checks: invalid settings are reported at start, with what is allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from django.apps import apps
from django.conf import settings
from django.core.checks import WARNING, CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from quotes import conf
from quotes.conf import forms
from quotes.feed.configured import configured_provider
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
QUERY = "Correct the query, and check that the other program has created its table."
REMOVE = "remove it from QUOTES['PROVIDERS'] (in this project, from QUOTES_PROVIDERS)."


@register()
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Check the keys and values of QUOTES."""
    if errors := _check_types():  # the other checks read these values
        return errors
    if unknown := sorted(getattr(settings, "QUOTES", {}).keys() - conf.DEFAULTS.keys()):
        return [Error(conf.unknown_keys(unknown), id="quotes.E001")]
    return [
        *_check_feed(),
        *_check_providers(),
        *_check_numbers(),
        *_check_pulse(),
        *_check_numbers_by_key(),
        *_check_access(),
        *_check_deployment(),
        *_check_prefix(),
    ]


@register()
def check_apps(**kwargs: Any) -> list[CheckMessage]:
    """Check that INSTALLED_APPS has what live pages need, in the order that they need."""
    names = [each.name for each in apps.get_app_configs()]
    errors: list[CheckMessage] = []
    if "django_htmx" not in names:
        errors.append(
            Error(
                "'django_htmx' is missing in INSTALLED_APPS: it has the scripts of live pages",
                hint="Add 'django_htmx'.",
                id="quotes.E014",
            )
        )
    before = names[: names.index("quotes")]
    if name := next((each for each in before if each in OTHER_RUNSERVERS), ""):
        errors.append(
            CheckMessage(
                WARNING,
                f"{name!r} stands before 'quotes' in INSTALLED_APPS, so its runserver is used, "
                f"which {OTHER_RUNSERVERS[name]}",
                hint="Move 'quotes' to the top of INSTALLED_APPS.",
                id="quotes.W015",
            )
        )
    return errors


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
                warnings.append(CheckMessage(WARNING, str(error), hint=QUERY, id="quotes.W001"))
    return warnings


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
    alias = conf.get("CHANNEL_LAYER")
    layer = getattr(settings, "CHANNEL_LAYERS", {}).get(alias)
    if layer is None:
        return [
            Error(
                f"QUOTES['CHANNEL_LAYER'] is {alias!r}, which is missing in CHANNEL_LAYERS",
                hint="For one process, set CHANNEL_LAYERS = {'default': {'BACKEND': "
                "'channels.layers.InMemoryChannelLayer', 'CONFIG': {'capacity': 1000}}}",
                id="quotes.E003",
            )
        ]
    if conf.get("FEED") == "external" and "InMemory" in layer["BACKEND"]:
        return [
            Error(
                "QUOTES['FEED'] is 'external', which needs a channel layer between processes, "
                "but CHANNEL_LAYERS has one in memory",
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
