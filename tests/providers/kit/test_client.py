from __future__ import annotations

import asyncio
import gzip
import logging
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotes.providers import ProviderError
from quotes.providers.kit.client import (
    MAX_BYTES,
    MAX_RETRY_AFTER,
    MIN_RETRY_AFTER,
    Client,
    address,
    host,
    read_retry_after,
)
from tests.servers import PATIENCE, until
from tests.stubs.exchange import settle

HTTP = Path(__file__).parents[3] / "quotes" / "providers"


class Source:
    """A server that answers each request with the same bytes, and keeps the requests."""

    def __init__(self, sent: bytes, *, hangs: bool = False, drips: bool = False) -> None:
        self.sent, self.hangs, self.drips = sent, hangs, drips
        self.requests: list[str] = []
        self.url = ""
        self.done = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(self.sent)
            while self.drips and not writer.is_closing():
                writer.write(b" ")
                await asyncio.sleep(0.01)
            if self.hangs:
                await self.done.wait()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def source(sent: bytes, *, hangs: bool = False, drips: bool = False) -> AsyncIterator[Source]:
    found = Source(sent, hangs=hangs, drips=drips)
    server = await asyncio.start_server(found.connected, "127.0.0.1", 0)
    found.url = "http://{}:{}".format(*server.sockets[0].getsockname())
    try:
        yield found
    finally:
        found.done.set()
        await settle()
        server.close()
        await server.wait_closed()
        await asyncio.gather(*found.tasks)


@asynccontextmanager
async def client(url: str, timeout: float = PATIENCE, **headers: str) -> AsyncIterator[Client]:
    found = Client(url, timeout=timeout, headers=headers)
    try:
        yield found
    finally:
        await found.aclose()


def answer(status: str, body: bytes = b"", *lines: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


async def failure(sent: bytes, *, hangs: bool = False, timeout: float = PATIENCE) -> ProviderError:
    async with source(sent, hangs=hangs) as found, client(found.url, timeout) as rest:
        with pytest.raises(ProviderError) as caught:
            await rest.get("/prices", {"apikey": "hush"})
    assert "/prices" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert str(caught.value) == str(caught.value).lower()
    return caught.value


async def test_no_digit_of_a_price_is_lost() -> None:
    async with (
        source(answer("200 OK", b'{"last": 0.10000000000000000001}')) as found,
        client(found.url) as rest,
    ):
        assert await rest.get("/prices") == {"last": Decimal("0.10000000000000000001")}


async def test_a_request_has_our_agent_and_the_given_headers() -> None:
    async with source(answer("200 OK", b"[]")) as found, client(found.url, key="abc") as rest:
        await rest.get("/prices", {"of": "BTC-USD"})
    assert found.requests[0].startswith("GET /prices?of=BTC-USD HTTP/1.1")
    assert "User-Agent: quoteboard" in found.requests[0]
    assert "key: abc" in found.requests[0]


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        ("400 Bad", False),
        ("401 X", True),
        ("403 X", True),
        ("404 X", False),
        ("418 X", False),
        ("429 X", False),
        ("451 X", True),
        ("500 X", False),
        ("503 X", False),
        ("520 X", False),
        ("204 No Content", False),
    ],
)
async def test_a_status_other_than_200_is_an_error(status: str, refused: bool) -> None:
    error = await failure(answer(status))
    assert f"answered {status[:3]}" in str(error)
    assert error.refused is refused
    assert error.retry_after is None


async def test_retry_after_may_be_a_number_of_seconds() -> None:
    error = await failure(answer("429 Too Many", b"", "Retry-After: 30"))
    assert error.retry_after == 30


async def test_retry_after_may_be_a_date() -> None:
    until = (datetime.now(UTC) + timedelta(seconds=90)).replace(microsecond=0)
    later = format_datetime(until, usegmt=True)
    before = datetime.now(UTC)
    error = await failure(answer("503 Gone Fishing", b"", f"Retry-After: {later}"))
    assert error.retry_after
    assert before <= until - timedelta(seconds=error.retry_after) <= datetime.now(UTC)


