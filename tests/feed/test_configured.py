"""Providers are built from the settings, and each process invents the same prices."""

from __future__ import annotations

from typing import Any

import pytest

from quotes.feed.configured import configured_provider


def seed(settings: Any, options: dict[str, Any], key: str = "of this site") -> object:
    """Return the seed of the simulated market of a process with these settings."""
    settings.SECRET_KEY = key
    settings.QUOTES = {"PROVIDER_OPTIONS": {"simulated": options}}
    return vars(configured_provider("simulated"))["seed"]


@pytest.mark.parametrize("options", [{}, {"seed": ""}, {"seed": None}, {"rate": 120}])
def test_without_a_seed_all_processes_of_a_site_have_the_same_market(
    settings: Any, options: dict[str, Any]
):
    assert seed(settings, options) == seed(settings, {})
    assert seed(settings, options) != seed(settings, options, "of another site")


@pytest.mark.parametrize("given", ["monday", 7, 0])
def test_a_seed_is_used_as_it_is(settings: Any, given: object):
    assert seed(settings, {"seed": given}) == given


def test_the_seed_does_not_contain_the_secret_key(settings: Any):
    assert "of this site" not in str(seed(settings, {}))
