"""Every answer has the headers of the tables in docs/operations.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import get_resolver

from quotes.htmx import scripts
from quotes.limits.answers import HEADERS
from quotes.models import Board, BoardSymbol, Symbol
from tests.live.test_bodies import LIMIT, Request, length
from tests.servers import PATIENCE, ROOT, python

DOCUMENT = (ROOT / "docs" / "operations.md").read_text()
[SECTION] = re.findall(r"### Which headers .*?(?=^## )", DOCUMENT, re.MULTILINE | re.DOTALL)
PAGES, EMBED, ERRORS, PROBES, ADMIN = range(5)
SCRIPTS = 7
KINDS = re.findall(r"^\| (.+?) \| `(.*?)` \| (?:`(.*?)`)? ?\| (.*?) ?\|$", SECTION, re.MULTILINE)
ROWS = [(caches, vary) for _, caches, vary, _ in KINDS if not caches.startswith("Cache")]
WALK = {
    "/": (200, PAGES),
    "/boards/crypto/": (200, PAGES),
    "/symbols/BTC-USD/": (200, PAGES),
    "/symbols/BTC-USD/bars.csv": (200, PAGES),
    "/search/?q=bit": (200, PAGES),
    "/search/suggestions/?q=bit": (200, PAGES),
    "/live/?board=crypto": (200, PAGES),
    "/embed/quotes/?symbols=BTC-USD": (200, EMBED),
    "/embed/quotes/?" + "&".join(f"symbols=S{n}" for n in range(300)): (400, EMBED),
    "/live/?" + "&".join(f"symbols=S{n}" for n in range(1100)): (400, ERRORS),
    scripts.ours()[0]: (200, SCRIPTS),
    "/healthz": (200, PROBES),
    "/readyz": (503, PROBES),
    "/metrics": (200, PROBES),
    "/nowhere/": (404, ERRORS),
    "/boards/none/": (404, ERRORS),
    "/symbols/NONE/": (404, ERRORS),
    "/boards/crypto": (301, ERRORS),
    "/admin/": (302, ADMIN),
    "/admin/login/": (200, ADMIN),
}
pytestmark = pytest.mark.usefixtures("live_parts")


@pytest.fixture
async def crypto(live_parts: Any) -> None:
    """A board with one symbol."""
    board = await Board.objects.acreate(slug="crypto", title="Crypto")
    symbol = await Symbol.objects.acreate(code="BTC-USD", name="Bitcoin", kind="crypto")
    await BoardSymbol.objects.acreate(board=board, symbol=symbol)
    await live_parts.reload()


def check(response: Any, row: int, more: str = "") -> None:
    """Compare the headers of an answer with a row of the second table, and the first table."""
    caches, vary = ROWS[row]
    assert response["Cache-Control"] == caches
    named = set(response.get("Vary", "").split(", ")) - {"Accept-Encoding", ""}
    assert named == set(vary.split(", ")) - {""}
    may_differ = {"Cache-Control", "Content-Security-Policy"}
    if row == EMBED:
        may_differ |= {"X-Frame-Options"}
        assert "X-Frame-Options" not in response
    for name in HEADERS.keys() - may_differ:
        assert response[name] == HEADERS[name]
    assert "default-src 'none'" in response["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in response["Content-Security-Policy"]
    assert "Server" not in response


def test_the_first_table_has_the_headers_of_every_answer():
    assert dict(re.findall(r"^\| `([A-Z][\w-]+)` \| `(.*)` \|$", SECTION, re.MULTILINE)) == HEADERS


def test_each_address_of_the_app_is_in_the_walk():
    app = next(each for each in get_resolver().url_patterns if not each.pattern._route)
    for pattern in app.url_patterns:
        route = re.compile("/" + re.sub(r"<.*?>", "[^/]+", pattern.pattern._route))
        assert any(route.fullmatch(path.partition("?")[0]) for path in WALK), route


@pytest.mark.parametrize("path", WALK, ids=lambda path: path[:30])
async def test_an_answer_has_its_headers(crypto: None, async_client: Any, path: str):
    status, row = WALK[path]
    response = await async_client.get(path)
    assert response.status_code == status
    check(response, row)


async def test_errors_before_and_in_a_page_have_them_too(async_client: Any, settings: Any):
    check(await async_client.post("/"), ERRORS)
    settings.ALLOWED_HOSTS = ["quotes.example"]
    check(await async_client.get("/"), ERRORS)
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.QUOTES = settings.QUOTES | {"NOT_A_SETTING": 1}
    async_client.raise_request_exception = False
    response = await async_client.get("/embed/quotes/", {"symbols": "AAPL"})
    assert response.status_code == 500
    check(response, ERRORS)


async def test_a_page_depends_on_nothing_that_vary_does_not_name(async_client: Any):
    cookie = "django_language=de; ;=de; =de"
    plain = await async_client.get("/", headers={"accept-language": "en"})
    given = await async_client.get("/", headers={"accept-language": "en", "cookie": cookie})
    assert plain["Content-Language"] == given["Content-Language"] == "en"


async def test_a_refused_body_has_the_headers_of_every_answer():
    request = Request(length(LIMIT + 1))
    start = await request.receive_output(PATIENCE)
    given = {name.decode().title(): value.decode() for name, value in start["headers"]}
    assert {name.title(): value for name, value in HEADERS.items()}.items() <= given.items()
    await request.send_input({"type": "http.disconnect"})
    await request.wait(PATIENCE)


async def test_static_files_are_kept_as_long_as_their_name_allows(
    tmp_path: Path, settings: Any, async_client: Any
):
    settings.STATIC_ROOT, settings.DEBUG = tmp_path, False
    storage = {"BACKEND": "quoteboard.storage.Storage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": storage}
    first, *others = settings.MIDDLEWARE
    settings.MIDDLEWARE = [
        first,
        "django.middleware.security.SecurityMiddleware",
        "servestatic.middleware.ServeStaticMiddleware",
        *others,
    ]
    call_command("collectstatic", interactive=False, verbosity=0)
    [hashed] = tmp_path.glob("quotes/theme.*.css")
    for name, row in ((hashed.name, 5), ("theme.css", 6)):
        response = await async_client.get(f"/static/quotes/{name}")
        assert response.status_code == 200
        check(response, row)


@pytest.mark.parametrize(("asked", "expected"), [({}, "False"), ({"PRELOAD": "True"}, "True")])
def test_a_host_is_preloaded_only_if_that_is_asked_for(asked: dict[str, str], expected: str):
    env = {f"DJANGO_HSTS_{k}": v for k, v in asked.items()}
    assert https_setting("SECURE_HSTS_PRELOAD", **env) == expected


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, "True"),
        ({"DJANGO_SCRIPT_NAME": "/market"}, "False"),  # the subdomains are not ours then
        ({"DJANGO_HSTS_SUBDOMAINS": "no"}, "False"),
    ],
)
def test_subdomains_are_included_unless_the_site_is_below_a_prefix(
    env: dict[str, str], expected: str
):
    assert https_setting("SECURE_HSTS_INCLUDE_SUBDOMAINS", **env) == expected


def https_setting(name: str, **env: str) -> str:
    """Return a setting of the site with HTTPS, as text."""
    code = f"from django.conf import settings; print(settings.{name})"
    return python("-c", code, DJANGO_HTTPS="True", **env).stdout.strip()


@pytest.mark.parametrize("path", ["/", "/boards/crypto/", "/nowhere/", "/admin/login/"])
async def test_a_form_in_another_encoding_is_refused_with_all_headers(
    async_client: Any, live_parts: Any, path: str
):
    kind = "application/x-www-form-urlencoded; charset=utf-16"
    headers = {"cookie": f"csrftoken={'a' * 32}"}
    response = await async_client.post(path, b"a=1", content_type=kind, headers=headers)
    assert response.status_code == 400
    assert response.content == b"A form must be in UTF-8."
    for name, value in HEADERS.items():
        assert response.headers[name] == value
