"""The site on PostgreSQL: the same pages, and last quotes to the last digit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import Postgres, Site, eventually, manage

pytestmark = pytest.mark.server


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_the_board_runs_on_postgresql(server: str, postgres_server: Postgres, tmp_path: Path):
    site = Site(tmp_path, server, DATABASE_URL=postgres_server.url)
    script = "from quotes.models import LastQuote; print(LastQuote.objects.count())"

    def written() -> bool:
        found = manage("shell", "--verbosity", "0", "--command", script, **site.env)
        return found.stdout.strip() == "291"

    try:
        site.start()
        assert 'data-symbol="BTC-USD"' in site.get("/boards/crypto/")
        eventually(written, "291 last quotes are written down")
    finally:
        site.stop()
