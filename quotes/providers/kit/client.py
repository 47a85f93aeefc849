"""REST over httpx for the providers: JSON comes back, or ProviderError is raised.

This is the only module that imports httpx.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from quotes.providers.kit.budgets import Budget, Plan
from quotes.providers.kit.errors import ProviderError
from quotes.quote import loads

AGENT = "quoteboard"
MAX_BYTES = 8 * 2**20  # of one answer
MAX_BYTES_OF_ERROR = 2**16
REFUSED = (401, 403, 451)
MIN_RETRY_AFTER, MAX_RETRY_AFTER = 1.0, 3600.0  # seconds, whatever Retry-After says
# The last two come from anyio, and for a host that no resolver takes.
BROKEN = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    OSError,
    ExceptionGroup,
    UnicodeError,
)


class NotFoundError(ProviderError):
    """Raised when a source has nothing at the address that was asked (404)."""


class Client:
    """Asks one source, with one deadline for the whole of each answer."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float = 10.0,  # seconds
        headers: Mapping[str, str] | None = None,
        budget: Budget | None = None,
        used: str = "",  # the header that tells what was spent in this minute
    ) -> None:
        self.base_url = address(base_url, "http", "https")
        self.timeout = timeout
        self.headers = {"User-Agent": AGENT, "Accept": "application/json", **(headers or {})}
        self.budget, self.used = budget or Budget(Plan()), used
        self.ahead: float | None = None  # seconds that the source's clock is before ours, or so
        self._client: httpx.AsyncClient | None = None

    async def get(
        self, path: str, params: Mapping[str, str | int] | None = None, cost: int = 1
    ) -> Any:
        """Return the JSON at a path, with Decimals for fractions; raise ProviderError.

        It waits until the budget allows a request of this cost.
        """
        what = f"{host(self.base_url)}{path}"
        await self.budget.spend(cost)
        try:
            async with asyncio.timeout(self.timeout):
                body = await self._read(what, path, params)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise late(what, self.timeout) from error
        except httpx.LocalProtocolError:
            # Its words quote the header that is wrong, which may be the key: not a word of it.
            raise ProviderError(f"{what} can't be asked: a header is not valid") from None
        except BROKEN as error:
            raise ProviderError(f"{what} could not be read: {cause(error)}") from error
        return parsed(what, body)

    async def aclose(self) -> None:
        """Close the connections that are kept between calls."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _read(self, what: str, path: str, params: Mapping[str, str | int] | None) -> bytes:
        url, body = f"{self.base_url}{path}", bytearray()
        async with self._connected().stream("GET", url, params=params) as response:
            self.ahead = _ahead(response.headers)
            if (used := response.headers.get(self.used, "")).isdecimal():
                self.budget.read_minute(int(used))
            failed = response.status_code != httpx.codes.OK
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MAX_BYTES:
                    raise ProviderError(f"{what} answered with more than {MAX_BYTES} bytes")
                if failed and len(body) > MAX_BYTES_OF_ERROR:
                    break
        if failed:
            error = status_error(what, response.status_code, response.headers.get("Retry-After"))
            with suppress(ProviderError):
                error.body = parsed(what, bytes(body))
            raise error
        return bytes(body)

    def _connected(self) -> httpx.AsyncClient:
        # Not before the first call: the connections belong to the loop that is running then.
        if self._client is None:
            self._client = httpx.AsyncClient(
                headers=self.headers,
                timeout=self.timeout,
                trust_env=False,
                follow_redirects=False,
            )
        return self._client


def parsed(what: str, body: bytes) -> Any:
    """Parse the body of an answer; raise ProviderError for what is no JSON."""
    try:
        return loads(body)
    except (ValueError, RecursionError) as error:
        kind = "html" if body.lstrip()[:1] == b"<" else f"{len(body)} bytes"
        raise ProviderError(f"{what} answered with {kind} that is no json") from error


def of_kind(kind: type, what: str, body: Any) -> Any:
    """Return a parsed body; raise ProviderError where it is of another kind, say no list."""
    if isinstance(body, kind):
        return body
    given = type(body).__name__
    raise ProviderError(f"{what} answered with a {given}, not a {kind.__name__}")


def late(what: str, seconds: float) -> ProviderError:
    """Tell that nothing, or not all, came in time."""
    return ProviderError(f"{what} gave no full answer within {seconds:g} s")


def status_error(what: str, status: int, given: str | None) -> ProviderError:
    """Tell what an HTTP status other than 200 means; `given` is its Retry-After."""
    phrase = httpx.codes.get_reason_phrase(status).lower()
    message = f"{what} answered {status} {phrase}".rstrip()
    if status == httpx.codes.NOT_FOUND:
        return NotFoundError(message, status=status)
    refused = status in REFUSED
    return ProviderError(message, retry_after=retry_after(given), refused=refused, status=status)


def retry_after(given: str | None) -> float | None:
    """Read a Retry-After header, seconds or a date, as 1 to 3600 seconds from now."""
    seconds = float(given) if given and given.isdecimal() else _seconds_until(given)
    return None if seconds is None else min(max(seconds, MIN_RETRY_AFTER), MAX_RETRY_AFTER)


def _ahead(headers: Mapping[str, str]) -> float | None:
    # A date is cut to whole seconds; that of a kept answer may be of any time.
    until = None if headers.get("Age") else _seconds_until(headers.get("Date"))
    return None if until is None else until + 0.5


def _seconds_until(given: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(given or "")
        # A date without a zone is UTC: RFC 9110 knows no other.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def address(given: str, *schemes: str) -> str:
    """Return an address without its last slash; raise ValueError for one that is of no use."""
    try:
        parts = urlsplit(given)
        usable = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        allowed = " or ".join(f"{scheme}://host" for scheme in schemes)
        raise ValueError(f"Unexpected address {given!r}, must be like {allowed}")
    return given.rstrip("/")


def host(url: str) -> str:
    """Return where an address points to, without the name and password it may carry."""
    return urlsplit(url).netloc.rpartition("@")[2]


def cause(error: BaseException) -> str:
    """Say in lower case what lies at the bottom of a failure."""
    while deeper := error.__cause__ or error.__context__:
        # What an earlier failure left behind is not the cause of this one.
        if isinstance(deeper, ProviderError):
            break
        error = deeper
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno).lower()
    words = isinstance(error, OSError) and error.strerror
    return (words or str(error) or type(error).__name__).lower()


def _without_query(record: logging.LogRecord) -> bool:
    # httpx logs every address at INFO, and some sources want their key in the query.
    if isinstance(record.args, tuple):
        record.args = tuple(map(_public, record.args))
    return True


def _public(value: object) -> object:
    return value.copy_with(query=None, userinfo=b"") if isinstance(value, httpx.URL) else value


logging.getLogger("httpx").addFilter(_without_query)
