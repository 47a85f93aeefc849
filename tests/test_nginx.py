"""Behind nginx, with the configuration from the documents."""

from __future__ import annotations

import os
import re
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from html import unescape
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from quotes.limits.answers import HEADERS
from tests.conftest import lacking
from tests.servers import PATIENCE, ROOT, Daemon, Site, eventually, free_port, listens, site

pytestmark = pytest.mark.server

AROUND = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{}}
http {{
access_log off;
client_body_temp_path {folder}/body;
proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi;
uwsgi_temp_path {folder}/uwsgi;
scgi_temp_path {folder}/scgi;
{documented}
}}
"""


def documented(port: int, upstream: int) -> str:
    """The configuration in docs/operations.md, for other ports."""
    text = (ROOT / "docs" / "operations.md").read_text()
    found = re.search(r"```nginx\n(.*?)```", text, re.DOTALL)
    assert found
    config = found[1].replace("listen 80;", f"listen 127.0.0.1:{port};")
    config = config.replace("server 127.0.0.1:8001;", f"server 127.0.0.1:{upstream};")
    config = config.replace("_timeout 10s;", "_timeout 1s;")  # so that a test need not wait for it
    config = config.replace("rate=20r/s", "rate=1r/s")  # so that a slow machine exceeds it too
    return config.replace("server 127.0.0.1:8002;", "")


@contextmanager
def nginx(folder: Path, *ports: int, servers: str) -> Iterator[None]:
    """Run nginx with these servers, until all ports answer."""
    program = shutil.which("nginx", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if program is None:
        lacking("nginx", "nginx-light")
    assert program is not None
    config = folder / "nginx.conf"
    user = "user root;" if os.getuid() == 0 else ""  # the folder is ours alone
    config.write_text(AROUND.format(folder=folder, user=user, documented=servers))
    daemon = Daemon([program, "-p", str(folder), "-c", str(config)])
    daemon.start()
    try:
        eventually(lambda: all(map(listens, ports)), "nginx answers")
        yield
    finally:
        daemon.stop()


@pytest.fixture(scope="module")
def proxied(
    tmp_path_factory: pytest.TempPathFactory, few_symbols: Path
) -> Iterator[tuple[int, Site]]:
    """The port of an nginx, and the site behind it, which lets an address open two sockets."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    limit = {"QUOTES_MAX_SOCKETS_PER_ADDRESS": "2"}
    with (
        site(folder, few_symbols, "uvicorn", **limit) as running,
        nginx(folder, port, servers=documented(port, running.port)),
    ):
        yield port, running


def open_socket(port: int, path: str = "/ws/cryptoupdates/", **more: Any) -> Any:
    address = f"ws://127.0.0.1:{port}{path}"
    return connect(address, origin=f"http://127.0.0.1:{port}", max_size=None, **more)


def test_pages_and_sockets_come_through(proxied: tuple[int, Site]):
    port, _ = proxied
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/boards/crypto/", timeout=10) as answer:
        assert b'data-symbol="BTC-USD"' in answer.read()
    with open_socket(port) as page:
        assert 'data-symbol="BTC-USD"' in page.recv(timeout=PATIENCE)
        eventually(lambda: "data-symbol=" in page.recv(timeout=PATIENCE), "a price moves")


def test_visitors_count_for_their_own_address_and_can_choose_no_other(proxied: tuple[int, Site]):
    port, running = proxied
    eventually(lambda: "quotes_sockets 0.0" in running.get("/metrics"), "no socket is open")
    here, there = {"source_address": ("127.0.0.2", 0)}, {"source_address": ("127.0.0.3", 0)}
    with open_socket(port, **here), open_socket(port, **here), open_socket(port, **there):
        for headers in ({}, {"X-Forwarded-For": "192.0.2.9"}):
            with pytest.raises(InvalidStatus) as refused:
                open_socket(port, additional_headers=headers, **here)
            assert refused.value.response.status_code == 429


