"""Checks of the parts of every deployment: configuration, database and channel layer."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.checks import WARNING, run_checks
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Count, F
from django.db.models.functions import Now

from quotes import conf
from quotes.doctor.beside import in_database, in_thread
from quotes.doctor.findings import Report, first_line
from quotes.live import layer
from quotes.models import FeedLease, ProviderSymbol
from quotes.providers import REGISTRY
from quotes.providers.kit.client import host

MAX_CLOCK_DIFFERENCE = 1.0  # seconds between our clock and the database's
ECHO = 5.0  # seconds for a message to come back through the layer
ECHOES = 3  # messages that are sent, of which the fastest counts
AGAIN = 0.5  # seconds after which it is sent again
MAX_NAMED = 3  # migrations, or providers


async def check_configuration() -> Report:
    """Run the system checks of Django and of all apps."""
    report = Report("configuration")
    names, debug = ", ".join(conf.get("PROVIDERS")), "on" if settings.DEBUG else "off"
    report.ok(f"providers {names or 'none'}; feed {conf.get('FEED')}; debug {debug}")
    static = partial(run_checks, databases=[])  # by default Django 6.1 opens every database
    for each in await in_thread(static):
        if each.level >= WARNING and not each.is_silenced():
            add = report.fail if each.is_serious() else report.warn
            add(f"{each.msg} ({each.id})", str(each.hint or ""))
    return report


async def check_database() -> Report:
    """Check whether the database answers, is migrated, can be written to, and has the right time.

    The time is right if it is the same as the time of this machine.
    """
    try:
        return await in_database(_examine_database)
    except Exception as error:  # each driver has exceptions of its own
        report = Report("database")
        is_file = connections[DEFAULT_DB_ALIAS].vendor == "sqlite"
        remedy = "restore its file from a backup" if is_file else "start the database"
        report.fail(
            f"can't be used: {first_line(error)}",
            f"{remedy} or correct its address, DATABASE_URL in this project, DATABASES in a site "
            "of your own. The feed continues when it answers",
        )
        return report


async def check_layer() -> Report:
    """Check whether a message to a group of our own comes back."""
    report, alias = Report("channel layer"), conf.get("CHANNEL_LAYER")
    if alias not in conf.layers() and alias != conf.DEFAULTS["CHANNEL_LAYER"]:
        report.fail(
            f"{alias!r} is missing in CHANNEL_LAYERS",
            "add it to CHANNEL_LAYERS, or correct CHANNEL_LAYER in QUOTES",
        )
        return report
    try:
        async with asyncio.timeout(ECHO):
            took = await _echo(layer.channel_layer())
    except Exception as error:  # each layer has exceptions of its own
        late = f"no message came back within {ECHO:g} s"
        report.fail(
            f"can't be used: {late if isinstance(error, TimeoutError) else first_line(error)}",
            f"start Redis or correct its address, {conf.LAYER}. Pages are current within 5 s after "
            "Redis answers",
        )
        return report
    where = "in memory" if layer.in_memory() else _place_of_layer(alias)
    report.ok(f"{where}: a message came back in {took * 1000:.0f} ms")
    if layer.in_memory():
        report.ok(
            "other processes read the last quotes from the database. So that they hear the feed, "
            f"set {conf.LAYER}"
        )
    return report


def compare_clocks(report: Report, ahead: float, limit: float) -> None:
    """Report how far a clock is from that of this machine; `ahead` and `limit` are seconds."""
    if abs(ahead) <= limit:
        report.ok(f"its clock and the clock of this machine agree within {limit:g} s")
        return
    report.warn(
        f"its clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} "
        "the clock of this machine",
        "set the clocks of all machines by NTP; “timedatectl” shows whether NTP is active",
    )


def _examine_database() -> Report:
    report, connection = Report("database"), connections[DEFAULT_DB_ALIAS]
    with connection.cursor() as cursor:
        began = time.perf_counter()
        cursor.execute("SELECT 1")
        took = time.perf_counter() - began
    report.ok(f"{_place_of_database(connection)}: answered in {took * 1000:.0f} ms")
    if _examine_migrations(report, connection):
        _examine_clock(report, connection)
        _examine_codes(report)
        _try_to_write(report)
    return report


def _place_of_database(connection: Any) -> str:
    given = connection.settings_dict
    at = ":".join(str(given[part]) for part in ("HOST", "PORT") if given.get(part))
    return f"{connection.display_name}, {given['NAME']}" + (f" at {at}" if at else "")


def _examine_migrations(report: Report, connection: Any) -> bool:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    missing = [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
    here = executor.loader.disk_migrations or {}
    ours = [each for each in executor.loader.applied_migrations if each[0] == "quotes"]
    newer = [".".join(each) for each in ours if each not in here]
    if missing:
        migrations = "migration is" if len(missing) == 1 else "migrations are"
        report.fail(
            f"{len(missing)} {migrations} not applied: {_list(missing)}",
            "run “manage.py migrate” and restart all processes",
        )
    elif newer:
        report.warn(
            f"it was migrated by another release: {_list(newer)}",
            "install that release again, or use it to undo its migrations with “manage.py migrate”",
        )
    else:
        report.ok("all migrations are applied")
    return not missing


def _list(names: list[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _examine_clock(report: Report, connection: Any) -> None:
    # The time is selected beside a row, and the table of migrations always has one.
    rows = MigrationRecorder(connection).migration_qs.annotate(now=Now())
    before = datetime.now(UTC)
    theirs = rows.values_list("now", flat=True)[0]
    ours = before + (datetime.now(UTC) - before) / 2
    compare_clocks(report, (theirs - ours).total_seconds(), MAX_CLOCK_DIFFERENCE)


def _examine_codes(report: Report) -> None:
    lost = ProviderSymbol.objects.exclude(provider__in=REGISTRY).order_by("provider")
    counts = lost.values_list("provider").annotate(Count("pk"))
    if unknown := [f"{name!r} ({count})" for name, count in counts]:
        report.warn(
            f"some provider codes have an unknown provider: {_list(unknown)}",
            f"correct them in the admin; the provider must be one of: {', '.join(REGISTRY)}",
        )


def _try_to_write(report: Report) -> None:
    try:
        # No row has such a holder, so this changes nothing.
        FeedLease.objects.filter(holder=uuid4().hex).update(epoch=F("epoch"))
    except Error as error:
        report.fail(
            f"can't be written to: {first_line(error)}",
            "check whether the disk is full, the server is a read-only standby, the file belongs "
            "to another user, or another program holds a lock. Last quotes stay in memory until "
            "the database accepts them",
        )


async def _echo(channels: Any) -> float:
    group = f"quotes.doctor.{uuid4().hex}"
    channel = await channels.new_channel()
    await channels.group_add(group, channel)
    try:
        # The first one takes longer: it opens a connection.
        return min([await _one_echo(channels, group, channel) for _ in range(ECHOES)])
    finally:
        await channels.group_discard(group, channel)


async def _one_echo(channels: Any, group: str, channel: str) -> float:
    began = time.perf_counter()
    coming = asyncio.ensure_future(channels.receive(channel))
    try:
        while not coming.done():  # Redis may take a message before it knows of the group
            await channels.group_send(group, {"type": "quotes.doctor"})
            await asyncio.wait([coming], timeout=AGAIN)
        coming.result()
        return time.perf_counter() - began
    finally:
        coming.cancel()


def _place_of_layer(alias: str) -> str:
    given = settings.CHANNEL_LAYERS[alias]
    hosts = given.get("CONFIG", {}).get("hosts", [])
    places = [each.get("address", "") if isinstance(each, dict) else each for each in hosts]
    named = [host(each) if isinstance(each, str) else ":".join(map(str, each)) for each in places]
    return " ".join([given["BACKEND"].rpartition(".")[2], *filter(None, named)])
