"""The doctor: looks at a deployment and says what is wrong with it, and what to do.

It disturbs nothing: it takes no lease, leaves every group that it joins, and pays for what it asks
of providers out of the feed's own budget.
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
from quotes.doctor.findings import Finding, Remark, first_line
from quotes.doctor.lease import check_lease
from quotes.doctor.provider import check_provider, load_listed
from quotes.doctor.secrecy import Secrecy
from quotes.providers import REGISTRY

PATIENCE = 15.0  # seconds for each provider


def begin(only: str = "", patience: float = PATIENCE) -> dict[str, asyncio.Task[Finding]]:
    """Begin all checks at once, or that of one provider; return them by name, in order.

    Whoever begins them ends them. No secret of the settings is in what they find.
    """
    names = [only] if only else _enabled()
    listed = asyncio.ensure_future(
        in_database(load_listed, [name for name in names if name in REGISTRY])
    )
    listed.add_done_callback(lambda done: done.cancelled() or done.exception())
    checks: dict[str, Coroutine[Any, Any, Finding]] = {}
    if not only:
        checks = {
            "configuration": check_configuration(),
            "database": check_database(),
            "channel layer": check_layer(),
            "lease": check_lease(),
        }
    for name in names:
        checks[f"provider {name}"] = check_provider(name, listed, patience)
    secrecy = Secrecy()
    return {
        name: asyncio.create_task(_made(name, check, secrecy)) for name, check in checks.items()
    }


def _enabled() -> list[str]:
    try:
        return list(dict.fromkeys(conf.get("PROVIDERS")))
    except ImproperlyConfigured:  # which the check of the configuration says
        return []


async def _made(name: str, check: Coroutine[Any, Any, Finding], secrecy: Secrecy) -> Finding:
    """Wait for a check; whatever happens to it is a finding, without any secret in it."""
    began = time.perf_counter()
    try:
        found = await check
    except ImproperlyConfigured as error:
        found = Finding(name)
        found.fail(first_line(error), "see docs/configuration.md")
    except Exception as error:
        found = Finding(name)
        found.fail(
            f"the check itself failed: {type(error).__name__}: {first_line(error)}",
            "that is a fault of ours: please report it",
        )
    remarks = [
        Remark(secrecy.public(each.words), each.status, secrecy.public(each.to_do))
        for each in found.remarks
    ]
    return Finding(name, remarks, time.perf_counter() - began)
