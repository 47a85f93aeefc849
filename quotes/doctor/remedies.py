"""What to do about a provider that failed, by how it failed."""

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
GOES_ON = "the feed goes on trying, and asks the next provider meanwhile"


def words_of(error: ProviderError) -> str:
    """Word a failure, with the time until which the source wants to be left alone."""
    until = "" if error.retry_after is None else f" until {_moment_in(error.retry_after)}"
    if _is_rate_limit(error):
        return f"rate limited{until}: {error}"
    return f"{error}; it is not to be asked{until}" if until else str(error)


def remedy(name: str, where: str, error: ProviderError) -> str:
    """Say what helps against a failure of the provider of that name, which is at an address."""
    if _is_rate_limit(error):
        return f"nothing: {GOES_ON}. Often, it means that others ask with this key or address"
    if error.status == 451:
        elsewhere = _variables(name, ADDRESSES)
        return f"it serves no visitors from here: take another provider, or address ({elsewhere})"
    if error.refused:
        return _refused(name)
    if error.status is not None and error.status >= 500:
        return f"the fault is theirs: {GOES_ON}"
    if not where:
        return f"look at what it reads, and at {_variables(name, ALL)}"
    return _unreadable(name, where, list(_causes(error)))


def by_hand(where: str) -> str:
    """Say how to see whether this machine reaches an address."""
    return f"see whether this machine reaches it: curl -v {where}" if where else GOES_ON


def origin(address: str) -> str:
    """Return scheme, host and port of an address, without the password it may carry."""
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
    if keys := _variables(name, KEYS):
        return f"the key is wrong, withdrawn, or of too small a plan: set {keys}, restart the feed"
    elsewhere = _variables(name, ADDRESSES)
    return f"it turns this machine away: take another provider, or address ({elsewhere})"


def _unreadable(name: str, where: str, causes: list[BaseException]) -> str:
    elsewhere = _variables(name, ADDRESSES)
    if any(isinstance(each, socket.gaierror | UnicodeError) for each in causes):
        return f"ask the name server: getent hosts {host(where)}; or correct {elsewhere}"
    if any(isinstance(each, ssl.SSLError) for each in causes):
        return f"look at this machine's clock and certificates: curl -v {where}"
    if any(isinstance(each, OSError) for each in causes):  # one that is late, too
        return f"{by_hand(where)} (the feed uses no proxy of the environment)"
    return f"see what it answers: curl -v {where}; if that is another's, correct {elsewhere}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _causes(each)
        error = error.__cause__ or error.__context__


def _variables(name: str, options: re.Pattern[str]) -> str:
    names = filter(options.search, provider_class(name).option_names())
    return ", ".join(f"{name}_{option}".upper() for option in names)
