"""Probes answer whichever host and scheme a monitor requests; other addresses do not."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import urllib.request
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import AsyncClient

from quotes import metrics
from quotes.probes import is_error
from tests.servers import PATIENCE, free_port

pytestmark = pytest.mark.usefixtures("live_parts")
PROBES = ("/healthz", "/readyz", "/metrics")


@pytest.mark.parametrize("hosts", [["quotes.example"], ["testserver"]])
@pytest.mark.parametrize("path", PROBES)
async def test_a_probe_answers_any_host_without_https(
    settings: Any, async_client: AsyncClient, path: str, hosts: list[str]
):
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = hosts, True
    answer = await async_client.get(path)
    assert answer.status_code == (503 if path == "/readyz" else 200)  # no batch came yet


@pytest.mark.parametrize(("hosts", "status"), [(["quotes.example"], 400), (["testserver"], 301)])
@pytest.mark.parametrize("path", ["/", "/boards/healthz", "/nowhere/metrics"])
async def test_pages_are_for_the_hosts_of_the_site_and_for_https(
    settings: Any, async_client: AsyncClient, path: str, hosts: list[str], status: int
):
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = hosts, True
    assert (await async_client.get(path)).status_code == status


async def test_a_process_that_is_not_ready_is_no_error_in_the_log(
    async_client: AsyncClient, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.ERROR, "django.request"):
        assert (await async_client.get("/readyz")).status_code == 503
    assert caplog.records == []


def test_the_log_of_a_site_can_have_the_filter():
    given = {"()": "django.utils.log.CallbackFilter", "callback": "ext://quotes.probes.is_error"}
    log = {"version": 1, "filters": {"errors": given}}
    code = "import django; from django.conf import settings; settings.configure("
    code += f"INSTALLED_APPS=['quotes'], LOGGING={log!r}); django.setup()"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=PATIENCE)


async def test_a_probe_that_fails_is_in_the_log_with_its_traceback(
    settings: Any, async_client: AsyncClient, caplog: pytest.LogCaptureFixture
):
    settings.QUOTES = settings.QUOTES | {"METRICS_FROM": None}
    async_client.raise_request_exception = False
    with caplog.at_level(logging.ERROR, "django.request"):
        assert (await async_client.get("/metrics")).status_code == 500
    [record] = caplog.records
    assert record.exc_info
    assert is_error(record)


async def test_a_feed_that_hangs_is_not_live_and_its_figures_come_back(
    live_parts: Any, monkeypatch: pytest.MonkeyPatch
):
    port = free_port()
    metrics.listen(live_parts, "127.0.0.1", port)

    def figures() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE) as answer:
            return answer.read().decode()

    with monkeypatch.context() as patched:
        patched.setattr(metrics, "LOOP_ANSWERS_WITHIN", 0.01)
        hanging = figures()  # in the loop, which reads nothing meanwhile
    assert "quotes_live 0.0" in hanging
    assert "quotes_sockets" not in hanging
    assert "quotes_sockets 0.0" in await asyncio.to_thread(figures)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "a", "9" * 5000])
def test_a_port_that_can_not_be_is_refused_with_what_is_allowed(port: str):
    with pytest.raises(CommandError, match="is not a valid port, must be 1 to 65535"):
        call_command("runfeed", f"--metrics-port={port}")
