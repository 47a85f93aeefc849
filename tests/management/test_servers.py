"""The site under real servers: sockets, crowds, signals, restarts, and the output of commands."""

from __future__ import annotations

import asyncio
import html
import os
import re
import shutil
import signal
import socket
import sqlite3
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from django.core.management.base import OutputWrapper
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from quotes.limits.rarely import LOG_EVERY
from quotes.management import servers
from quotes.management.commands.serve import listen
from tests.clients import end, handshake
from tests.servers import PATIENCE, ROOT, Command, Site, Stub, eventually, free_port, manage, site

pytestmark = pytest.mark.server

RECONNECTS = re.compile(r'"reconnectCodes":\[([\d,]*)\]')


def prices(text: str) -> dict[str, str]:
    """The prices of a page or a message by symbol."""
    found = re.findall(r'data-symbol="([^"]*)".*?<data [^>]*value="([^"]*)"', text, re.DOTALL)
    return dict(found)


def open_socket(running: Site, path: str = "/ws/cryptoupdates/") -> Any:
    given = {"max_size": None, "max_queue": None, "compression": None}  # it always reads
    given |= {"open_timeout": PATIENCE}
    return connect(running.ws + path, origin=running.url, **given)


def move(page: Any, shown: dict[str, str]) -> dict[str, str]:
    """Wait for the first message with another price than is shown."""
    return eventually(
        lambda: {c: last for c, last in prices(page.recv(PATIENCE)).items() if last != shown[c]},
        "a price moves",
    )


def test_the_first_message_of_a_socket_has_everything_and_prices_move(running_site: Site):
    for board in ("/boards/crypto/", "/boards/stock-market/"):
        paper = running_site.get(board)
        address = re.search(r'hx-ws:connect="([^"]*)"', paper)
        assert address
        with open_socket(running_site, html.unescape(address[1])) as page:
            first = page.recv(timeout=PATIENCE)
            assert list(prices(first)) == list(prices(paper))
            assert all(prices(first).values())
            moved = move(page, prices(first))
    later = prices(running_site.get("/boards/stock-market/"))
    assert any(later[code] != prices(paper)[code] for code in moved)


def test_every_address_is_answered_and_foreign_pages_are_not(running_site: Site):
    for path in ("/ws/cryptoupdates/", "/ws/stock-market/", "/ws/boards/crypto/"):
        with open_socket(running_site, path) as page:
            assert len(prices(page.recv(timeout=PATIENCE))) > 50
    with open_socket(running_site, "/ws/quotes/?symbols=AAPL,BTC-USD") as page:
        assert list(prices(page.recv(timeout=PATIENCE))) == ["AAPL", "BTC-USD"]
    for path, origin in (
        ("/ws/cryptoupdates/", "http://evil.example"),
        ("/ws/boards/bonds/", running_site.url),
        ("/ws/nowhere/", running_site.url),
    ):
        with pytest.raises(Exception, match=r"HTTP 40[34]"):
            connect(running_site.ws + path, origin=origin, open_timeout=PATIENCE)
    assert "Traceback" not in running_site.log.read_text()


def test_each_request_is_logged_once_and_the_address_first(running_site: Site):
    before = running_site.log.read_text()
    for path, status in (("/boards/crypto/?from=the-test", 200), ("/no/such/page/", 404)):
        with suppress(HTTPError):
            running_site.get(path)
        found = [line for line in running_site.log.read_text().splitlines() if path in line]
        assert len(found) == 1
        assert str(status) in found[0]
    with open_socket(running_site, "/ws/stock-market/"):
        pass
    log = running_site.log.read_text()
    assert log.startswith(f"Serving on {running_site.url}/. Quit with CONTROL-C.\n")
    assert log.removeprefix(before).count("/ws/stock-market/") <= 1


@pytest.mark.parametrize(
    ("https", "place"),
    [(False, "http://127.0.0.1:80/"), (True, "127.0.0.1:80, behind a proxy that speaks HTTPS")],
)
def test_the_address_is_not_that_of_http_behind_a_proxy(settings: Any, https: bool, place: str):
    settings.SECURE_SSL_REDIRECT = https
    output = StringIO()
    servers.write_address(OutputWrapper(output), "127.0.0.1:80")
    assert output.getvalue() == f"Serving on {place}. Quit with CONTROL-C.\n"


