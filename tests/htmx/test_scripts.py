"""The scripts of live pages: one module each, of django-htmx or of a copy that the site names."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import AsyncClient

from quotes.checks.settings import check_scripts
from quotes.htmx import scripts

pytestmark = pytest.mark.django_db


async def content(client: AsyncClient, address: str) -> str:
    answer = await client.get(address)
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    return answer.content.decode()


async def test_htmx_and_its_extension_are_one_module(async_client: AsyncClient):
    [address] = scripts.ours()
    files = [(scripts.FILES / name).read_text() for name in scripts.PARTS[scripts.OURS]]
    assert await content(async_client, address) == "\n".join(files)


async def test_a_browser_that_can_gets_it_compressed(async_client: AsyncClient):
    [address] = scripts.ours()
    plain = await content(async_client, address)
    answer = await async_client.get(address, headers={"Accept-Encoding": "br, gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.content).decode() == plain


@pytest.mark.parametrize("name", ["htmx-2.min.js", "ext/hx-sse-4.min.js", scripts.FOR_2])
async def test_no_other_file_is_served(async_client: AsyncClient, name: str):
    digest = scripts.ours()[0].split("/")[-2]
    assert (await async_client.get(f"/scripts/{digest}/{name}")).status_code == 404
    assert (await async_client.get(f"/scripts/0/{scripts.OURS}")).status_code == 404


async def test_beside_htmx_2_is_its_extension_and_beside_htmx_4_nothing(
    settings: Any, async_client: AsyncClient
):
    assert scripts.beside_htmx_of_site() == scripts.ours()
    settings.QUOTES = settings.QUOTES | {"HTMX": 2}
    [address] = scripts.beside_htmx_of_site()
    assert "defineExtension" in await content(async_client, address)
    settings.QUOTES = settings.QUOTES | {"HTMX": 4}
    assert scripts.beside_htmx_of_site() == []


async def test_a_copy_of_the_site_is_loaded_in_place_of_ours(
    settings: Any, async_client: AsyncClient, tmp_path: Path
):
    (tmp_path / "mysite").mkdir()
    for name in ("htmx", "hx-ws"):
        (tmp_path / "mysite" / f"{name}.js").write_text(f"/* {name} */")
    settings.STATICFILES_DIRS = [tmp_path]
    copy = ["mysite/htmx.js", "mysite/hx-ws.js"]
    settings.QUOTES = settings.QUOTES | {"HTMX_SCRIPTS": copy}
    assert check_scripts() == []
    [address] = scripts.ours()
    assert await content(async_client, address) == "/* htmx */\n/* hx-ws */"


@pytest.mark.parametrize("collected_into", ["var/static", None])
def test_a_copy_that_is_missing_is_named(settings: Any, collected_into: str | None):
    settings.STATIC_ROOT = collected_into
    settings.QUOTES = settings.QUOTES | {"HTMX_SCRIPTS": ["mysite/nowhere.js"]}
    missing = r"'mysite/nowhere.js', which is not there, must be names of static files"
    with pytest.raises(ImproperlyConfigured, match=missing):
        scripts.ours()
    [warning] = check_scripts()
    assert re.search(missing, warning.msg)
    assert "STATICFILES_DIRS" in (warning.hint or "")
