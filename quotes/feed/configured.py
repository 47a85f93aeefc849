"""Providers as the settings want them."""

from __future__ import annotations

from quotes import conf
from quotes.providers import Provider, make_provider


def configured_provider(name: str) -> Provider:
    """Build a provider as QUOTES says; raise ValueError for a name or an option that is none."""
    return make_provider(name, conf.get("PROVIDER_OPTIONS").get(name, {}))


def configured_providers() -> dict[str, Provider]:
    """Build all that QUOTES names, by name, the preferred first."""
    return {name: configured_provider(name) for name in conf.get("PROVIDERS")}
