"""REST over httpx for the providers: they receive JSON, or raise ProviderError.

This is the only module that imports httpx.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from quotes.providers.kit.budgets import Budget, Plan
from quotes.providers.kit.errors import ProviderError
from quotes.quote.values import loads

AGENT = "quoteboard"
MAX_BYTES = 2 * 2**20  # of one answer, unless the provider has longer ones
MAX_BYTES_OF_ERROR = 2**16
REFUSED = (401, 403, 451)
JSON_NAMES = {
    dict: "a JSON object",
    list: "a JSON list",
    str: "a JSON string",
    bool: "a JSON boolean",
    type(None): "null",
}
MIN_RETRY_AFTER, MAX_RETRY_AFTER = 1.0, 3600.0  # seconds, for any value of the header
# The last two come from anyio, and for an invalid name of a host.
BROKEN = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    OSError,
    ExceptionGroup,
    UnicodeError,
    zlib.error,
)


@cache
def known_authorities() -> ssl.SSLContext:
    """Return the certificates that all clients trust; reading them takes 40 ms of processor."""
    return httpx.create_ssl_context(trust_env=False)


class NotFoundError(ProviderError):
    """Raised when a source has nothing at the requested address (404)."""


class Client:
    """Sends requests to one source, with a deadline for the complete answer."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float = 10.0,  # seconds
        headers: Mapping[str, str] | None = None,
        budget: Budget | None = None,
        used: str = "",  # the header with the source's own count of this minute
        max_bytes: int = MAX_BYTES,  # of an answer, unpacked
    ) -> None:
        self.base_url = address(base_url, "http", "https")
        self.timeout = timeout
        self.headers = {
            "User-Agent": AGENT,
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            **(headers or {}),
        }
        self.budget, self.used = budget or Budget(Plan()), used
        self.max_bytes = max_bytes
        self.ahead: float | None = None  # seconds that the source's clock is ahead of ours, roughly
        self._client: httpx.AsyncClient | None = None

    async def get(
        self, path: str, params: Mapping[str, str | int] | None = None, cost: int = 1
    ) -> Any:
        """Return the JSON at a path, with fractions as Decimals, or raise ProviderError.

        Wait until the budget allows a request of this cost.
        """
        what = f"{host(self.base_url)}{path}"
        await self.budget.spend(cost)
        try:
            async with asyncio.timeout(self.timeout):
                body = await self._read(what, path, params)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise timeout_error(what, self.timeout) from error
        except httpx.LocalProtocolError:
            # Its message quotes the invalid header, which may be the key.
            raise ProviderError(f"{what} could not be read: a header is not valid") from None
        except BROKEN as error:
            raise ProviderError(f"{what} could not be read: {cause(error)}") from error
        return parsed(what, body)

    async def aclose(self) -> None:
        """Close the connections that are kept between requests; the next one opens new ones."""
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
            async for part in _unpacked(response, self.max_bytes + 1):
                body += part
                if len(body) > self.max_bytes:
                    raise ProviderError(f"{what} answered with more than {self.max_bytes} bytes")
                if failed and len(body) > MAX_BYTES_OF_ERROR:
                    break
        if failed:
            error = status_error(what, response.status_code, response.headers.get("Retry-After"))
            with suppress(ProviderError):
                error.body = parsed(what, bytes(body))
            raise error
        return bytes(body)

    def _connected(self) -> httpx.AsyncClient:
        # Made at the first request, because connections belong to the loop that runs then.
        if self._client is None:
            self._client = httpx.AsyncClient(
                headers=self.headers,
                timeout=self.timeout,
                verify=known_authorities(),
                trust_env=False,
                follow_redirects=False,
            )
        return self._client


