"""The application that servers run: made once, from whatever a site has."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from channels.testing import HttpCommunicator
from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured

from quotes.asgi import get_live_application, site_application
from quotes.routing import live_application
from tests.servers import PATIENCE, python
from tests.sockets import Page

OURS = "/ws/quotes/?symbols=AAPL"
server = pytest.mark.server


@pytest.fixture
def asgi_of_a_site(monkeypatch: pytest.MonkeyPatch, settings: Any) -> ModuleType:
    """The `asgi.py` of a site, whose `application` is that of Django alone."""
    module = ModuleType("asgi_of_a_site")
    module.application = get_asgi_application()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings.ASGI_APPLICATION = f"{module.__name__}.application"
    return module


async def opens(application: Any, path: str = OURS) -> bool:
    """Return whether a socket of an application opens."""
    headers = [(b"host", b"testserver"), (b"origin", b"http://testserver")]
    page = Page(application, path, headers=headers)
    accepted, _ = await page.connect()
    await page.disconnect()
    return accepted


async def status(application: Any, path: str) -> int:
    """Return the status of a page of an application."""
    request = HttpCommunicator(application, "GET", path, headers=[(b"host", b"testserver")])
    await request.send_input({"type": "http.request", "body": b""})
    start = await request.receive_output(PATIENCE)
    await request.wait(PATIENCE)
    return start["status"]


async def test_it_has_the_pages_and_the_sockets(live_parts: Any):
    application = get_live_application()
    assert await opens(application)
    assert await status(application, "/healthz") == 200


async def test_our_servers_add_sockets_to_the_application_of_a_site(
    live_parts: Any, asgi_of_a_site: ModuleType
):
    application = site_application()
    assert await opens(application)
    assert await status(application, "/healthz") == 200


def test_our_servers_take_an_application_with_live_parts_as_it_is(asgi_of_a_site: ModuleType):
    asgi_of_a_site.application = live = live_application(asgi_of_a_site.application)
    assert site_application() is live
    assert live_application(live) is live


@pytest.mark.parametrize("unset", [None, ""])
async def test_our_servers_need_no_setting_for_it(live_parts: Any, settings: Any, unset: Any):
    settings.ASGI_APPLICATION = unset
    assert await opens(site_application())


async def test_static_files_are_added_if_they_are_asked_for(live_parts: Any, settings: Any):
    settings.DEBUG = True
    application = site_application(with_static=True)
    assert await opens(application)
    assert await status(application, "/static/quotes/theme.css") == 200
    assert await status(site_application(), "/static/quotes/theme.css") == 404


@pytest.mark.parametrize("path", ["nowhere.application", "quotes.models.application"])
def test_a_setting_that_leads_nowhere_is_named(settings: Any, path: str):
    settings.ASGI_APPLICATION = path
    with pytest.raises(ImproperlyConfigured, match=path.rpartition(".")[0]):
        site_application()


@server
def test_an_import_of_the_module_alone_does_not_set_up_django():
    lines = "import quotes.asgi, django.apps; print(django.apps.apps.ready, end=' ')\n"
    lines += "quotes.asgi.application; print(django.apps.apps.ready, end=' ')\n"
    lines += "print(hasattr(quotes.asgi, 'aplication'))"
    assert python("-c", lines).stdout == "False True False\n"


@server
@pytest.mark.parametrize("variable", ["tests.lean", ""])
def test_the_named_settings_are_used_unless_the_environment_has_others(variable: str):
    lines = (
        "import os\n"
        "if not os.environ['DJANGO_SETTINGS_MODULE']: del os.environ['DJANGO_SETTINGS_MODULE']\n"
        "from quotes.asgi import get_live_application\n"
        "get_live_application('tests.browser.brisk')\n"
        "from django.conf import settings; print(settings.SETTINGS_MODULE)"
    )
    output = python("-c", lines, DJANGO_SETTINGS_MODULE=variable).stdout
    assert output == f"{variable or 'tests.browser.brisk'}\n"
