"""A cool-down after 429, for sources that do not send a Retry-After header."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from quotes.providers.kit.errors import ProviderError

TOO_MANY_REQUESTS = 429


@contextmanager
def cooldown(seconds: float) -> Iterator[None]:
    """Back off for so many seconds after a 429 without Retry-After.

    Some sources ban a client that sends the next request at once.
    """
    try:
        yield
    except ProviderError as error:
        if error.status == TOO_MANY_REQUESTS and error.retry_after is None:
            error.retry_after = seconds
        raise
