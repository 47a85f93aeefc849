"""Probes answer whichever host and scheme a monitor asks for; other addresses do not."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import AsyncClient

from quotes.probes import is_error

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
