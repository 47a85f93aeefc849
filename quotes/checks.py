"""System checks: what is wrong with the settings is said at start, with what is allowed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.checks import WARNING, CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from quotes import conf
from quotes.feed.configured import configured_provider
from quotes.providers import REGISTRY, ProviderError

COUNTS = (
    "PAGE_SIZE",
    "MAX_SYMBOLS",
    "MAX_SOCKETS",
    "MAX_SOCKETS_PER_ADDRESS",
    "MAX_MESSAGES",
    "MAX_MESSAGE_BYTES",
)
QUERY = "See DATABASE_QUERY, and whether the other program has made its table."


@register()
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Check QUOTES: its keys, and the values that only mean something together."""
    if unknown := sorted(getattr(settings, "QUOTES", {}).keys() - conf.DEFAULTS.keys()):
        return [Error(conf.unknown_keys(unknown), id="quotes.E001")]
    return [*_check_feed(), *_check_providers(), *_check_numbers(), *_check_pulse()]


@register(Tags.database)
def check_queries(databases: Collection[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Run the query of a `database` provider once, where its database is to be checked.

    What fails is no error: `migrate` checks this as well, and may run before there is a table.
    """
    if not databases or check_settings():  # which says itself what is wrong
        return []
    warnings: list[CheckMessage] = []
    for provider in map(configured_provider, _named()):
        if provider.database in databases:
            try:
                async_to_sync(provider.check)()
            except ProviderError as error:
                warnings.append(CheckMessage(WARNING, str(error), hint=QUERY, id="quotes.W001"))
    return warnings


def refuse_wrong_settings() -> None:
    """Raise ImproperlyConfigured with all errors of `check_settings`: servers run no checks."""
    errors = [each for each in check_settings() if each.is_serious() and not each.is_silenced()]
    if errors:
        words = (f"{each.msg} ({each.id}) {each.hint or ''}".strip() for each in errors)
        raise ImproperlyConfigured("\n".join(words))


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
                f"QUOTES needs the channel layer {alias!r}, which CHANNEL_LAYERS lacks",
                hint="For one process: {'default': {'BACKEND': "
                "'channels.layers.InMemoryChannelLayer', 'CONFIG': {'capacity': 1000}}}",
                id="quotes.E003",
            )
        ]
    if conf.get("FEED") == "external" and "InMemory" in layer["BACKEND"]:
        return [
            Error(
                "QUOTES_FEED=external needs a layer between processes, and this one is in memory",
                hint="Set REDIS_URL, or QUOTES_FEED=inline.",
                id="quotes.E004",
            )
        ]
    return []


def _check_providers() -> list[CheckMessage]:
    errors: list[CheckMessage] = []
    if not conf.get("PROVIDERS"):
        allowed = ", ".join(REGISTRY)
        errors.append(
            Error(f"No provider in QUOTES_PROVIDERS, name some of: {allowed}", id="quotes.E008")
        )
    for name in _named():
        try:
            configured_provider(name)
        except ValueError as error:
            errors.append(Error(str(error), hint="See QUOTES_PROVIDERS.", id="quotes.E005"))
    return errors


def _named() -> list[str]:
    optioned = [name for name, options in conf.get("PROVIDER_OPTIONS").items() if options]
    return list(dict.fromkeys([*conf.get("PROVIDERS"), *optioned]))


def _check_numbers() -> list[CheckMessage]:
    uneven: list[CheckMessage] = [
        Error(f"QUOTES[{name!r}] is {conf.get(name)!r}, must be a whole number", id="quotes.E007")
        for name in COUNTS
        if isinstance(conf.get(name), float) and conf.get(name) > 0
    ]
    return uneven + [
        Error(f"QUOTES[{name!r}] is {conf.get(name)!r}, must be a number above 0", id="quotes.E006")
        for name in ("PACE", *COUNTS)
        if not isinstance(conf.get(name), int | float) or conf.get(name) <= 0
    ]


def _check_pulse() -> list[CheckMessage]:
    if conf.get("PULSE") in list(conf.DOUBTS_AFTER):
        return []
    allowed = ", ".join(map(str, conf.DOUBTS_AFTER))
    return [
        Error(
            f"QUOTES['PULSE'] is {conf.get('PULSE')!r}, must be one of: {allowed}",
            id="quotes.E009",
        )
    ]
