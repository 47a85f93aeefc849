"""The pages of the admin: in our colours, and readable by everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from colorsys import rgb_to_hsv
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import SEEDED, STAFF, OpenTab
from tests.servers import Site, site

pytestmark = [pytest.mark.browser, pytest.mark.server]

SCHEMES = ("light", "dark")
QUOTES = "/admin/quotes"
COLOURS = """() => [...new Set([...document.querySelectorAll("body, body *")]
    .filter((place) => place.checkVisibility())
    .map((place) => getComputedStyle(place))
    .flatMap((style) => [style.color, style.backgroundColor, style.borderTopColor]))]"""
DRESS = """(of) => ["color", "backgroundColor", "fontFamily"]
    .map((name) => getComputedStyle(document.querySelector(of))[name])"""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, database_template: Path) -> Iterator[Site]:
    """A site with an admin, which these tests only look at."""
    folder = tmp_path_factory.mktemp("office")
    with site(folder, database_template, "daphne", **SEEDED, **STAFF) as running:
        running.manage("createsuperuser", "--noinput")
        yield running


def sign_in(page: Page) -> None:
    """Sign in as Alice."""
    page.get_by_label("Username").fill(STAFF["DJANGO_SUPERUSER_USERNAME"])
    page.get_by_label("Password").fill(STAFF["DJANGO_SUPERUSER_PASSWORD"])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/")


def teal_or_yellow(page: Page) -> list[str]:
    """Return the colours of a page that look like those of Django's own admin."""
    return [text for text in page.evaluate(COLOURS) if is_teal_or_yellow(text)]


def is_teal_or_yellow(colour: str) -> bool:
    """Return whether a colour in the notation of CSS has one of Django's two hues."""
    hue, saturation, _ = rgb_to_hsv(*map(float, re.findall(r"[\d.]+", colour)[:3]))
    return saturation > 0.3 and (45 < hue * 360 < 75 or 175 < hue * 360 < 212)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_page_has_the_colours_of_djangos_admin(office: Site, tab: OpenTab, scheme: str):
    page = tab(office.url + "/admin/", color_scheme=scheme).page
    assert teal_or_yellow(page) == []
    sign_in(page)
    for path in ("/admin/", f"{QUOTES}/symbol/", f"{QUOTES}/symbol/add/", "/admin/auth/user/1/"):
        page.goto(office.url + path)
        assert teal_or_yellow(page) == [], path
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="Logged out").wait_for()
    assert teal_or_yellow(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_its_header_and_its_text_look_as_on_the_public_pages(
    office: Site, tab: OpenTab, scheme: str
):
    page = tab(office.url + "/", color_scheme=scheme).page
    header, text = page.evaluate(DRESS, ".top"), page.evaluate(DRESS, "body")
    page.goto(office.url + "/admin/")
    assert page.evaluate(DRESS, "body") == text  # the ground around the card of the login
    sign_in(page)
    assert page.evaluate(DRESS, "#header")[1:] == header[1:]
    assert page.evaluate(DRESS, "body")[0] == text[0]


def test_djangos_switch_changes_the_scheme_of_all_colours(office: Site, tab: OpenTab):
    page = tab(office.url + "/admin/", color_scheme="light").page
    light = page.evaluate(DRESS, "body")
    for _ in range(3):
        page.locator(".theme-toggle").click()
        if page.locator("html[data-theme='dark']").count():
            break
    dark = page.evaluate(DRESS, "body")
    page.emulate_media(color_scheme="dark")
    page.evaluate("localStorage.clear()")
    page.reload()
    assert page.evaluate(DRESS, "body") == dark
    assert dark[:2] != light[:2]


def test_the_header_leads_to_our_models(office: Site, tab: OpenTab):
    page = tab(office.url + "/admin/").page
    sign_in(page)
    sections = page.get_by_role("navigation", name="Sections")
    names = ["Boards", "Held prices", "Market days", "Symbols"]
    assert [name.strip() for name in sections.get_by_role("link").all_inner_texts()] == names
    for name in names:
        sections.get_by_role("link", name=name).click()
        page.wait_for_load_state()
        assert sections.locator("[aria-current]").inner_text() == name
