"""System checks: invalid settings are reported at start, with what is allowed."""

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
QUERY = "Correct DATABASE_QUERY, and check that the other program has created its table."
PROVIDERS = "Correct the setting, or remove the provider from QUOTES_PROVIDERS."


@register()
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Check the keys and values of QUOTES."""
    if unknown := sorted(getattr(settings, "QUOTES", {}).keys() - conf.DEFAULTS.keys()):
        return [Error(conf.unknown_keys(unknown), id="quotes.E001")]
    return [*_check_feed(), *_check_providers(), *_check_numbers(), *_check_pulse()]


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
                "QUOTES_FEED=external needs a channel layer between processes, "
                "but the configured one is in memory",
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
            Error(f"QUOTES_PROVIDERS is empty, use one or more of: {allowed}", id="quotes.E008")
        )
    for name in _configured_names():
        try:
            configured_provider(name)
        except ValueError as error:
            errors.append(Error(str(error), hint=PROVIDERS, id="quotes.E005"))
    return errors


def _configured_names() -> list[str]:
    with_options = [name for name, options in conf.get("PROVIDER_OPTIONS").items() if options]
    return list(dict.fromkeys([*conf.get("PROVIDERS"), *with_options]))


def _check_numbers() -> list[CheckMessage]:
    not_whole: list[CheckMessage] = [
        Error(f"QUOTES[{name!r}] is {conf.get(name)!r}, must be a whole number", id="quotes.E007")
        for name in COUNTS
        if isinstance(conf.get(name), float) and conf.get(name) > 0
    ]
    return not_whole + [
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
