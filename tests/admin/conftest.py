"""Alice, who runs the site, and a site whose admin requests prices from a stub of Coinbase."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.servers import Stub


@pytest.fixture
def alice(db: None) -> Client:
    """Alice runs the site; she is logged in."""
    client = Client()
    client.force_login(User.objects.create(username="alice", is_staff=True, is_superuser=True))
    return client


@pytest.fixture(scope="module")
def running() -> Iterator[Stub]:
    """A stub of Coinbase that the tests of this file share."""
    stub = Stub()
    yield stub
    stub.stop()


@pytest.fixture
def coinbase(running: Stub, settings: Any) -> Iterator[Stub]:
    """A site with prices of Coinbase."""
    settings.QUOTES = {
        "PROVIDERS": ["coinbase", "simulated"],
        "PROVIDER_OPTIONS": {"coinbase": {"rest_url": f"http://127.0.0.1:{running.port}"}},
    }
    yield running
    running.ask("/_mode?to=ok")
