"""Edits of a site's own files: many forms of urls.py and asgi.py, and nothing else is changed."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.urls import clear_url_caches

from quotes.management import edits

NUMBERS = count(1)
LINE = 'path("market/", include("quotes.urls")),'
FORMS = {  # of urls.py: lines that stay, and with - and + those that change
    "startproject": """
 '''
 URL configuration for mysite project.
     2. Add a URL to urlpatterns:  path('blog/', include('blog.urls'))
 '''
 from django.contrib import admin
-from django.urls import path
+from django.urls import include, path

 urlpatterns = [
+    OURS
     path('admin/', admin.site.urls),
 ]
""",
    "one line": """
 from django.urls import include, path
-urlpatterns = [path('', home)]
+urlpatterns = [OURS path('', home)]
""",
    "empty": """
+from django.urls import include, path
-urlpatterns = []
+urlpatterns = [OURS]
""",
    "first pattern beside the bracket": """
 from django.urls import include, path
-urlpatterns = [path('', home),
+urlpatterns = [OURS path('', home),
     path('shop/', shop)]
""",
    "comments": """
 from django.urls import path  # only this
+from django.urls import include

 urlpatterns = [  # all
+    OURS
     # home
     path('', home),
 ]
""",
    "i18n_patterns beside a list": """
 from django.urls import include, path
 urlpatterns = [
+    OURS
     path('', home),
 ] + i18n_patterns(path('shop/', shop)) + [path('x/', x)]
""",
    "annotated": """
 from django.urls import include, path
 urlpatterns: list[URLPattern] = [
+    OURS
     path('', home),
 ]
""",
    "imports on several lines": """
 from django.urls import (
     path,
     re_path,
 )
+from django.urls import include

 urlpatterns = [
+    OURS
 ]
""",
    "imports below": """
-from django.urls import path
+from django.urls import include, path

 urlpatterns = [
+    OURS
 ]

 from django.urls import include
""",
    "names of its own": """
-from django.urls import path as route
+from django.urls import include, path, path as route
 urlpatterns = [
+    OURS
     route('', home),
 ]
""",
    "everything imported": """
 from django.urls import *
+from django.urls import include, path
 urlpatterns = [
+    OURS
 ]
""",
    "without an import": """
 '''Addresses.'''
+from django.urls import include, path

 urlpatterns = [
+    OURS
 ]
""",
    "unicode": """
 from django.urls import include, path
 ends = '\u2028\x0c'
-größe = 1; urlpatterns = [path('größe/', größe)]
+größe = 1; urlpatterns = [OURS path('größe/', größe)]
""",
}
BY_HAND = [  # no list to add a line to
    "from django.conf.urls.i18n import i18n_patterns\nurlpatterns = i18n_patterns(a, b)\n",
    "urlpatterns = i18n_patterns(a) + [b]\n",
    "urlpatterns = (a, b)\n",
    "from shop.urls import urlpatterns\n",
    "urlpatterns += [a]\n",
    "router.urls\n",
    "",
    "urlpatterns = [\n",
]
ASGI = '''"""
ASGI config for mysite project.
"""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings.production')

application = get_asgi_application()
'''
CHANNELS = """
import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
pages = get_asgi_application()

from chat.routing import websocket_urlpatterns

application = ProtocolTypeRouter({"http": pages, "websocket": URLRouter(websocket_urlpatterns)})
"""


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_our_pages_come_first_and_nothing_else_changes(form: str):
    lines = form.replace("OURS", LINE).strip("\n").split("\n")
    before, after = (
        "".join(f"{line[1:]}\n" for line in lines if line[:1] != other) for other in "+-"
    )
    assert edits.included(before, LINE) == after
    compile(after, "urls.py", "exec")


@pytest.mark.parametrize("text", BY_HAND)
def test_a_file_without_a_list_of_patterns_is_left_to_its_developer(text: str):
    assert edits.included(text, LINE) == ""


@pytest.fixture
def site_with(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Return a maker of a site: a package with the files that are given by name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(**files: str | bytes) -> Path:
        package = f"edited{next(NUMBERS)}"
        folder = tmp_path / package
        folder.mkdir()
        for name, text in {"__init__": "", "urls": "urlpatterns = []\n", **files}.items():
            content = text.encode() if isinstance(text, str) else text
            (folder / f"{name}.py").write_bytes(content)
        settings.ROOT_URLCONF = f"{package}.urls"
        settings.ASGI_APPLICATION = None
        clear_url_caches()
        return folder

    return make


def shown(edit: edits.Edit | None) -> list[str]:
    assert edit is not None
    return list(edit.diff)


def test_the_lines_that_change_are_shown_before_they_are_written(site_with: Callable[..., Path]):
    folder = site_with(urls="urlpatterns = [\n]\n", asgi=ASGI)
    of_urls, of_asgi = edits.missing()
    assert shown(of_urls) == ["+from django.urls import include, path", f"+    {LINE}"]
    assert shown(of_asgi) == [
        "-from django.core.asgi import get_asgi_application",
        "+from quotes.asgi import get_live_application",
        "-application = get_asgi_application()",
        '+application = get_live_application("mysite.settings.production")',
    ]
    assert (folder / "asgi.py").read_text() == ASGI
    of_asgi.write()
    assert "get_live_application" in (folder / "asgi.py").read_text()
    assert edits.of_asgi() is None


USED = [
    "path('market/', print)",
    "re_path('^market/x', print)",
    "path('', include([path('market/<slug:name>/', print)]))",
]


@pytest.mark.parametrize("used", USED)
def test_an_address_that_the_site_uses_is_not_taken(used: str, site_with: Callable[..., Path]):
    site_with(urls=f"from django.urls import include, path, re_path\nurlpatterns = [{used}]\n")
    edit = edits.of_urls()
    assert edit
    assert edit.prefix == "quotes/"
    assert edits.pages([edit]) == "/quotes/"


def test_an_address_that_is_only_in_a_comment_is_free(site_with: Callable[..., Path]):
    site_with(urls='# path("market/", old)\nurlpatterns = []\n')
    edit = edits.of_urls()
    assert edit
    assert edit.prefix == "market/"


def test_a_site_that_uses_all_our_addresses_chooses_one_by_hand(site_with: Callable[..., Path]):
    paths = ", ".join(f"path({each!r}, print)" for each in edits.PREFIXES)
    site_with(urls=f"from django.urls import path\nurlpatterns = [{paths}]\n")
    edit = edits.of_urls()
    assert edit
    assert (edit.after, edit.lines[1]) == ("", 'path("…/", include("quotes.urls")),')


@pytest.mark.parametrize(
    "stored",
    [
        "# größe\r\nfrom django.urls import path\r\n\r\nurlpatterns = [\r\n]\r\n".encode(),
        "# -*- coding: latin-1 -*-\n# größe\nurlpatterns = [\n]\n".encode("latin-1"),
        b"\xef\xbb\xbffrom django.urls import include, path\nurlpatterns = [\n]\n",
    ],
    ids=["the lines of Windows", "latin-1", "with a mark of UTF-8"],
)
def test_a_file_keeps_its_encoding_and_the_ends_of_its_lines(
    stored: bytes, site_with: Callable[..., Path]
):
    folder = site_with(urls=stored)
    edit = edits.of_urls()
    assert edit
    edit.write()
    written = (folder / "urls.py").read_bytes()
    assert b"quotes.urls" in written
    assert (written.count(b"\r\n") == written.count(b"\n")) == (b"\r\n" in stored)
    for line in stored.splitlines():
        assert line in written or line.endswith(b"import path")
    compile(written, "urls.py", "exec")


def test_a_site_with_our_pages_needs_no_edit_of_them(site_with: Callable[..., Path], settings: Any):
    site_with(
        urls="from django.urls import include, path\n"
        "urlpatterns = [path('x/', include('quotes.urls'))]\n"
    )
    assert edits.missing() == []
    assert edits.pages([]) == "/x/"


@pytest.mark.parametrize(
    "text", [CHANNELS, ASGI.replace("application = ", "application = other("), "import os\n"]
)
def test_an_application_of_another_form_is_wrapped_by_hand_and_keeps_its_sockets(
    text: str, site_with: Callable[..., Path]
):
    site_with(asgi=text)
    edit = edits.of_asgi()
    assert edit
    assert (edit.after, edit.lines) == ("", edits.AROUND)


def test_the_file_of_the_application_is_the_one_that_the_settings_name(
    site_with: Callable[..., Path], settings: Any
):
    folder = site_with(asgi="", served=ASGI)
    settings.ASGI_APPLICATION = f"{folder.name}.served.application"
    edit = edits.of_asgi()
    assert edit
    assert edit.path == folder / "served.py"


def test_a_site_without_such_a_file_needs_no_edit_of_it(site_with: Callable[..., Path]):
    site_with()
    assert edits.of_asgi() is None


@pytest.mark.parametrize("form", ["file", "link"])
def test_a_file_is_written_as_a_whole_or_not_at_all(form: str, site_with: Callable[..., Path]):
    folder = site_with(urls="urlpatterns = []\n")
    file = folder / "urls.py"
    if form == "link":
        file = file.rename(folder / "real.py")
        (folder / "urls.py").symlink_to(file)
    file.chmod(0o640)
    edit, before = edits.of_urls(), sorted(folder.iterdir())
    assert edit
    with files_of_at_most(10), pytest.raises(OSError, match="too large"):
        edit.write()
    assert (sorted(folder.iterdir()), file.read_text()) == (before, "urlpatterns = []\n")
    edit.write()
    assert sorted(folder.iterdir()) == before
    assert "quotes.urls" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o640


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let this process write no more bytes than this into a file, as on a disk that is full."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
