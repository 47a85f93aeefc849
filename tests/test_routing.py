"""Routing: the pages that may open a socket, and the protection of the whole application."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import sqlite3
import subprocess
import sys
import urllib.error
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from channels.testing import HttpCommunicator
from django.core.asgi import get_asgi_application
from django.urls import re_path, set_script_prefix
from hypothesis import example, given
from hypothesis import strategies as st

from quotes import live
from quotes.models import Board, BoardSymbol, Symbol
from quotes.routing import allowed, live_application, websocket_urlpatterns
from tests.servers import PATIENCE, ROOT, Site, environment, eventually, free_port, site
from tests.sockets import Page, opened

PARTNER = "https://partner.example"
NUMBERS = count(1)


async def is_accepted(
    *origins: str | bytes, host: bytes = b"testserver", scheme: str = "ws", **proxy: bytes
) -> bool:
    """Try to open a socket with these Origin headers; return whether it was accepted.

    `proxy` are headers that a proxy adds: forwarded_host is X-Forwarded-Host.
    """
    from quoteboard.asgi import application

    given = [o.encode("latin1") if isinstance(o, str) else o for o in origins]
    more = [(f"x-{name.replace('_', '-')}".encode(), value) for name, value in proxy.items()]
    headers = [(b"host", host), *((b"origin", origin) for origin in given), *more]
    page = Page(application, "/ws/quotes/", headers=headers)
    page.scope["scheme"] = scheme
    accepted, _ = await page.connect()
    await page.disconnect()
    return accepted


# Origins


@pytest.mark.parametrize(
    "origin",
    ["http://testserver", "https://testserver", "HTTP://TESTSERVER", "http://TestServer", PARTNER],
)
async def test_own_pages_and_listed_partners_may_open_sockets(
    live_parts: Any, settings: Any, origin: str
):
    settings.QUOTES = settings.QUOTES | {"ORIGINS": [PARTNER]}
    assert await is_accepted(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "http://testserver:8001",  # another site on the same machine
        "http://testserver:99999",
        "http://testserver:",
        "http://other.example",
        "http://testserver.evil.example",
        "http://evil.example/testserver",
        "http://testserver@evil.example",
        "http://evil-testserver",
        "null",  # a sandboxed frame
        "",
        "testserver",
        "//testserver",
        "ftp://testserver",
        "file://",
        "http://[::1",
        "http://[testserver]",
        "http://testserver, http://evil.example",
        "http://partner.example",  # listed with https
        "https://partner.example:444",
        "https://partner.example.evil.example",
        "http://testserver\x00",
        "http://\xe9\xff",
    ],
)
async def test_pages_of_other_origins_are_refused_before_the_socket_opens(
    live_parts: Any, settings: Any, origin: str, caplog: pytest.LogCaptureFixture
):
    settings.QUOTES = settings.QUOTES | {"ORIGINS": [PARTNER]}
    caplog.set_level(logging.INFO)
    assert not await is_accepted(origin)
    assert [record.levelname for record in caplog.records] == ["INFO"]


async def test_a_socket_without_an_origin_is_refused(live_parts: Any):
    assert not await is_accepted()


@pytest.mark.parametrize("good_first", [True, False])
async def test_two_origins_are_as_bad_as_the_worse_one(live_parts: Any, good_first: bool):
    pair = ["http://testserver", "http://evil.example"]
    assert not await is_accepted(*(pair if good_first else pair[::-1]))


async def test_a_host_that_is_not_ours_is_refused_with_an_origin_to_match(live_parts: Any):
    # a name that an attacker points at our address: origin and host agree
    assert not await is_accepted("http://evil.example", host=b"evil.example")
    assert not await is_accepted("http://", host=b"")


async def test_any_host_allowed_is_not_any_origin_allowed(live_parts: Any, settings: Any):
    settings.ALLOWED_HOSTS = ["*"]
    assert await is_accepted("http://board.example:8001", host=b"board.example:8001")
    assert not await is_accepted("http://evil.example", host=b"board.example:8001")
    assert not await is_accepted("null", host=b"board.example:8001")


SAME = [  # an origin and a host of the same page
    ("https://q.example", b"q.example:443"),
    ("https://q.example:443", b"q.example"),
    ("http://q.example:80", b"q.example"),
    ("http://q.example", b"q.example:80"),
    ("https://Q.Example", b"q.eXample"),
    ("https://q.example.", b"q.example"),
    ("https://q.example", b"q.example."),
    ("https://q.example.:8443", b"q.example:8443"),
    ("http://[::1]:8000", b"[::1]:8000"),
    ("http://[::1]", b"[0:0:0:0:0:0:0:1]:80"),
    ("http://127.0.0.1:8000", b"127.0.0.1:8000"),
    ("https://a-b.q.example", b"a-b.q.example"),
]
DIFFERENT = [
    ("http://q.example", b"q.example:443"),
    ("https://q.example", b"q.example:80"),
    ("https://q.example:8443", b"q.example"),
    ("https://q.example", b"q.example:8443"),
    ("https://q.example..", b"q.example"),
    ("https://q.example", b"q.example.."),
    ("https://q.example:0443", b"q.example:8443"),
    ("https://q.example:0", b"q.example:0"),
    ("https://q.example:65979", b"q.example:443"),  # 443 in 16 bits
    ("https://user@q.example", b"q.example"),
    ("https://q.example/", b"q.example"),
    ("https://*.q.example", b"a.q.example"),
    ("wss://q.example", b"q.example"),
    ("null", b"null"),
    ("http://[::1]:8000", b"[::2]:8000"),
    ("http://[::1%25lo]", b"[::1]"),
    ("http://\u212aq.example".encode(), b"kq.example"),  # the sign of kelvin, in small letters a k
]


async def test_origins_are_compared_as_browsers_mean_them(live_parts: Any, settings: Any):
    settings.ALLOWED_HOSTS = [".q.example", "127.0.0.1", "[::1]", "[0:0:0:0:0:0:0:1]", "kq.example"]
    assert [pair for pair in SAME if not await is_accepted(pair[0], host=pair[1])] == []
    assert [pair for pair in DIFFERENT if await is_accepted(pair[0], host=pair[1])] == []


async def test_a_listed_origin_is_compared_in_the_same_way(live_parts: Any, settings: Any):
    settings.QUOTES = settings.QUOTES | {
        "ORIGINS": ["https://a.example:443", "http://b.example.", "app://localhost"]
    }
    for origin in ("https://a.example", "http://B.example:80", "app://localhost"):
        assert await is_accepted(origin), origin
    for origin in ("http://a.example", "https://b.example", "app://localhost:80"):
        assert not await is_accepted(origin), origin


async def test_a_forwarded_host_counts_where_it_counts_for_pages(live_parts: Any, settings: Any):
    settings.ALLOWED_HOSTS = ["q.example", "inside"]
    proxied = {"host": b"inside:8001", "forwarded_host": b"q.example"}
    assert not await is_accepted("https://q.example", **proxied)
    assert await is_accepted("http://inside:8001", **proxied)
    settings.USE_X_FORWARDED_HOST = True
    assert await is_accepted("https://q.example", **proxied)
    assert not await is_accepted("http://inside:8001", **proxied)
    assert await is_accepted("http://inside:8001", host=b"inside:8001")
    for false in (b"evil.example", b"q.example,evil.example", b"q.example/", b""):
        evil = proxied | {"forwarded_host": false}
        assert not await is_accepted("https://evil.example", **evil), false


async def test_a_forwarded_port_counts_where_it_counts_for_pages(live_parts: Any, settings: Any):
    proxied = {"forwarded_port": b"8443"}
    assert not await is_accepted("https://testserver:8443", **proxied)
    settings.USE_X_FORWARDED_PORT = True
    assert await is_accepted("https://testserver:8443", **proxied)
    assert not await is_accepted("https://testserver", **proxied)
    assert await is_accepted("https://testserver:9443", host=b"testserver:9443", **proxied)
    for false in (b"x", b"1:2", b"99999", b"443/", b"\xb2"):
        assert not await is_accepted("https://testserver", forwarded_port=false), false


async def test_pages_without_tls_are_foreign_where_the_site_has_it(live_parts: Any, settings: Any):
    assert not await is_accepted("http://testserver", scheme="wss")
    assert await is_accepted("https://testserver", scheme="wss")
    forwarded = {"forwarded_proto": b"https"}
    assert await is_accepted("http://testserver", **forwarded)  # a visitor could send it
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert not await is_accepted("http://testserver", **forwarded)
    assert await is_accepted("https://testserver", **forwarded)
    assert await is_accepted("http://testserver", forwarded_proto=b"http")


@given(origin=st.text(max_size=40), host=st.text(max_size=40))
@example(origin="http://[", host="[")
@example(origin="http://[::1]:x", host="[::1]:x")
@example(origin="http://℀", host="℀")
@example(origin="http://evil.example", host="evil.example")
@example(origin="http://[::1", host="testserver")
@example(origin="http://testserver:" + "9" * 30, host="testserver")
def test_no_origin_and_no_host_can_upset_the_check(origin: str, host: str):
    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    scope = {"type": "websocket", "path": "/ws/quotes/", "query_string": b"", "headers": headers}
    assert allowed(origin, scope) is False


# Addresses and prefixes


def addresses(page: str) -> list[str]:
    """Everything that a page makes its browser load."""
    return re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="([^"]*)"', page)


class UntouchedSite(Site):
    """The site as a process without any request yet."""

    def answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended:\n{self.log.read_text()[-3000:]}")
        with socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True


@contextmanager
def untouched(folder: Path, template: Path, server: str) -> Iterator[Site]:
    (folder / "site.sqlite3").write_bytes(template.read_bytes())
    running = UntouchedSite(folder, server)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.mark.server
def test_the_first_visitor_cannot_choose_where_scripts_come_from_for_all_others(
    tmp_path: Path, few_symbols: Path
):
    with untouched(tmp_path, few_symbols, "daphne") as running:
        poisoned = running.get("/", **{"Daphne-Root-Path": "//evil.example"})
        for page in (poisoned, running.get("/"), running.get("/boards/crypto/")):
            assert addresses(page)
            assert all(each.startswith(("/static/", "/scripts/")) for each in addresses(page))
            assert "evil.example" not in page
        script = "/x%22%3E%3Cscript%3E"
        assert "<script>" not in running.get("/", **{"Daphne-Root-Path": script})


@pytest.mark.server
def test_headers_that_proxies_set_change_no_address_and_a_false_host_is_refused(
    tmp_path: Path, few_symbols: Path
):
    with site(tmp_path, few_symbols, "daphne") as running:
        foreign = {
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Prefix": "//evil.example",
            "X-Script-Name": "//evil.example",
            "Script-Name": "//evil.example",
        }
        assert "evil.example" not in running.get("/", **foreign)
        with pytest.raises(urllib.error.HTTPError) as refused:
            running.get("/", Host="evil.example")
        assert refused.value.code == 400
        refused.value.close()


async def test_a_prefix_from_the_server_is_ignored_and_one_from_the_settings_is_used(
    live_parts: Any, settings: Any
):
    from quotes.routing import with_live_parts

    seen = []

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope["root_path"])

    wrapped = with_live_parts(application)
    await wrapped({"type": "http", "path": "/", "root_path": "//evil.example"}, None, None)
    settings.FORCE_SCRIPT_NAME = "/market"
    await wrapped({"type": "http", "path": "/", "root_path": "//evil.example"}, None, None)
    assert seen == ["", "/market"]


@pytest.fixture
async def prefix(settings: Any) -> AsyncIterator[None]:
    """The prefix /market, for live parts that start after it."""
    settings.FORCE_SCRIPT_NAME, settings.STATIC_URL = "/market", "/market/static/"
    yield
    set_script_prefix("/")


@pytest.fixture
async def below_market(prefix: None, live_parts: Any) -> str:
    """The site below /market, with a symbol whose link no other test has made: its code."""
    code = f"BELOW{next(NUMBERS)}-USD"
    symbol = await Symbol.objects.acreate(code=code, name="Below", kind="crypto")
    board = await Board.objects.acreate(slug="crypto", title="Crypto")
    await BoardSymbol.objects.acreate(board=board, symbol=symbol)
    await live_parts.reload()
    return code


async def fetch(path: str) -> tuple[int, str, str]:
    """Fetch a page in this process; return its status, its text, and where it redirects to."""
    from quoteboard.asgi import application

    request = HttpCommunicator(application, "GET", path, headers=[(b"host", b"testserver")])
    request.scope["client"] = ("127.0.0.1", 1)
    answer = await request.get_response(PATIENCE)
    await request.wait(PATIENCE)
    places = [value.decode() for name, value in answer["headers"] if name == b"Location"]
    return answer["status"], answer["body"].decode(), "".join(places)


# A proxy may pass the prefix on or remove it, and monitors ask the process itself.
PASSED_ON = ["/market", ""]


@pytest.mark.parametrize("passed_on", PASSED_ON)
async def test_all_addresses_of_a_page_below_a_prefix_begin_with_it(
    below_market: str, passed_on: str
):
    symbol = f"/symbols/{below_market}/"
    for path in ("/", "/boards/crypto/", symbol, f"/embed/quotes/?symbols={below_market}"):
        status, page, _ = await fetch(passed_on + path)
        assert status == 200
        found = re.findall(r' (?:href|src|action|hx-get|hx-ws:connect)="([^"#?][^"]*)"', page)
        assert [each for each in found if each.startswith("/market/ws/")], path
        ours = ("/market/", "http://testserver/market/", "https://")
        assert [each for each in found if not each.startswith(ours)] == []
    status, answer, _ = await fetch(f"{passed_on}/live/?board=crypto")
    assert 'hx-ws:connect="/market/ws/boards/crypto/' in answer


@pytest.mark.parametrize("passed_on", PASSED_ON)
async def test_redirects_and_probes_below_a_prefix(
    below_market: str, settings: Any, passed_on: str
):
    for path, place in {
        "/boards/crypto": "/market/boards/crypto/",
        "/admin/": "/market/admin/login/?next=/market/admin/",
    }.items():
        assert (await fetch(passed_on + path))[::2] in ((301, place), (302, place))
    assert (await fetch(f"{passed_on}/healthz"))[0] == 200
    assert "quotes_sockets" in (await fetch(f"{passed_on}/metrics"))[1]
    settings.QUOTES = settings.QUOTES | {"METRICS_FROM": []}
    assert (await fetch(f"{passed_on}/metrics"))[0] == 404
    # of another site behind the same proxy
    assert (await fetch("/marketing/"))[0] == 404
    assert (await fetch("/market"))[::2] == (301, "/market/")


@pytest.mark.parametrize("passed_on", PASSED_ON)
async def test_a_socket_below_a_prefix_opens_and_its_messages_have_the_prefix(
    below_market: str, passed_on: str
):
    page, message = await opened(f"{passed_on}/ws/quotes/?symbols={below_market}")
    assert f'href="/market/symbols/{below_market}/"' in message
    await page.disconnect()


# A site with sockets of its own


class Echo(AsyncWebsocketConsumer):
    """A socket of the site, which sends back what it receives."""

    async def receive(self, text_data: str = "", bytes_data: bytes = b"") -> None:
        await self.send(text_data.upper())


CHAT = re_path(r"^ws/chat/$", Echo.as_asgi())
PAGES = get_asgi_application()
SITES = {  # with live parts around, or our sockets in a router of its own
    "around": lambda: live_application(
        ProtocolTypeRouter({"http": PAGES, "websocket": URLRouter([CHAT])})
    ),
    "around layers": lambda: live_application(
        ProtocolTypeRouter(
            {"http": PAGES, "websocket": AllowedHostsOriginValidator(URLRouter([CHAT]))}
        )
    ),
    "by hand": lambda: ProtocolTypeRouter(
        {"http": PAGES, "websocket": URLRouter([CHAT, *websocket_urlpatterns])}
    ),
    "both": lambda: live_application(
        ProtocolTypeRouter({"websocket": URLRouter([*websocket_urlpatterns, CHAT])})
    ),
}
every_site = pytest.mark.parametrize("make", SITES.values(), ids=SITES)


def knocking(application: Any, place: str, origin: str = "http://testserver") -> Page:
    """Return a socket of an application that is not open yet, from a server that sends texts."""
    headers = [(b"host", b"testserver"), (b"origin", origin.encode())]
    page = Page(application, place, headers=headers)
    page.scope |= {"client": ("192.0.2.1", 1), "extensions": {"websocket.http.response": {}}}
    return page


async def refusal(page: Page) -> int:
    """Return the status with which a socket is refused."""
    await page.send_input({"type": "websocket.connect"})
    start = await page.receive_output()
    assert start["type"] == "websocket.http.response.start"
    return start["status"]


@every_site
async def test_the_sockets_of_a_site_work_beside_ours(live_parts: Any, make: Any):
    application = make()
    chat, ours = (knocking(application, each) for each in ("/ws/chat/", "/ws/quotes/"))
    assert (await chat.connect())[0]
    assert (await ours.connect())[0]
    await chat.send_to("hello")
    assert await chat.receive_from() == "HELLO"
    for page in (chat, ours):
        await page.disconnect()


@every_site
async def test_pages_of_other_origins_are_refused_in_every_router(live_parts: Any, make: Any):
    assert await refusal(knocking(make(), "/ws/quotes/", "http://evil.example")) == 403


@every_site
async def test_only_our_sockets_count_against_our_limits(live_parts: Any, settings: Any, make: Any):
    settings.QUOTES = settings.QUOTES | {"MAX_SOCKETS_PER_ADDRESS": 1}
    application = make()
    places = ("/ws/chat/", "/ws/chat/", "/ws/quotes/")
    pages = [knocking(application, place) for place in places]
    assert [(await page.connect())[0] for page in pages] == [True, True, True]
    assert await refusal(knocking(application, "/ws/quotes/")) == 429
    for page in pages:
        await page.disconnect()


@pytest.mark.parametrize(
    "application",
    [
        PAGES,
        ProtocolTypeRouter({"http": PAGES}),
        ProtocolTypeRouter({"websocket": URLRouter([CHAT])}),
        ProtocolTypeRouter({"websocket": AuthMiddlewareStack(URLRouter([CHAT]))}),
    ],
    ids=["Django", "no sockets", "other sockets", "other sockets with sessions"],
)
async def test_an_address_that_nobody_knows_is_refused(live_parts: Any, application: Any):
    assert await refusal(knocking(live_application(application), "/ws/nowhere/")) == 404


async def test_an_error_of_a_sites_own_socket_stays_its_own(live_parts: Any):
    async def broken(scope: dict[str, Any], receive: Any, send: Any) -> None:
        raise ValueError("of the site")

    router = ProtocolTypeRouter({"websocket": URLRouter([re_path("^ws/chat/", broken)])})
    page = knocking(live_application(router), "/ws/chat/")
    await page.send_input({"type": "websocket.connect"})
    with pytest.raises(ValueError, match="of the site"):
        await page.wait(PATIENCE)


# Start and stop


async def test_the_live_parts_start_and_stop_with_the_lifespan_of_a_server(
    transactional_db: None, settings: Any
):
    from quoteboard.asgi import application  # which would refuse what is set next

    settings.QUOTES = settings.QUOTES | {"FEED": "external"}
    server = ApplicationCommunicator(application, {"type": "lifespan"})
    await server.send_input({"type": "lifespan.startup"})
    assert await server.receive_output(5) == {"type": "lifespan.startup.complete"}
    assert live.current() is not None
    await server.send_input({"type": "lifespan.shutdown"})
    assert await server.receive_output(5) == {"type": "lifespan.shutdown.complete"}
    assert live.current() is None
    await server.wait()


class Pool:
    """An application with a lifespan of its own, which may fail."""

    def __init__(self, start: str = "complete") -> None:
        self.start, self.states = start, ["closed"]

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        for what, state in ((f"startup.{self.start}", "open"), ("shutdown.complete", "closed")):
            await receive()
            self.states.append(state)
            await send({"type": f"lifespan.{what}"})


async def test_a_site_keeps_the_lifespan_of_its_own_application(live_parts: Any):
    await live.stop()
    pool = Pool()
    server = ApplicationCommunicator(live_application(pool), {"type": "lifespan"})
    for what, is_open in (("startup", True), ("shutdown", False)):
        await server.send_input({"type": f"lifespan.{what}"})
        assert await server.receive_output(5) == {"type": f"lifespan.{what}.complete"}
        assert (pool.states[-1] == "open") == (live.current() is not None) == is_open
    assert pool.states == ["closed", "open", "closed"]
    await server.wait()


async def test_a_site_that_can_t_start_does_not_start_the_live_parts(live_parts: Any):
    await live.stop()
    application = live_application(Pool(start="failed"))
    server = ApplicationCommunicator(application, {"type": "lifespan"})
    await server.send_input({"type": "lifespan.startup"})
    assert await server.receive_output(5) == {"type": "lifespan.startup.failed"}
    assert live.current() is None


async def test_a_crowd_at_the_start_starts_the_live_parts_once(
    transactional_db: None, settings: Any
):
    settings.QUOTES = settings.QUOTES | {"FEED": "external"}
    parts = await asyncio.gather(*(live.ensure_started() for _ in range(50)))
    assert len(set(map(id, parts))) == 1
    await live.stop()


PLAIN = {
    "uvicorn": ["uvicorn", "quoteboard.asgi:application", "--port"],
    "daphne": ["daphne", "quoteboard.asgi:application", "-p"],
}


@pytest.mark.server
@pytest.mark.parametrize("command", PLAIN.values(), ids=PLAIN)
def test_a_server_without_checks_does_not_start_with_invalid_settings_and_shows_why(
    command: list[str],
):
    output = subprocess.run(
        [sys.executable, "-m", *command, str(free_port())],
        env=environment(QUOTES_PROVIDERS="coinbse"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert output.returncode != 0
    assert output.stderr.splitlines()[-1].startswith(
        "django.core.exceptions.ImproperlyConfigured: Unknown provider 'coinbse', must be one of:"
    )


@pytest.mark.server
def test_under_uvicorn_the_feed_runs_before_the_first_request(
    tmp_path: Path, database_template: Path
):
    with untouched(tmp_path, database_template, "uvicorn") as running:

        def written() -> int:
            database = sqlite3.connect(running.folder / "site.sqlite3")
            with closing(database):
                return database.execute("SELECT count(*) FROM quotes_lastquote").fetchone()[0]

        assert eventually(written, "last quotes stand in the database") > 100
        assert "No price" not in running.get("/boards/crypto/")