def test_a_date_in_the_past_means_the_shortest_back_off() -> None:
    assert read_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == MIN_RETRY_AFTER
    assert read_retry_after("Wed, 21 Oct 2099 07:28:00 GMT") == MAX_RETRY_AFTER
    assert read_retry_after("Wed, 21 Oct 2099 07:28:00") == MAX_RETRY_AFTER


@given(st.none() | st.text() | st.integers().map(str))
def test_any_retry_after_is_bounded(given_: str | None) -> None:
    seconds = read_retry_after(given_)
    assert seconds is None or MIN_RETRY_AFTER <= seconds <= MAX_RETRY_AFTER


async def test_a_redirect_is_not_followed() -> None:
    async with source(answer("200 OK", b"[]")) as elsewhere:
        error = await failure(answer("302 Found", b"", f"Location: {elsewhere.url}/prices"))
    assert "answered 302 found" in str(error)
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>Back soon</html>", "html"),
        (b'{"last": "64', "12 bytes"),
        (b"", "0 bytes"),
        (b"\xff\xfe\x00", "3 bytes"),
        (b"[" * 100_000, "100000 bytes"),
        (b"[" + b"9" * 5000 + b"]", "5002 bytes"),
    ],
)
async def test_an_answer_that_is_not_json_is_an_error(body: bytes, words: str) -> None:
    error = await failure(answer("200 OK", body))
    assert f"answered with {words}, not json" in str(error)


@pytest.mark.parametrize("squeeze", [bytes, gzip.compress])
async def test_a_body_without_end_is_not_read_to_the_end(squeeze: Callable[[bytes], bytes]) -> None:
    body = squeeze(b"[" + b" " * 2 * MAX_BYTES + b"]")
    lines = ["Content-Encoding: gzip"] if squeeze is gzip.compress else []
    error = await failure(answer("200 OK", body, *lines))
    assert f"more than {MAX_BYTES} bytes" in str(error)


async def test_a_source_with_long_lists_may_send_more() -> None:
    rows = b"[" + b"1, " * MAX_BYTES + b"1]"
    async with source(answer("200 OK", rows)) as found:
        rest = Client(found.url, timeout=PATIENCE, max_bytes=4 * MAX_BYTES)
        assert len(await rest.get("/list")) == MAX_BYTES + 1
        await rest.aclose()


async def test_a_small_body_that_unpacks_to_a_huge_one_takes_no_memory() -> None:
    body = gzip.compress(b" " * 8 * MAX_BYTES)
    assert len(body) < MAX_BYTES / 64
    sent = answer("200 OK", body, "Content-Encoding: gzip")
    tracemalloc.start()
    try:
        assert f"more than {MAX_BYTES} bytes" in str(await failure(sent))
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BYTES
    finally:
        tracemalloc.stop()


async def test_a_body_that_ends_too_early_is_an_error() -> None:
    sent = answer("200 OK", b"[1, 2, 3]").replace(b"Length: 9", b"Length: 99")
    assert "could not be read" in str(await failure(sent))


async def test_a_body_with_a_wrong_content_encoding_is_an_error() -> None:
    error = await failure(answer("200 OK", b"[1, 2]", "Content-Encoding: gzip"))
    assert "could not be read" in str(error)


