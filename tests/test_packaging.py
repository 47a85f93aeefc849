"""The app as a package: the files in the wheel, and a bare project that needs nothing else."""

from __future__ import annotations

import html
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.hosts.newcomer import commands, edits, set_up, wait_for_a_move
from tests.hosts.projects import HOME, Project, borrowed_environment, build_wheel
from tests.hosts.sites import CHAT
from tests.servers import PATIENCE, ROOT
from tests.snippets import snippets

pytestmark = pytest.mark.server

EMBEDDING = ROOT / "docs" / "embedding.md"
TAGS = """
{% load quotes %}{% live_quotes "BTC-USD" "AAPL" %}
<p>We take {% live_quote "BTC-USD" %} too.</p>
"""
TABLE = '\nurlpatterns += [path("table/", TemplateView.as_view(template_name="table.html"))]\n'


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment with the wheel."""
    return borrowed_environment(tmp_path_factory.mktemp("packages") / "venv", wheel)


@pytest.fixture(scope="module")
def shop(environment: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A foreign project after the steps of the README, with a second page, under `runserver`."""
    project = Project(tmp_path_factory.mktemp("shop"), environment).start()
    set_up(project)
    project.write("templates/table.html", HOME.replace("TAG", TAGS))
    project.change("mysite/urls.py", "", TABLE)
    with project.served("manage.py", "runserver", "127.0.0.1:{port}", ready="/market/healthz"):
        yield project
    assert "Traceback" not in project.log.read_text()


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


def test_a_bare_project_uses_the_wheel_and_its_checks_find_nothing(shop: Project):
    where = shop.run("-c", "import quotes; print(quotes.__file__)").stdout
    assert where.startswith(shop.python.removesuffix("bin/python"))
    assert "no issues" in shop.manage("check", "--database", "default").stdout
    assert "No changes detected" in shop.manage("makemigrations", "--check", "--dry-run").stdout


@pytest.mark.browser
def test_the_three_edits_and_two_commands_of_the_readme_make_a_price_move(
    shop: Project, chromium: str
):
    assert (len(edits()), len(commands())) == (3, 2)
    assert wait_for_a_move(shop.url, chromium) == []


def test_the_installation_is_the_same_in_the_documents_and_the_readme():
    for language, many in (("python", 2), ("django", 1), ("sh", 1)):
        shown = snippets(language, EMBEDDING)[:many]
        assert shown == snippets(language, ROOT / "README.md")[:many]


def test_its_page_has_the_prices_and_all_it_needs_to_be_live(shop: Project):
    page = shop.get("/table/")
    assert re.findall(r'class="quote [^"]*" data-symbol="([^"]*)"', page) == [
        "BTC-USD",
        "AAPL",
        "BTC-USD",
    ]
    assert all(prices(page).values())
    assert len(re.findall(r'class="quotes-opener"', page)) == 2
    for address in re.findall(r'(?:src|href)="(/static/[^"]*)"', page):
        assert shop.get(address)
    assert "Bitcoin" in shop.get("/market/boards/crypto/")
    assert 'href="/market/symbols/AAPL/"' in page


def test_its_socket_sends_what_the_page_shows(shop: Project):
    page = shop.get("/table/")
    opener = re.search(r'class="quotes-opener" hx-get="([^"]*)"', page)
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
def test_both_places_of_a_symbol_move_together_over_one_socket(shop: Project, chromium: str):
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
        page.goto(f"{shop.url}/table/")
        places = page.locator('[data-symbol="BTC-USD"] [data-field="last"]')
        assert places.count() == 2
        for _ in range(3):
            before = places.first.get_attribute("value")
            assert page.wait_for_function(MOVED, arg=before, timeout=15_000).json_value()
        assert len(sockets) == 1
        assert len(loads) == 1
        assert faults == []
        browser.close()


