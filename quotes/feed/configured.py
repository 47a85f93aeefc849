"""Providers, built from the settings."""

from __future__ import annotations

from quotes import conf
from quotes.providers import Provider, make_provider


def configured_provider(name: str) -> Provider:
    """Build a provider from its settings in QUOTES; raise ValueError for an invalid one."""
    return make_provider(name, conf.get("PROVIDER_OPTIONS").get(name, {}))


def configured_providers() -> dict[str, Provider]:
    """Build all providers in QUOTES; return them by name, in order of preference."""
    return {name: configured_provider(name) for name in conf.get("PROVIDERS")}