async def test_an_answer_that_is_not_http_is_an_error() -> None:
    assert "could not be read" in str(await failure(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"))


async def test_a_source_that_hangs_up_is_an_error() -> None:
    assert "could not be read" in str(await failure(b""))


@pytest.mark.parametrize("sent", [b"", answer("200 OK", b"[1]").replace(b": 3", b": 9")])
async def test_a_source_that_stops_in_the_middle_is_given_up(sent: bytes) -> None:
    error = await failure(sent, hangs=True, timeout=0.1)
    assert str(error).endswith("gave no complete answer within 0.1 s")


async def test_the_deadline_is_for_the_whole_answer() -> None:
    # A byte from time to time resets the deadline of each single read.
    sent = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"
    async with source(sent, drips=True) as found, client(found.url, 0.2) as rest:
        with pytest.raises(ProviderError, match=r"no complete answer within 0\.2 s"):
            await rest.get("/prices")


async def test_a_refused_connection_is_an_error() -> None:
    async with source(b"") as found:
        pass
    async with client(found.url) as rest:
        with pytest.raises(ProviderError, match="could not be read: connection refused"):
            await rest.get("/prices")


async def test_an_invalid_header_is_an_error_that_does_not_quote_it() -> None:
    async with source(b"") as found, client(found.url, key="hush\n") as rest:
        with pytest.raises(ProviderError, match="a header is not valid") as caught:
            await rest.get("/prices")
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_no_key_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")
    async with (
        source(answer("200 OK", b"[]")) as found,
        client(found.url.replace("//", "//me:hush@")) as rest,
    ):
        await rest.get("/prices", {"apikey": "hush"})
    assert "/prices" in caplog.text
    assert "hush" not in caplog.text


async def test_a_client_can_be_closed_twice_and_used_again() -> None:
    async with source(answer("200 OK", b"[]")) as found:
        rest = Client(found.url)
        await rest.aclose()
        assert await rest.get("/prices") == []
        await rest.aclose()
        await rest.aclose()
        assert await rest.get("/prices") == []
        await rest.aclose()


async def test_a_cancelled_request_ends_at_once() -> None:
    async with source(b"", hangs=True) as found, client(found.url) as rest:
        task = asyncio.create_task(rest.get("/prices"))
        await until(lambda: found.requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_proxy_in_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with source(answer("200 OK", b"[]")) as found, client(found.url) as rest:
        assert await rest.get("/prices") == []


@pytest.mark.parametrize("given_", ["", "example.com", "ftp://x", "http://", "http://x:99999"])
def test_an_invalid_address_is_refused_at_the_start(given_: str) -> None:
    with pytest.raises(ValueError, match=r"Unexpected address .* must be like http://host or"):
        Client(given_)


@pytest.mark.parametrize(
    "given_",
    [
        "htp://me:hush@x",
        "https://me:hush@x:99999",
        "https://me:hush@",
        "me:hush@x",
        "https://me:hu/hush@x y",
        "https://me:hu?hush@x",
        "https://me:hu#hush@x",
        "https://x?token=hush",
        "https://x?hush",
        "https://x#hush",
        "https://x?to=a@hush",
        "https://x y/?a=hush&hush&b=hush=hush",
    ],
)
def test_an_invalid_address_is_refused_without_its_secrets(given_: str) -> None:
    with pytest.raises(ValueError, match="Unexpected address") as refused:
        Client(given_)
    assert "hush" not in str(refused.value)
    assert "…" in str(refused.value)


@pytest.mark.parametrize("given_", ["https://*.x", "https://x y", "https://x\ny", "https://x/?a=1"])
def test_an_address_that_no_request_could_use_is_refused(given_: str) -> None:
    with pytest.raises(ValueError, match="Unexpected address"):
        Client(given_)


@pytest.mark.parametrize(
    ("given_", "public"),
    [
        ("ftp://me:hush@example.com/v3?key=hush&hush", "ftp://…@example.com/v3?key=…&…"),
        ("ftp://example.com?a=hush=hush#hush", "ftp://example.com?a=…"),
        ("me:hush@example.com/v3", "…@example.com/v3"),
        ("https:/me:hush@example.com", "…@example.com"),
        ("hush@https://example.com", "…@https://example.com"),
        ("https://me:hu/sh@example.com", "https://…@example.com"),
        ("https://me:hu?sh@example.com", "https://…"),
        ("https://me:hu#sh@example.com", "https://…"),
        ("https://me:hu@sh?hush@example.com", "https://…"),
        ("https://me:hu://sh@example.com", "https://…@example.com"),
    ],
)
def test_an_invalid_address_is_shown_without_its_secrets(given_: str, public: str) -> None:
    with pytest.raises(ValueError, match=r"^Unexpected address '") as refused:
        address(given_, "wss")
    assert str(refused.value) == f"Unexpected address {public!r}, must be like wss://host"


def test_an_address_ends_without_a_slash() -> None:
    assert address("wss://example.com/feed/", "wss") == "wss://example.com/feed"
    assert address(" https://Example.com/ ", "https") == "https://Example.com"


def test_a_host_is_shown_without_the_name_and_password() -> None:
    assert host("https://me:hush@example.com:8443/v3") == "example.com:8443"


def test_httpx_is_imported_in_one_module() -> None:
    importers = [path.name for path in HTTP.parent.rglob("*.py") if "httpx" in path.read_text()]
    assert importers == ["client.py"]
