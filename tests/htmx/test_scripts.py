"""The scripts of live pages: static files, files that we serve, or a copy that the site names."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import AsyncClient

from quotes.htmx import scripts

NAMES = ["htmx-4.min.js", "ext/hx-ws-4.min.js"]


def addresses() -> list[str]:
    return [each.address for each in scripts.ours()]


def test_they_are_static_files_of_django_htmx():
    assert addresses() == [f"/static/django_htmx/{name}" for name in NAMES]


@pytest.mark.django_db
async def test_without_its_app_we_serve_them(settings: Any, async_client: AsyncClient):
    apps = [each for each in settings.INSTALLED_APPS if each != "django_htmx"]
    settings.INSTALLED_APPS = apps
    settings.QUOTES = settings.QUOTES | {"HTMX": 2}
    found = addresses() + [each.address for each in scripts.beside_htmx_of_site()]
    assert found == [
        f"/scripts/{scripts.VERSION}/{name}" for name in (*NAMES, "ext/hx-ws-2.min.js")
    ]
    for address in found:
        answer = await async_client.get(address)
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert "htmx" in answer.content.decode()


@pytest.mark.parametrize("name", ["htmx-2.min.js", "../../apps.py", "ext/hx-sse-4.min.js"])
async def test_no_other_file_is_served(async_client: AsyncClient, name: str):
    assert (await async_client.get(f"/scripts/{scripts.VERSION}/{name}")).status_code == 404
    assert (await async_client.get(f"/scripts/0.0.1/{NAMES[0]}")).status_code == 404


@pytest.mark.parametrize("version", [None, 2, 4])
def test_a_copy_of_the_site_is_loaded_in_place_of_ours(settings: Any, version: int | None):
    copy = ["mysite/htmx.min.js", "https://cdn.example/hx-ws.min.js", "/files/more.js"]
    settings.QUOTES = {"HTMX": version, "HTMX_SCRIPTS": copy}
    named = ["/static/mysite/htmx.min.js", *copy[1:]]
    assert addresses() == named
    beside = {None: named, 2: ["/static/django_htmx/ext/hx-ws-2.min.js"], 4: []}
    assert [each.address for each in scripts.beside_htmx_of_site()] == beside[version]
