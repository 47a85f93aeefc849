"""The doctor: checks a deployment and reports what is wrong, and what to do about it.

It does not disturb a running feed: it takes no lease, leaves every group that it joins, and counts
its requests to providers in the feed's own budget.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from quotes import conf
from quotes.doctor.beside import in_database
from quotes.doctor.deployment import check_configuration, check_database, check_layer
from quotes.doctor.findings import Finding, Report, first_line
from quotes.doctor.lease import check_lease
from quotes.doctor.provider import check_provider, load_stored
from quotes.doctor.secrecy import Secrecy
from quotes.providers import REGISTRY

PATIENCE = 15.0  # seconds for each provider


def begin(only: str = "", patience: float = PATIENCE) -> dict[str, asyncio.Task[Report]]:
    """Begin all checks at once, or that of one provider; return them by name, in order.

    The caller must await or cancel them. Their reports contain no secret of the settings.
    """
    names = [only] if only else _enabled()
    stored = asyncio.ensure_future(
        in_database(load_stored, [name for name in names if name in REGISTRY])
    )
    stored.add_done_callback(lambda done: done.cancelled() or done.exception())
    checks: dict[str, Coroutine[Any, Any, Report]] = {}
    if not only:
        checks = {
            "configuration": check_configuration(),
            "database": check_database(),
            "channel layer": check_layer(),
            "lease": check_lease(),
        }
    for name in names:
        checks[f"provider {name}"] = check_provider(name, stored, patience)
    secrecy = Secrecy()
    return {name: asyncio.create_task(_run(name, check, secrecy)) for name, check in checks.items()}


def _enabled() -> list[str]:
    try:
        return list(dict.fromkeys(conf.get("PROVIDERS")))
    except ImproperlyConfigured:  # reported by the check of the configuration
        return []


async def _run(name: str, check: Coroutine[Any, Any, Report], secrecy: Secrecy) -> Report:
    """Run a check and hide all secrets in its report; an exception becomes a finding."""
    began = time.perf_counter()
    try:
        report = await check
    except ImproperlyConfigured as error:
        report = Report(name)
        report.fail(first_line(error), "correct the setting, see docs/configuration.md")
    except Exception as error:
        report = Report(name)
        report.fail(
            f"the check itself failed: {type(error).__name__}: {first_line(error)}",
            "this is a bug in Quoteboard, please report it",
        )
    findings = [
        Finding(secrecy.public(each.text), each.status, secrecy.public(each.to_do))
        for each in report.findings
    ]
    return Report(name, findings, time.perf_counter() - began)