def test_what_one_client_sends_breaks_nothing_for_the_others(running_site: Site):
    with open_socket(running_site) as good:
        shown = prices(good.recv(timeout=PATIENCE))
        for frame in ("garbage", b"\x00\xff", "x" * 5000, "y" * 2_000_000):
            with open_socket(running_site) as bad:
                with suppress(ConnectionClosed):  # it may be cut off while it still sends
                    bad.send(frame)
                if frame != "garbage":
                    end(bad)
        assert move(good, shown)
    with open_socket(running_site) as page:
        assert prices(page.recv(timeout=PATIENCE))
    assert "Traceback" not in running_site.log.read_text()


def test_requests_that_are_refused_cause_few_lines_and_no_traceback(running_site: Site):
    for _ in range(20):
        with closing(HTTPConnection("127.0.0.1", running_site.port)) as connection:
            connection.request("GET", "/", headers={"Host": "evil.example"})
            with connection.getresponse() as answer:
                assert (answer.status, bool(answer.read())) == (400, True)
    log = running_site.log.read_text()
    assert "Traceback" not in log
    assert "Invalid HTTP_HOST header: 'evil.example'" in log
    lines = [line for line in log.splitlines() if "django.security" in line]
    assert len(lines) < 10


def exchange(running: Site, *sent: bytes, enough: bytes = b"\0") -> bytes:
    """Send bytes to a server, and return what it sends until it closes, or has sent enough."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as connection:
        received = b""
        with suppress(ConnectionError):
            for piece in sent:
                connection.sendall(piece)
            while enough not in received and (data := connection.recv(65_536)):
                received += data
        return received


@pytest.mark.parametrize(
    "sent",
    [
        [b"Content-Length: 100000000\r\n\r\n"],  # a body that never comes
        [b"Content-Length: 4194305\r\nExpect: 100-continue\r\n\r\n"],
        [b"Transfer-Encoding: chunked\r\n\r\n", *[b"10000\r\n" + b"x" * 65_536 + b"\r\n"] * 65],
    ],
    ids=["never sent", "asked for", "without a length"],
)
def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    running_site: Site, sent: list[bytes]
):
    line = f"POST /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1:{running_site.port}\r\n"
    words = b"The body of a request may have at most 4,194,304 bytes."
    received = exchange(running_site, line.encode(), *sent, enough=words)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert received.count(b"HTTP/1.1") == 1
    assert received.endswith(words)
    assert 'quotes_refused_total{reason="body"}' in running_site.get("/metrics")
    log = running_site.log.read_text()
    assert "Traceback" not in log
    assert log.count("refused a request from 127.0.0.1") <= 3


def test_a_refused_head_has_no_body(running_site: Site):
    line = f"HEAD /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1:{running_site.port}\r\n"
    received = exchange(
        running_site, line.encode(), b"Content-Length: 100000000\r\n\r\n", enough=b"\r\n\r\n"
    )
    assert received.startswith(b"HTTP/1.1 413 ")
    assert received.endswith(b"\r\n\r\n")


def test_a_body_in_very_small_chunks_is_refused(running_site: Site):
    line = f"POST /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1:{running_site.port}\r\n"
    head = f"{line}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    small, normal = b"1\r\nx\r\n", b"40\r\n" + b"x" * 64 + b"\r\n"
    received = exchange(running_site, head, small * 1100, b"0\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.endswith(b"The body of a request has too many small chunks.")
    assert received.count(b"HTTP/1.1") == 1
    for chunks in (small * 1000, normal * 5000):
        received = exchange(running_site, head, chunks, b"0\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 403 ")  # of the page
    assert "Traceback" not in running_site.log.read_text()


def test_a_body_that_is_just_small_enough_reaches_the_page(running_site: Site):
    body = b"x" * 4 * 1024 * 1024
    head = f"POST /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1:{running_site.port}\r\n"
    head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    assert exchange(running_site, head.encode(), body).startswith(b"HTTP/1.1 403 ")


UNREADABLE = {
    "no request": b"\x16\x03\x01\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost 127.0.0.1\r\n\r\n",
    "a form without a boundary": b"POST /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: multipart/form-data\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_a_server_cannot_read_is_refused_with_the_headers_of_every_answer(
    running_site: Site, kind: str
):
    received = exchange(running_site, UNREADABLE[kind])
    assert re.match(rb"HTTP/1.1 40[03] ", received)
    assert b"default-src 'none'" in received
    assert b"no-store" in received


INVALID = {
    "no key": lambda site: handshake(site).replace(b"Sec-WebSocket-Key", b"X-Key"),
    "another version": lambda site: handshake(site).replace(b"Version: 13", b"Version: 12"),
    "letters of no alphabet": lambda site: handshake(site, "Sec-WebSocket-Protocol: \xe9"),
    "600 headers": lambda site: handshake(site, *(f"X-{n}: 1" for n in range(600))),
    "no request": lambda site: b"\x16\x03\x01\r\n\r\n",
}


@pytest.mark.parametrize("kind", INVALID)
def test_an_invalid_handshake_is_answered_and_is_no_more_than_a_line_in_the_log(
    running_site: Site, kind: str
):
    before = running_site.log.read_text()
    for _ in range(20):
        assert exchange(running_site, INVALID[kind](running_site)).startswith(b"HTTP/1.1 400 ")
    new = running_site.log.read_text().removeprefix(before)
    assert "Traceback" not in new
    assert "ERROR" not in new
    assert len(new.splitlines()) < 10, new


def test_what_uvicorn_cannot_read_as_a_handshake_is_closed_all_the_same(running_site: Site):
    # daphne accepts these
    given = [
        handshake(running_site, *(f"X-{n}: 1" for n in range(140))),
        handshake(running_site, "X-Long: " + "x" * 9000),
        handshake(running_site, "X-Control: a\x01b"),
        handshake(running_site, "Content-Length: 5") + b"hello",
    ]
    if running_site.server == "uvicorn":
        for each in given:
            assert exchange(running_site, each).startswith(b"HTTP/1.1 400 ")
        assert 'quotes_refused_total{reason="handshake"}' in running_site.get("/metrics")


@pytest.mark.parametrize("frame", [b"\x81\x82\0\0\0\0\xff\xfe", b"\x88\x82\0\0\0\0\x03\xe8" * 2])
def test_invalid_text_and_a_second_close_end_a_socket_without_a_traceback(
    running_site: Site, frame: bytes
):
    before = running_site.log.read_text()
    for _ in range(20):
        with open_socket(running_site) as page:
            page.socket.sendall(frame)
            end(page)
    new = running_site.log.read_text().removeprefix(before)
    assert "Traceback" not in new
    assert "ERROR" not in new


def test_refused_sockets_are_a_line_now_and_then_under_each_server(running_site: Site):
    before = running_site.log.read_text()
    foreign = handshake(running_site).replace(b"Origin: ", b"Origin: http://evil.example/")
    for _ in range(50):
        assert exchange(running_site, foreign).startswith(b"HTTP/1.1 403 ")
    new = running_site.log.read_text().removeprefix(before)
    assert len(new.splitlines()) < 20, new


def test_a_server_that_ends_sends_its_pages_away_so_that_they_come_back(running_site: Site):
    # the last of the tests that share it
    listed = RECONNECTS.search(html.unescape(running_site.get("/")))
    assert listed
    codes = {int(code) for code in listed[1].split(",")}
    with ExitStack() as doors:
        pages = [doors.enter_context(open_socket(running_site)) for _ in range(40)]
        for page in pages:
            page.recv(timeout=PATIENCE)
        assert running_site.stop()
        code = {"daphne": 4012, "uvicorn": 1012}[running_site.server]
        ends = {end(page) for page in pages}
        assert code in ends & codes
        assert ends <= {code, 1006}  # daphne drops a socket whose client takes long to answer
    assert "Traceback" not in running_site.log.read_text()


class Narrow(Site):
    """The site, with a limit of open files."""

    def command(self) -> list[str]:
        return ["/bin/sh", "-c", 'ulimit -n 200 && exec "$@"', "sh", *super().command()]


@pytest.fixture
def narrow(tmp_path: Path, few_symbols: Path) -> Iterator[Site]:
    shutil.copy(few_symbols, tmp_path / "site.sqlite3")
    running = Narrow(tmp_path, "uvicorn")
    yield running.start()
    running.stop()


def test_with_few_files_a_server_refuses_sockets_and_serves_pages(narrow: Site):
    began = time.monotonic()
    with ExitStack() as doors:
        pages, refused = [], []
        for _ in range(120):
            try:
                pages.append(doors.enter_context(open_socket(narrow)))
            except InvalidStatus as error:
                refused.append(error.response.status_code)
        assert len(pages) > 20
        assert len(refused) > 20
        assert set(refused) == {503}
        assert "Bitcoin" in narrow.get("/boards/crypto/")
        assert prices(pages[0].recv(timeout=PATIENCE))
    with open_socket(narrow) as page:
        assert prices(page.recv(timeout=PATIENCE))
    log = narrow.log.read_text()
    assert 1 <= log.count("refused a socket") <= 1 + (time.monotonic() - began) // LOG_EVERY
    assert "ERROR" not in log


def is_closed(connection: socket.socket) -> bool:
    """Return whether the other side closed a connection."""
    try:
        return not connection.recv(1000, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_with_few_files_connections_wait_for_room(narrow: Site):
    with ExitStack() as doors:
        idle = [doors.enter_context(socket.socket()) for _ in range(250)]
        for each in idle:
            each.connect(("127.0.0.1", narrow.port))
        idle[0].send(
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nhalf a body"
        )
        eventually(lambda: "others wait" in narrow.log.read_text(), "it is full")
        eventually(lambda: narrow.get("/healthz") == "ok", "those without a request are closed")
        assert any(map(is_closed, idle))
        eventually(lambda: all(map(is_closed, idle)), "all of them are closed")
    log = narrow.log.read_text()
    assert len(log.splitlines()) < 30, log
    assert "Traceback" not in log


# Upstream


@pytest.fixture
def stub() -> Iterator[Stub]:
    running = Stub()
    yield running
    running.stop()


async def newest(page: ClientConnection, last: str) -> None:
    """Wait until a page shows bitcoin at this price."""
    while prices(await page.recv(decode=True)).get("BTC-USD") != last:
        pass


def test_a_connection_sends_at_once_and_waits_for_no_confirmation():
    with (
        listen("127.0.0.1:0", share_port=False) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_serve_on_an_empty_database_ends_with_one_message(tmp_path: Path):
    empty = {"DATABASE_URL": f"sqlite:///{tmp_path / 'empty.sqlite3'}"}
    refused = manage("serve", "127.0.0.1:0", check=False, **empty)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    cause = "no such table: quotes_feedlease: create the tables with  manage.py migrate"
    assert cause in refused.stderr
    assert refused.stderr.endswith("CommandError: The server did not start: see the log above.\n")


def test_serve_without_uvicorn_names_a_command_that_installs_it(tmp_path: Path):
    # as in the environment of `make run`, which has no uvicorn
    (tmp_path / "uvicorn.py").write_text("raise ImportError('No module named uvicorn')")
    path = os.pathsep.join([str(tmp_path), str(ROOT / "site"), str(ROOT)])
    refused = manage("serve", check=False, PYTHONPATH=path)
    assert refused.returncode == 1
    assert "CommandError: uvicorn is missing: install the extra “prod”, with  " in refused.stderr
    words = r"only uvicorn, with  (\S+) -m pip install '(.*)'\n"
    [(python, requirement)] = re.findall(words, refused.stderr)
    assert python == sys.executable
    assert f'"{requirement}",' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_200_visitors_cost_the_exchange_no_more_than_one(
    tmp_path: Path, few_symbols: Path, stub: Stub, server: str
):
    async def visit(running: Site, count: int, last: str) -> None:
        """Open this many sockets, let bitcoin move, and wait until all pages show it."""
        path = f"{running.ws}/ws/cryptoupdates/"
        given = {"origin": running.url, "max_size": None, "open_timeout": PATIENCE}
        doors = [connect_async(path, **given) for _ in range(count)]
        pages = await asyncio.gather(*doors)
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(page.recv() for page in pages))
            await asyncio.to_thread(stub.tick, last)
            await asyncio.gather(*(newest(page, last) for page in pages))
        await asyncio.gather(*(page.close() for page in pages))

    with site(tmp_path, few_symbols, server, **stub.settings) as running:
        eventually(
            lambda: prices(running.get("/symbols/BTC-USD/")).get("BTC-USD") and stub.load()[0] == 1,
            "the stream is open",
        )
        asyncio.run(visit(running, 1, "64001.01"))
        with_one = stub.load()
        asyncio.run(visit(running, 200, "64002.02"))
        connects, requests = stub.load()
        assert connects == with_one[0] == 1
        # the first poll may still have been running; visitors add no request
        assert sum(requests.values()) <= sum(with_one[1].values()) + 1


# Restarts


def written(running: Site, last: str) -> Callable[[], bool]:
    def stands() -> bool:
        with closing(sqlite3.connect(running.folder / "site.sqlite3")) as database:
            rows = database.execute("SELECT wire FROM quotes_lastquote").fetchall()
        return any(last in wire for (wire,) in rows)

    return stands


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_after_a_crash_the_first_page_has_the_last_prices_with_their_time_and_the_outage(
    tmp_path: Path, few_symbols: Path, stub: Stub, server: str
):
    with site(tmp_path, few_symbols, server, **stub.settings) as running:
        eventually(
            lambda: prices(running.get("/symbols/BTC-USD/")).get("BTC-USD") and stub.load()[0] == 1,
            "the stream is open",
        )
        stub.tick("65432.10")
        eventually(written(running, "65432.10"), "the quote is written down")
        before = re.search(r'datetime="([^"]*)"', running.get("/symbols/BTC-USD/").split("<h1")[1])
        running.kill()
        stub.stop()
        running.start()
        page = running.get("/symbols/BTC-USD/")
        after = re.search(r'datetime="([^"]*)"', page.split("<h1")[1])
        assert prices(page)["BTC-USD"] == "65432.10"
        assert before
        assert after
        assert after[1] == before[1]
        board = running.get("/boards/crypto/")
        assert prices(board)["BTC-USD"] == "65432.10"
        noted = eventually(
            lambda: re.search(
                r"Prices from</span> Coinbase unavailable since \d\d:\d\d:\d\d",
                running.get("/boards/crypto/"),
            ),
            "the page shows that prices are unavailable",
        )
        assert noted


def test_prices_of_another_source_than_the_one_that_is_down_stay_with_a_note(
    tmp_path: Path, few_symbols: Path
):
    with site(tmp_path, few_symbols, "uvicorn") as running:
        eventually(written(running, "BTC-USD"), "quotes are written down")
        running.kill()
        closed = free_port()
        running.env |= {
            "QUOTES_PROVIDERS": "coinbase",
            "COINBASE_REST_URL": f"http://127.0.0.1:{closed}",
            "COINBASE_WS_URL": f"ws://127.0.0.1:{closed}",
        }
        running.start()
        assert prices(running.get("/boards/crypto/"))["BTC-USD"]
        eventually(
            lambda: "Prices from</span> Coinbase unavailable" in running.get("/boards/crypto/"),
            "the page shows that prices are unavailable",
        )


def test_a_clean_stop_loses_no_quote_that_was_shown(tmp_path: Path, few_symbols: Path, stub: Stub):
    with site(tmp_path, few_symbols, "uvicorn", **stub.settings) as running:
        eventually(
            lambda: prices(running.get("/symbols/BTC-USD/")).get("BTC-USD") and stub.load()[0] == 1,
            "the stream is open",
        )
        stub.tick("65432.10")
        eventually(lambda: "65432.10" in running.get("/symbols/BTC-USD/"), "the quote is shown")
        running.stop()
        stub.stop()
        running.start()
        assert prices(running.get("/symbols/BTC-USD/"))["BTC-USD"] == "65432.10"


# Commands


def test_runserver_listens_beyond_loopback_only_if_that_is_wanted(
    tmp_path: Path, few_symbols: Path
):
    shutil.copy(few_symbols, tmp_path / "site.sqlite3")
    env = Site(tmp_path, DJANGO_DEBUG="False").env
    given = ["runserver", "--noreload", f"203.0.113.1:{free_port()}"]  # no address of any machine
    refused = manage(*given, check=False, **env)
    assert refused.returncode == 1
    assert "Use  manage.py serve  instead, or add --exposed." in refused.stderr
    exposed = manage(*given, "--exposed", check=False, **env)
    assert exposed.returncode == 1
    assert "--exposed" not in exposed.stderr
    assert "Cannot assign requested address" in exposed.stderr


@pytest.mark.parametrize(
    ("command", "env", "words"),
    [
        ("runfeed", {"QUOTES_FEED": "inline"}, ["QUOTES_FEED=external", "REDIS_URL"]),
        ("runfeed", {}, ["QUOTES['FEED'] is 'inline'", "CHANNEL_LAYERS in a site of your own"]),
        ("runfeed", {"QUOTES_FEED": "external"}, ["in memory", "Set REDIS_URL"]),
        ("runfeed", {"QUOTES_FEED": "sometimes"}, ["QUOTES_FEED=sometimes", "inline, external"]),
        ("check", {"QUOTES_PROVIDERS": "yaho"}, ["Unknown provider 'yaho'", "must be one of"]),
        ("check", {"DJANGO_DEBUG": "perhaps"}, ["DJANGO_DEBUG=perhaps", "must be one of: true,"]),
        (
            "check",
            {"DJANGO_DEBUG": "False", "DJANGO_SECRET_KEY": ""},
            ["DJANGO_SECRET_KEY is empty: load the file"],
        ),
    ],
)
def test_a_bad_setting_ends_a_command_with_what_to_do(
    command: str, env: dict[str, str], words: list[str]
):
    output = manage(command, check=False, **env)
    assert output.returncode == 1
    assert all(word in output.stderr for word in words), output.stderr[-1000:]
    assert "Traceback" not in output.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], ["'nowhere' is not a valid address", "127.0.0.1:8000"]),
        (["127.0.0.1:99999"], ["can't listen on 127.0.0.1:99999"]),
        (["192.0.2.1:8000"], ["can't listen on 192.0.2.1:8000"]),
        (["--share-port"], ["Several processes need a layer", "set REDIS_URL"]),
    ],
)
def test_serve_reports_what_it_can_not_do(arguments: list[str], words: list[str]):
    output = manage("serve", *arguments, check=False)
    assert output.returncode != 0
    assert all(word in output.stderr for word in words), output.stderr[-1000:]
    assert "Traceback" not in output.stderr


@pytest.mark.parametrize("command", [["serve"], ["runserver", "--noreload"]])
def test_a_server_on_a_taken_port_reports_it(command: list[str]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        output = manage(*command, f"127.0.0.1:{taken.getsockname()[1]}", check=False)
    assert output.returncode == 1
    assert "Address already in use" in output.stderr
    assert "Traceback" not in output.stderr


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_one_address_gets_a_number_of_sockets_and_a_reason_for_no_more(
    tmp_path: Path, few_symbols: Path, server: str
):
    limit = {"QUOTES_MAX_SOCKETS_PER_ADDRESS": "2"}
    with site(tmp_path, few_symbols, server, **limit) as running, ExitStack() as pages:
        visitors = [pages.enter_context(open_socket(running)) for _ in range(2)]
        with pytest.raises(InvalidStatus) as refused:
            open_socket(running)
        answer = refused.value.response
        if server == "daphne":
            assert answer.status_code == 403
        else:
            assert (answer.status_code, answer.body) == (
                429,
                b"Too many sockets from your address. Close some of them.",
            )
        assert 'quotes_refused_total{reason="address"} 1.0' in running.get("/metrics")
        visitors[0].close()
        eventually(lambda: "quotes_sockets 1.0" in running.get("/metrics"), "one socket has gone")
        pages.enter_context(open_socket(running))
    assert running.log.read_text().count("refused a socket from 127.0.0.1: Too many sockets") == 1


def test_a_feed_of_its_own_answers_prometheus_on_a_port(tmp_path: Path, few_symbols: Path):
    url = f"sqlite:///{tmp_path / 'feed.sqlite3'}"
    (tmp_path / "feed.sqlite3").write_bytes(few_symbols.read_bytes())
    env = {"QUOTES_FEED": "external", "DATABASE_URL": url, "REDIS_URL": "redis://127.0.0.1:1"}
    port = free_port()
    feed = Command("manage.py", "runfeed", "--metrics-port", str(port), **env)

    def figures() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return answer.read().decode()

    try:
        eventually(lambda: 'quotes_unwritten{what="quotes"}' in figures(), "figures of the feed")
        eventually(lambda: "quotes_live 1.0" in figures(), "the feed hears itself")
        refused = manage("runfeed", "--metrics-port", str(port), check=False, **env)
        assert f"--metrics-port={port}: " in refused.stderr
        with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
            connection.request("GET", "/metrics", headers={"Host": "evil.example"})
            assert connection.getresponse().status == 400
    finally:
        feed.stop()


def test_runfeed_without_an_end_is_ended_by_a_signal(tmp_path: Path, few_symbols: Path):
    url = f"sqlite:///{tmp_path / 'feed.sqlite3'}"
    (tmp_path / "feed.sqlite3").write_bytes(few_symbols.read_bytes())
    env = {"QUOTES_FEED": "external", "DATABASE_URL": url, "REDIS_URL": "redis://127.0.0.1:1"}
    feed = Command("manage.py", "runfeed", **env)
    try:
        assert "This process runs the feed" in feed.ready
        feed.process.send_signal(signal.SIGTERM)
        assert feed.process.wait(PATIENCE) == 0
    finally:
        feed.stop()