@pytest.mark.parametrize("path", ["/metrics", "//metrics", "/%6detrics", "/market/prices/metrics"])
def test_figures_are_not_for_the_world(proxied: tuple[int, Site], path: str):
    port, running = proxied
    assert "quotes_sockets" in running.get("/metrics")
    answer = exchange(port, request(port, path))
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"nginx could not serve this request" in answer


def request(port: int, path: str = "/healthz", more: str = "", method: str = "GET") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{more}"
    return f"{head}Connection: close\r\n\r\n".encode()


def exchange(port: int, sent: bytes) -> bytes:
    """Send bytes to nginx, and return all that it sends."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize(
    ("status", "more", "path"),
    [
        (413, "Content-Length: 4194305\r\n", "/admin/login/"),
        (414, "", "/" + "a" * 20_000),
        (400, "X-Long: " + "a" * 20_000 + "\r\n", "/"),
        (404, "", "/metrics"),
    ],
)
def test_errors_of_nginx_have_the_headers_of_every_answer(
    proxied: tuple[int, Site], status: int, more: str, path: str
):
    port, _ = proxied
    answer = exchange(port, request(port, path, more))
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    head = answer.partition(b"\r\n\r\n")[0].decode()
    for name, value in HEADERS.items():
        assert head.count(f"\r\n{name}: {value}") == 1
    assert "Server: nginx\r\n" in head


def test_a_request_without_an_end_is_closed(proxied: tuple[int, Site]):
    port, _ = proxied
    exchange(port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    answer = exchange(port, request(port, "/admin/login/", "Content-Length: 9\r\n", "POST"))
    assert answer.startswith(b"HTTP/1.1 408 ") or not answer


def test_an_address_that_requests_too_often_is_slowed_down(proxied: tuple[int, Site]):
    port, running = proxied
    answers = [exchange(port, request(port)) for _ in range(150)]
    refused = [answer for answer in answers if answer.startswith(b"HTTP/1.1 429 ")]
    assert refused
    assert b"X-Content-Type-Options: nosniff" in refused[0]
    assert running.get("/healthz")  # without nginx


def test_a_site_below_a_prefix_works_if_the_prefix_is_passed_on_or_removed(
    tmp_path: Path, few_symbols: Path
):
    passing, removing = ports = free_port(), free_port()
    with site(tmp_path, few_symbols, "uvicorn", DJANGO_SCRIPT_NAME="/market/") as running:
        config = documented(passing, running.port).replace("location / {", "location /market/ {")
        _, again, server = config.partition("\nserver {")
        server = server.replace(f":{passing};", f":{removing};")
        other = again + server.replace("http://quoteboard;", "http://quoteboard/;")
        with nginx(tmp_path, *ports, servers=config + other):
            for port in ports:
                use_site_below_market(port)


def use_site_below_market(port: int) -> None:
    """Open a board, load all that it names, follow its redirects, and wait for a price."""
    root = f"http://127.0.0.1:{port}"
    with urllib.request.urlopen(f"{root}/market/boards/crypto/", timeout=10) as answer:
        page = answer.read().decode()
    for address in re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="([^"]*)"', page):
        with urllib.request.urlopen(root + address, timeout=10) as answer:
            assert answer.status == 200
    [socket] = re.findall(r'hx-ws:connect="([^"]*)"', page)
    with open_socket(port, unescape(socket)) as live:
        eventually(lambda: "/market/symbols/" in live.recv(timeout=PATIENCE), "links to symbols")
    with urllib.request.urlopen(f"{root}/market/admin/login/", timeout=10) as answer:
        assert "; Path=/market;" in answer.headers["Set-Cookie"]
    for given, place in {
        "/market": "/market/",
        "/market/symbols/AAPL": "/market/symbols/AAPL/",
        "/market/admin/": "/market/admin/login/?next=/market/admin/",
    }.items():
        assert redirect(port, given) == place
    for path in ("/market/metrics", "/boards/crypto/", "/marketing/"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(root + path, timeout=10)


def redirect(port: int, path: str) -> str:
    """Return the path and query that a path redirects to."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    with closing(connection), connection.getresponse() as answer:
        place = urlsplit(answer.headers["Location"] or "")
        return place._replace(scheme="", netloc="").geturl()