def in_production(project: Project) -> Project:
    """Give a project after the steps of the README the settings of a site in production."""
    more = '\nDEBUG = False\nALLOWED_HOSTS = ["127.0.0.1"]\nSTATIC_ROOT = BASE_DIR / "static"\n'
    set_up(project).change("mysite/settings.py", "", more)
    return project


@pytest.fixture
def production(environment: str, tmp_path: Path) -> Project:
    """A foreign project in production."""
    return in_production(Project(tmp_path, environment).start())


def test_the_commands_of_embedding_serve_a_site_in_production(production: Project):
    *ready, serve = [
        line.removeprefix("python ").replace(":8000", ":{port}").split()
        for line in snippets("sh", EMBEDDING)[1].splitlines()
    ]
    for command in ready:
        production.run(*command)
    with production.served(*serve):
        page = production.get("/market/boards/crypto/")
        assert 'data-symbol="BTC-USD"' in page
        [style] = re.findall(r'href="/(static/quotes/boards[^"]*)"', page)
        assert (production.folder / style).is_file()
        frame = production.get("/market/embed/quotes/?symbols=AAPL&lang=de")
        assert 'data-symbol="AAPL"' in frame
        assert_live(production)


def assert_live(project: Project) -> None:
    """Open a socket of a served project, which must send a price."""
    where = f"ws://127.0.0.1:{project.port}/ws/quotes/?symbols=BTC-USD"
    with connect(where, origin=project.url, open_timeout=PATIENCE) as socket:
        assert prices(socket.recv(timeout=PATIENCE)).keys() == {"BTC-USD"}


def test_another_server_needs_one_line_of_the_documents_in_any_order_of_imports(
    production: Project,
):
    [line] = [each for each in snippets("python", EMBEDDING) if "get_live_application" in each]
    production.write("mysite/asgi.py", line)
    with production.served("-m", "uvicorn", "mysite.asgi:application", "--port", "{port}"):
        assert_live(production)


def test_a_site_keeps_its_own_sockets_with_the_lines_of_the_documents(production: Project):
    [lines] = [each for each in snippets("python", EMBEDDING) if "ProtocolTypeRouter" in each]
    production.write("mysite/asgi.py", lines)
    production.write("chat/__init__.py", "")
    production.write("chat/routing.py", CHAT)
    with production.served("-m", "uvicorn", "mysite.asgi:application", "--port", "{port}"):
        assert_live(production)
        where = f"ws://127.0.0.1:{production.port}/ws/chat/"
        with connect(where, open_timeout=PATIENCE) as socket:
            socket.send("hello")
            assert socket.recv(timeout=PATIENCE) == "HELLO"


@pytest.mark.parametrize("server", ["uvicorn --port", "daphne -p"])
def test_a_site_without_a_file_for_servers_is_served_by_its_settings_alone(
    production: Project, server: str
):
    (production.folder / "mysite" / "asgi.py").unlink()
    production.env["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
    program, option = server.split()
    with production.served("-m", program, "quotes.asgi:application", option, "{port}"):
        assert_live(production)


def test_an_app_of_the_site_with_the_same_label_is_named_as_the_documents_show(
    environment: str, tmp_path: Path
):
    project = Project(tmp_path, environment).start()
    project.write("shop/__init__.py", "")
    project.write("shop/quotes/__init__.py", "")
    project.change(
        "mysite/settings.py", "INSTALLED_APPS = [", 'INSTALLED_APPS = ["quotes", "shop.quotes",'
    )
    text = "Application labels aren't unique, duplicates: quotes"
    assert text in project.manage("check", check=False).stderr
    assert f"| `{text}` |" in EMBEDDING.read_text()


def test_a_module_of_the_site_with_the_same_name_is_found_as_the_documents_show(
    environment: str, tmp_path: Path
):
    project = Project(tmp_path, environment).start()
    for name, old, new in edits():
        project.change(name, old, new)
    project.write("quotes/__init__.py", "")
    text = "No module named 'quotes.urls'"
    assert text in project.manage("check", check=False).stderr
    assert f"| `{text}` |" in EMBEDDING.read_text()
