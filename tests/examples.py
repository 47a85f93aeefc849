"""How many examples a property is tried with."""

from hypothesis import settings

USUAL = 100  # examples, without a profile


def examples(count: int) -> settings:
    """Return the settings for this many examples, or for a tenth of them in the profile `few`."""
    return settings(max_examples=max(1, count * settings().max_examples // USUAL))
