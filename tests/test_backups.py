"""The commands of docs/operations.md that back up and restore a database, beside a running site."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import lacking
from tests.servers import ROOT, Postgres, Site, eventually
from tests.snippets import snippets

pytestmark = pytest.mark.server

COMMANDS = snippets("sh", ROOT / "docs" / "operations.md")


def run(site: Site, program: str) -> None:
    """Run the commands of the document that use a program, in the folder of a site."""
    [command] = [each for each in COMMANDS if each.startswith(program)]
    env = os.environ | {"DATABASE_URL": site.env["DATABASE_URL"]}
    done = subprocess.run(
        ["sh", "-ec", command],
        cwd=site.folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def bring_back(site: Site, *, backup: str, restore: str) -> None:
    """Back up while the site runs, take a symbol off its board, restore, and see it there again."""
    try:
        site.start()
        eventually(lambda: site.get("/readyz") == "ok", "the site is live")
        run(site, backup)
        script = "from quotes.models import BoardSymbol as Row; "
        script += "Row.objects.filter(symbol__code='BTC-USD').delete()"
        site.manage("shell", "--verbosity", "0", "--command", script)
        row = 'data-symbol="BTC-USD"'
        eventually(lambda: row not in site.get("/boards/crypto/"), "the row is gone")
        site.stop()
        run(site, restore)
        site.start()
        assert row in site.get("/boards/crypto/")
        eventually(lambda: site.get("/readyz") == "ok", "the restored site is live")
    finally:
        site.stop()


def test_a_backup_of_sqlite_restores_what_was_deleted(database_template: Path, tmp_path: Path):
    if not shutil.which("sqlite3"):
        lacking("sqlite3", "sqlite3")
    url = f"sqlite:///{shutil.copy(database_template, tmp_path / 'db.sqlite3')}"
    bring_back(Site(tmp_path, DATABASE_URL=url), backup="sqlite3", restore="rm -f db.sqlite3-wal")


def test_a_backup_of_postgresql_restores_what_was_deleted(
    postgres_server: Postgres, tmp_path: Path
):
    site = Site(tmp_path, DATABASE_URL=postgres_server.url)
    bring_back(site, backup="pg_dump", restore="pg_restore")
