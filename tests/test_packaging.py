"""The app as a package: the files in the wheel, and a bare project that needs nothing else."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.servers import PATIENCE, ROOT, eventually, free_port
from tests.test_docs import snippets

pytestmark = pytest.mark.server

SETTINGS = """
SECRET_KEY = "for this test only"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "quotes",
    "django.contrib.staticfiles",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django_htmx",
]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "shop.urls"
ASGI_APPLICATION = "shop.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": ["shop/templates"],
        "APP_DIRS": True,
    }
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite3"}}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels.layers.InMemoryChannelLayer",
        "CONFIG": {"capacity": 1000},
    }
}
STATIC_URL = "/static/"
USE_TZ = True
"""
ASGI = """
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
http = get_asgi_application()

from quotes.routing import live_application

application = live_application(http)
"""
URLS = """
from django.urls import include, path
from django.views.generic import TemplateView

urlpatterns = [
    path("", TemplateView.as_view(template_name="home.html")),
    path("market/", include("quotes.urls")),
]
"""
HOME = """<!doctype html>{% load quotes %}
<title>Shop</title>
{% live_quotes "BTC-USD" "AAPL" %}
<p>We take {% live_quote "BTC-USD" %} too.</p>
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    run(ROOT, dict(os.environ), "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    return next(folder.glob("*.whl"))


def run(folder: Path, env: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Shop:
    """A foreign project, with the wheel and without anything else of this repository."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder, self.port = folder / "project", free_port()
        packages = folder / "packages"
        install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
        run(folder, dict(os.environ), *install, str(packages), str(wheel))
        templates = self.folder / "shop" / "templates"
        templates.mkdir(parents=True)
        (self.folder / "shop" / "__init__.py").touch()
        for name, text in (("settings", SETTINGS), ("asgi", ASGI), ("urls", URLS)):
            (self.folder / "shop" / f"{name}.py").write_text(text)
        (templates / "home.html").write_text(HOME)
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DJANGO_", "QUOTES_")) and name != "REDIS_URL"
        }
        path = os.pathsep.join([str(self.folder), str(packages)])
        self.env = kept | {"PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "shop.settings"}
        self.packages = packages

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *arguments: str) -> str:
        return run(self.folder, self.env, "-m", "django", *arguments)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()


@pytest.fixture(scope="module")
def shop(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The project, served by daphne's runserver."""
    shop = Shop(tmp_path_factory.mktemp("shop"), wheel)
    shop.manage("migrate", "--verbosity", "0")
    shop.manage("loadcatalogue")
    log = shop.folder / "log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "django", "runserver", "--noreload", f"127.0.0.1:{shop.port}"],
            cwd=shop.folder,
            env=shop.env,
            stdout=file,
            stderr=file,
        )
    try:
        eventually(lambda: shop.get("/market/healthz") == "ok", "the shop answers")
        yield shop
    finally:
        server.terminate()
        server.wait(15)
    assert "Traceback" not in log.read_text()


def prices(text: str) -> dict[str, str]:
    """The prices of a page or a message by symbol."""
    found = re.findall(r'data-symbol="([^"]*)".*?<data [^>]*value="([^"]*)"', text, re.DOTALL)
    return dict(found)


def test_the_wheel_holds_all_of_the_app_and_nothing_else(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    apps = {name for name in names if ".dist-info/" not in name}
    assert all(name.startswith("quotes/") for name in apps)
    here = {
        f"{prefix}{path.relative_to(ROOT).as_posix()}"
        for folder, prefix in (("quotes", ""), ("templates/quotes", "quotes/"))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert apps == here
    assert {
        "quotes/catalogue/catalogue.csv",
        "quotes/migrations/0001_initial.py",
        "quotes/py.typed",
        "quotes/static/quotes/boards.css",
        "quotes/static/quotes/page.css",
        "quotes/static/quotes/quotes.css",
        "quotes/static/quotes/theme.css",
        "quotes/templates/quotes/_row.html",
        "quotes/templatetags/quotes.py",
        "quotes/management/commands/runfeed.py",
    } <= apps
    assert all("quoteboard-" in name for name in names - apps)


def test_a_bare_project_uses_the_wheel_and_its_checks_find_nothing(shop: Shop):
    where = run(shop.folder, shop.env, "-c", "import quotes; print(quotes.__file__)")
    assert where.startswith(str(shop.packages))
    assert "no issues" in shop.manage("check")
    assert "No changes detected" in shop.manage("makemigrations", "--check", "--dry-run")


def test_its_page_has_the_prices_and_all_it_needs_to_be_live(shop: Shop):
    page = shop.get("/")
    assert re.findall(r'class="quote [^"]*" data-symbol="([^"]*)"', page) == [
        "BTC-USD",
        "AAPL",
        "BTC-USD",
    ]
    assert all(prices(page).values())
    assert len(re.findall(r'id="quotes-socket"', page)) == 1
    for address in re.findall(r'(?:src|href)="(/static/[^"]*)"', page):
        assert shop.get(address)
    assert "Bitcoin" in shop.get("/market/boards/crypto/")
    assert 'href="/market/symbols/AAPL/"' in page


def test_its_socket_sends_what_the_page_shows(shop: Shop):
    page = shop.get("/")
    opener = re.search(r'id="quotes-socket" hx-get="([^"]*)"', page)
    assert opener
    asked = re.findall(r'class="quotes-watch" name="([^"]*)" value="([^"]*)"', page)
    answer = shop.get(html.unescape(opener[1]) + "".join(f"&{name}={v}" for name, v in asked))
    address = re.search(r'hx-ws:connect="([^"]*)"', answer)
    assert address
    where = f"ws://127.0.0.1:{shop.port}{html.unescape(address[1])}"
    with connect(where, origin=shop.url) as socket:
        first = socket.recv(timeout=PATIENCE)
        assert prices(first).keys() == {"BTC-USD", "AAPL"}
        assert "tr.quote-entry[data-symbol=" in first
        assert ".quote-price[data-symbol=" in first


MOVED = """
before => {
    const all = [...document.querySelectorAll('[data-symbol="BTC-USD"] [data-field="last"]')];
    const values = all.map(each => each.value);
    return values.length === 2 && values[0] === values[1] && values[0] !== before && values[0];
}
"""


@pytest.mark.browser
def test_both_places_of_a_symbol_move_together_over_one_socket(shop: Shop, chromium: str):
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page()
        sockets: list[Any] = []
        faults: list[str] = []
        loads: list[Any] = []
        page.on("websocket", lambda socket: sockets.append(socket))  # noqa: PLW0108
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: request.is_navigation_request() and loads.append(1))
        page.goto(shop.url + "/")
        places = page.locator('[data-symbol="BTC-USD"] [data-field="last"]')
        assert places.count() == 2
        for _ in range(3):
            before = places.first.get_attribute("value")
            assert page.wait_for_function(MOVED, arg=before, timeout=15_000).json_value()
        assert len(sockets) == 1
        assert len(loads) == 1
        assert faults == []
        browser.close()


def test_the_commands_of_embedding_serve_a_site_in_production(wheel: Path, tmp_path: Path):
    shop = Shop(tmp_path, wheel)
    production = SETTINGS.replace("DEBUG = True", "DEBUG = False") + 'STATIC_ROOT = "static"\n'
    (shop.folder / "shop" / "settings.py").write_text(production)
    [block] = snippets("sh", ROOT / "docs" / "embedding.md")
    *commands, serve = [
        line.removeprefix("python manage.py ").split() for line in block.splitlines()
    ]
    for command in commands:
        shop.manage(*command)
    shop.manage("loadcatalogue")
    server = subprocess.Popen(
        [sys.executable, "-m", "django", serve[0], f"127.0.0.1:{shop.port}"],
        cwd=shop.folder,
        env=shop.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        page = eventually(lambda: shop.get("/market/boards/crypto/"), "a page")
        assert 'data-symbol="BTC-USD"' in page
        [style] = re.findall(r'href="/(static/quotes/boards[^"]*)"', page)
        assert (shop.folder / style).is_file()
        assert 'data-symbol="AAPL"' in shop.get("/market/embed/quotes/?symbols=AAPL&lang=de")
    finally:
        server.terminate()
        server.wait(PATIENCE)
