"""Sources that say that they were asked too often, but not for how long to stay away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from quotes.providers.kit.errors import ProviderError

TOO_OFTEN = 429


@contextmanager
def staying_away(seconds: float) -> Iterator[None]:
    """Give a 429 without Retry-After these seconds: asked again at once, a source bans us."""
    try:
        yield
    except ProviderError as error:
        if error.status == TOO_OFTEN and error.retry_after is None:
            error.retry_after = seconds
        raise
