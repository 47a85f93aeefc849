"""Providers, built from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.crypto import salted_hmac

from quotes import conf
from quotes.providers import Provider, make_provider, provider_class


def configured_provider(name: str) -> Provider:
    """Build a provider from its settings in QUOTES; raise ValueError for an invalid one."""
    return make_provider(name, _options(name))


def configured_providers() -> dict[str, Provider]:
    """Build all providers in QUOTES; return them by name, in order of preference."""
    return {name: configured_provider(name) for name in conf.get("PROVIDERS")}


def _options(name: str) -> Mapping[str, Any]:
    options: Mapping[str, Any] = conf.get("PROVIDER_OPTIONS").get(name, {})
    if not provider_class(name).invented or options.get("seed") not in (None, ""):
        return options
    # All processes of a site must invent the same prices, also after a restart.
    seed = salted_hmac("quotes.providers.simulated", "seed", algorithm="sha256").hexdigest()
    return {**options, "seed": seed}
