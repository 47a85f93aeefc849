"""`manage.py quotes_setup`, in new projects and in one that has everything."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command

from quotes.models import Board, Symbol
from tests.hosts.projects import Project, borrowed_environment, build_wheel

CSV = "symbol,name,kind,exchange,currency\nBTC-USD,Bitcoin,crypto,CRYPTO,USD\n"
ON_FULL_DISK = """
import resource, runpy, sys

resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
sys.argv = ["manage.py", "quotes_setup", "--write"]
runpy.run_path("manage.py", run_name="__main__")
"""
server = pytest.mark.server


def set_up(*given: Any) -> str:
    """Run the command, and return what it prints."""
    output = StringIO()
    call_command("quotes_setup", *given, stdout=output, stderr=output, no_color=True)
    return output.getvalue()


def printed(output: str) -> list[str]:
    """Return the lines about symbols and groups."""
    return [line for line in output.splitlines() if line.startswith(("Symbols", "Groups"))]


@pytest.mark.django_db
class TestTheSite:
    def test_gets_symbols_boards_and_groups_once(self):
        assert printed(set_up()) == [
            "Symbols  291 symbols added from the starter catalogue; 2 boards",
            "Groups   Quotes viewer, Quotes editor, Quotes operator added",
        ]
        assert printed(set_up()) == [
            "Symbols  291 symbols already; they stay as they are",
            "Groups   Quotes viewer, Quotes editor, Quotes operator exist",
        ]

    def test_gets_the_symbols_of_a_file_and_no_others(self, tmp_path: Path):
        (tmp_path / "mine.csv").write_text(CSV)
        output = set_up(tmp_path / "mine.csv")
        assert printed(output)[0] == "Symbols  1 symbol added from mine.csv; 1 board"
        assert [*Symbol.objects.values_list("code", flat=True)] == ["BTC-USD"]
        assert printed(set_up(tmp_path / "mine.csv"))[0].startswith("Symbols  0 symbols added")

    def test_is_left_as_it_is_by_a_file_with_an_error(self, tmp_path: Path):
        (tmp_path / "mine.csv").write_text(CSV + "AAPL,Apple,stok,NASDAQ,USD\n")
        with pytest.raises(CommandError, match=r"(?s)nothing was changed:.*line 3.*stok"):
            set_up(tmp_path / "mine.csv")
        assert not Symbol.objects.exists()
        assert not Group.objects.exists()

    def test_is_left_as_it_is_by_a_file_that_is_missing(self, tmp_path: Path):
        with pytest.raises(CommandError, match=r"Can't read .*nowhere.csv: No such file"):
            set_up(tmp_path / "nowhere.csv")
        assert not Board.objects.exists()

    def test_keeps_a_group_that_its_operator_changed(self):
        set_up()
        group = Group.objects.get(name="Quotes editor")
        group.permissions.clear()
        set_up()
        assert not group.permissions.exists()

    def test_needs_no_edit_if_it_has_everything(self):
        output = set_up("--write")
        assert not re.search(r"(To do|Before production,) in|Edited", output)
        assert "open http://127.0.0.1:8000/\n" in output


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment with the wheel."""
    folder = tmp_path_factory.mktemp("packages")
    return borrowed_environment(folder / "venv", build_wheel(folder))


@pytest.fixture
def project(environment: str, tmp_path: Path) -> Project:
    """A new project, which only lists the app."""
    made = Project(tmp_path, environment).start()
    made.change("mysite/settings.py", "INSTALLED_APPS = [", 'INSTALLED_APPS = ["quotes",')
    return made


@server
class TestANewProject:
    def test_without_tables_is_led_to_migrate(self, project: Project):
        refused = project.manage("quotes_setup", check=False)
        assert refused.returncode == 1
        assert refused.stderr.startswith("CommandError: the tables of quotes can't be read")
        assert refused.stderr.endswith("Run  manage.py migrate  first.\n")

    def test_sees_its_edits_and_then_has_them(self, project: Project):
        project.manage("migrate", "--verbosity", "0")
        before = [project.read(f"mysite/{name}.py") for name in ("urls", "asgi")]
        shown = project.manage("quotes_setup").stdout
        assert [project.read(f"mysite/{name}.py") for name in ("urls", "asgi")] == before
        assert "To do in mysite/urls.py: our pages" in shown
        assert "Before production, in mysite/asgi.py: our sockets" in shown
        assert '    +     path("market/", include("quotes.urls")),\n' in shown
        assert '    + application = get_live_application("mysite.settings")\n' in shown
        assert "Run  manage.py quotes_setup --write" in shown
        written = project.manage("quotes_setup", "--write").stdout
        assert written.count("Edited   mysite/") == 2
        assert "open http://127.0.0.1:8000/market/\n" in written
        assert "no issues" in project.manage("check", "--database", "default").stdout
        again = project.manage("quotes_setup", "--write").stdout
        assert not re.search(r"(To do|Before production,) in|Edited", again)
        with project.served("-m", "uvicorn", "mysite.asgi:application", "--port", "{port}"):
            assert 'data-symbol="BTC-USD"' in project.get("/market/boards/crypto/")

    def test_with_files_of_other_forms_gets_lines_to_add_by_hand(self, project: Project):
        project.manage("migrate", "--verbosity", "0")
        project.write("mysite/urls.py", "urlpatterns = ()\n")
        project.write("mysite/asgi.py", "application = None\n")
        output = project.manage("quotes_setup", "--write").stdout
        assert output.count("This file has an unexpected form: edit it by hand.") == 2
        for line in (
            "from django.urls import include, path",
            'path("market/", include("quotes.urls")),',
            "application = live_application(application)",
        ):
            assert f"    + {line}\n" in output
        assert project.read("mysite/urls.py") == "urlpatterns = ()\n"

    def test_whose_files_cannot_be_written_gets_lines_to_add_by_hand(self, project: Project):
        project.manage("migrate", "--verbosity", "0")
        project.manage("quotes_setup")
        before = project.read("mysite/urls.py")
        output = project.run("-c", ON_FULL_DISK).stdout
        assert output.count("This file can't be written (File too large): edit it by hand.") == 2
        assert '    +     path("market/", include("quotes.urls")),\n' in output
        assert project.read("mysite/urls.py") == before

    def test_without_accounts_gets_no_groups(self, project: Project):
        project.write(
            "bare.py",
            'SECRET_KEY = "of the test"\nINSTALLED_APPS = ["quotes"]\n'
            'ROOT_URLCONF = "quotes.urls"\nUSE_TZ = True\n'
            'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "bare"}}\n'
            'TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", '
            '"APP_DIRS": True}]\n',
        )
        project.manage("migrate", "--settings", "bare", "--verbosity", "0")
        output = project.manage("quotes_setup", "--settings", "bare").stdout
        assert printed(output) == [
            "Symbols  291 symbols added from the starter catalogue; 2 boards",
            "Groups   none, because django.contrib.auth is not in INSTALLED_APPS",
        ]
