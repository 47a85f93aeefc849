"""Remedies: what an operator can do about a provider that fails."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from quotes.doctor.findings import span
from quotes.providers import ProviderError, provider_class
from quotes.providers.kit.client import host

KEYS = re.compile("(key|secret)$")  # names of options
ADDRESSES = re.compile("url$")
ALL = re.compile("")
RATE_LIMITED = (418, 429)
LIMIT = re.compile("rate limit|too many|limit (reached|exceeded)", re.IGNORECASE)
KEEPS_TRYING = "the feed keeps trying, and uses the next provider until then"


def describe(error: ProviderError) -> str:
    """Return the text of a failure, with the time until which the provider allows no requests."""
    until = "" if error.retry_after is None else f" until {_moment_in(error.retry_after)}"
    if _is_rate_limit(error):
        return f"rate limited{until}: {error}"
    return f"{error}; no requests are allowed{until}" if until else str(error)


def remedy(name: str, where: str, error: ProviderError) -> str:
    """Return what helps against a failure of a provider, of which `where` is the address."""
    if _is_rate_limit(error):
        return (
            f"nothing: {KEEPS_TRYING}. If it happens often, another program uses the same key or "
            "IP address"
        )
    if error.status == 451:
        return f"{_use_another(name)}: this one does not serve your region"
    if error.refused:
        return _refused(name)
    if error.status is not None and error.status >= 500:
        return f"nothing, the provider has a problem: {KEEPS_TRYING}"
    if not where:
        return f"check the source that it reads, and the settings {_variables(name, ALL)}"
    return _unreadable(name, where, list(_causes(error)))


def try_by_hand(where: str) -> str:
    """Return how to check whether this machine can reach an address."""
    return f"check whether this machine can reach it: curl -v {where}" if where else KEEPS_TRYING


def origin(address: str) -> str:
    """Return scheme, host and port of an address, without the password in it."""
    return f"{urlsplit(address).scheme}://{host(address)}"


def _is_rate_limit(error: ProviderError) -> bool:
    if error.status is not None:
        return error.status in RATE_LIMITED
    return error.retry_after is not None or LIMIT.search(str(error)) is not None


def _moment_in(seconds: float) -> str:
    when = datetime.now(UTC) + timedelta(seconds=seconds)
    form = "%H:%M:%S" if seconds < 86_400 else "%Y-%m-%d %H:%M"
    return f"{when:{form}} UTC ({span(seconds)} from now)"


def _refused(name: str) -> str:
    if keys := _variables(name, KEYS, " or "):
        return (
            f"correct {keys}, and restart the feed: the key is wrong or revoked, or its plan is "
            "too small"
        )
    return f"{_use_another(name)}: this one refuses your machine"


def _use_another(name: str) -> str:
    return f"use another provider, or another address ({_variables(name, ADDRESSES)})"


def _unreadable(name: str, where: str, causes: list[BaseException]) -> str:
    variables = _variables(name, ADDRESSES)
    if any(isinstance(each, socket.gaierror | UnicodeError) for each in causes):
        return (
            f"check whether this machine can look up the name: getent hosts {host(where)}. "
            f"If the name is wrong, correct {variables}"
        )
    if any(isinstance(each, ssl.SSLError) for each in causes):
        return f"check this machine's clock and certificates: curl -v {where}"
    if any(isinstance(each, OSError) for each in causes):  # a timeout is an OSError, too
        return f"{try_by_hand(where)} (the feed ignores the proxy settings of the environment)"
    return (
        f"check what the provider answers: curl -v {where}. "
        f"If the address is wrong, correct {variables}"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _causes(each)
        error = error.__cause__ or error.__context__


def _variables(name: str, options: re.Pattern[str], between: str = ", ") -> str:
    names = filter(options.search, provider_class(name).option_names())
    return between.join(f"{name}_{option}".upper() for option in names)