async def _unpacked(response: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    """Yield an answer unpacked, in parts of at most `limit` bytes: 1 MB may unpack to 1 GB.

    httpx would unpack each part as a whole. Raise zlib.error for an answer that can't be unpacked.
    """
    if response.headers.get("Content-Encoding", "identity") == "identity":
        async for part in response.aiter_raw():
            yield part
        return
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, by its first bytes
    async for part in response.aiter_raw():
        yield inflate.decompress(part, limit)
        while inflate.unconsumed_tail:
            yield inflate.decompress(inflate.unconsumed_tail, limit)


def parsed(what: str, body: bytes) -> Any:
    """Parse the body of an answer; raise ProviderError if it is not JSON."""
    try:
        return loads(body)
    except (ValueError, RecursionError) as error:
        kind = "html" if body.lstrip()[:1] == b"<" else f"{len(body)} bytes"
        raise ProviderError(f"{what} answered with {kind}, not json") from error


def of_kind(kind: type, what: str, body: Any) -> Any:
    """Return a parsed body; raise ProviderError if it is of another type."""
    if isinstance(body, kind):
        return body
    given = JSON_NAMES.get(type(body), "a JSON number")
    raise ProviderError(f"{what} answered with {given}, not {JSON_NAMES[kind]}")


def timeout_error(what: str, seconds: float) -> ProviderError:
    """Return the error for an answer that is not complete in time."""
    return ProviderError(f"{what} gave no complete answer within {seconds:g} s")


def status_error(what: str, status: int, retry_after: str | None) -> ProviderError:
    """Return the error for an HTTP status other than 200, with its Retry-After header."""
    phrase = httpx.codes.get_reason_phrase(status).lower()
    message = f"{what} answered {status} {phrase}".rstrip()
    if status == httpx.codes.NOT_FOUND:
        return NotFoundError(message, status=status)
    seconds, refused = read_retry_after(retry_after), status in REFUSED
    return ProviderError(message, retry_after=seconds, refused=refused, status=status)


def read_retry_after(given: str | None) -> float | None:
    """Read a Retry-After header, seconds or a date, as 1 to 3600 seconds from now."""
    seconds = float(given) if given and given.isdecimal() else _seconds_until(given)
    return None if seconds is None else min(max(seconds, MIN_RETRY_AFTER), MAX_RETRY_AFTER)


def _ahead(headers: Mapping[str, str]) -> float | None:
    # A date has no fractions of a second; that of a cached answer may be old.
    until = None if headers.get("Age") else _seconds_until(headers.get("Date"))
    return None if until is None else until + 0.5


def _seconds_until(given: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(given or "")
        # A date without a zone is UTC: RFC 9110 has no other zone.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def address(given: str, *schemes: str, query: bool = False) -> str:
    """Return an address without spaces around it and without its last slash.

    Raise ValueError for an invalid one, without the secrets that it may contain.
    """
    url = given.strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and parts.hostname and parts.port != 0
        usable = usable and not set(" *") & set(parts.netloc) and url.isprintable()
        usable = usable and (query or not set("?#") & set(url))
    except ValueError:
        usable = False
    if not usable:
        allowed = " or ".join(f"{scheme}://host" for scheme in schemes)
        raise ValueError(f"Unexpected address {shown(url)!r}, must be like {allowed}")
    return url.rstrip("/")


def shown(given: str) -> str:
    """Return an address for a message, without its name, password and values of the query.

    It may be invalid: where the password can't be found for sure, only the scheme is left.
    """
    head, query = re.split("[?#]", f"{given}?", maxsplit=1)
    scheme, mark, _ = given.partition("@")[0].partition("://")
    begin = scheme + mark if mark else ""
    if "@" in query:  # a password with ? or #
        return f"{begin}…"
    if "@" in head:
        head = f"{begin}…@{head.rpartition('@')[2]}"
    names = [each.rpartition("=")[0].partition("=")[0] for each in query[:-1].split("&")]
    values = "&".join(f"{name}=…" if name else "…" for name in names)
    return f"{head}?{values}" if query[:-1] else head


def host(url: str) -> str:
    """Return the host and port of an address, without the name and password it may contain."""
    return urlsplit(url).netloc.rpartition("@")[2]


def cause(error: BaseException) -> str:
    """Return the original cause of a failure, in lower case."""
    while deeper := error.__cause__ or error.__context__:
        # An earlier ProviderError is only the context of this failure, not its cause.
        if isinstance(deeper, ProviderError):
            break
        error = deeper
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno).lower()
    words = isinstance(error, OSError) and error.strerror
    return (words or str(error) or type(error).__name__).lower()


def _without_query(record: logging.LogRecord) -> bool:
    # httpx logs every address at INFO, and some sources require the key in the query.
    if isinstance(record.args, tuple):
        record.args = tuple(map(_public, record.args))
    return True


def _public(value: object) -> object:
    return value.copy_with(query=None, userinfo=b"") if isinstance(value, httpx.URL) else value


logging.getLogger("httpx").addFilter(_without_query)
