"""What every deployment stands on: a configuration, a database, and a layer between processes."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.conf import settings
from django.core.checks import WARNING, run_checks
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Count, F
from django.db.models.functions import Now

from quotes import conf
from quotes.doctor.beside import beside, in_database
from quotes.doctor.findings import Finding, first_line
from quotes.models import FeedLease, ProviderSymbol
from quotes.providers import REGISTRY
from quotes.providers.kit.client import host

MOST_APART = 1.0  # seconds between our clock and the database's
ECHO = 5.0  # seconds for a message to come back through the layer
ECHOES = 3
AGAIN = 0.5  # seconds after which it is sent again
MOST_NAMED = 3  # migrations, or providers


async def check_configuration() -> Finding:
    """Run the system checks of Django and of all apps."""
    found = Finding("configuration")
    names, debug = ", ".join(conf.get("PROVIDERS")), "on" if settings.DEBUG else "off"
    found.say(f"providers {names or 'none'}; feed {conf.get('FEED')}; debug {debug}")
    static = partial(run_checks, databases=[])  # by default Django 6.1 opens every database
    for each in await beside(static):
        if each.level >= WARNING and not each.is_silenced():
            remark = found.fail if each.is_serious() else found.warn
            remark(f"{each.msg} ({each.id})", str(each.hint or ""))
    return found


async def check_database() -> Finding:
    """Reach the database: is it up to date, can it be written to, is its clock ours?"""
    try:
        return await in_database(_examine_database)
    except Exception as error:  # each driver has exceptions of its own
        found = Finding("database")
        found.fail(
            f"can't be used: {first_line(error)}",
            "start the database, or correct DATABASE_URL; the feed goes on when it answers",
        )
        return found


async def check_layer() -> Finding:
    """Send a message through a group of our own, and see it come back."""
    found, alias = Finding("channel layer"), conf.get("CHANNEL_LAYER")
    if alias not in getattr(settings, "CHANNEL_LAYERS", {}):
        found.fail(f"CHANNEL_LAYERS lacks {alias!r}", "see the configuration")
        return found
    try:
        async with asyncio.timeout(ECHO):
            took = await _echo(get_channel_layer(alias))
    except Exception as error:  # each layer has exceptions of its own
        words = "nothing comes back" if isinstance(error, TimeoutError) else first_line(error)
        found.fail(
            f"takes no messages: {words}",
            "start Redis, or correct REDIS_URL; pages are current within 5 s of its return",
        )
        return found
    where = "in memory" if in_memory() else _place_of_layer(alias)
    found.say(f"{where}: a message came back in {took * 1000:.0f} ms")
    if in_memory():
        found.say("only pages of the process that runs the feed are live: for more set REDIS_URL")
    return found


def in_memory() -> bool:
    """Say whether messages stay within one process."""
    return isinstance(get_channel_layer(conf.get("CHANNEL_LAYER")), InMemoryChannelLayer)


def remark_clock(found: Finding, ahead: float, most: float) -> None:
    """Remark how far a clock is from ours; `ahead` and `most` are seconds."""
    if abs(ahead) <= most:
        found.say(f"its clock and ours agree within {most:g} s")
        return
    found.warn(
        f"its clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} ours",
        "let NTP set the clocks of all machines: timedatectl says whether it does",
    )


def _examine_database() -> Finding:
    found, connection = Finding("database"), connections[DEFAULT_DB_ALIAS]
    with connection.cursor() as cursor:
        began = time.perf_counter()
        cursor.execute("SELECT 1")
        took = time.perf_counter() - began
    found.say(f"{_place_of_database(connection)}: answers in {took * 1000:.0f} ms")
    if _examine_migrations(found, connection):
        _examine_clock(found, connection)
        _examine_codes(found)
        _try_to_write(found)
    return found


def _place_of_database(connection: Any) -> str:
    given = connection.settings_dict
    at = ":".join(str(given[part]) for part in ("HOST", "PORT") if given.get(part))
    return f"{connection.display_name}, {given['NAME']}" + (f" at {at}" if at else "")


def _examine_migrations(found: Finding, connection: Any) -> bool:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    missing = [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
    here = executor.loader.disk_migrations or {}
    ours = [each for each in executor.loader.applied_migrations if each[0] == "quotes"]
    newer = [".".join(each) for each in ours if each not in here]
    if missing:
        migrations = "migration is" if len(missing) == 1 else "migrations are"
        found.fail(
            f"{len(missing)} {migrations} not applied: {_named(missing)}",
            "manage.py migrate,  then restart all processes",
        )
    elif newer:
        found.warn(
            f"another release migrated it: {_named(newer)}",
            "install that release again, or go back with its  manage.py migrate quotes",
        )
    else:
        found.say("all migrations are applied")
    return not missing


def _named(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _examine_clock(found: Finding, connection: Any) -> None:
    # The table of migrations has a row for sure, to select the time beside.
    rows = MigrationRecorder(connection).migration_qs.annotate(now=Now())
    before = datetime.now(UTC)
    told = rows.values_list("now", flat=True)[0]
    ours = before + (datetime.now(UTC) - before) / 2
    remark_clock(found, (told - ours).total_seconds(), MOST_APART)


def _examine_codes(found: Finding) -> None:
    lost = ProviderSymbol.objects.exclude(provider__in=REGISTRY).order_by("provider")
    counts = lost.values_list("provider").annotate(Count("pk"))
    if named := [f"{name!r} ({count})" for name, count in counts]:
        found.warn(
            f"provider codes name no provider: {_named(named)}",
            f"correct them in the admin: a provider is one of {', '.join(REGISTRY)}",
        )


def _try_to_write(found: Finding) -> None:
    try:
        # No row has such a holder: this only fails where nothing may be written.
        FeedLease.objects.filter(holder=uuid4().hex).update(epoch=F("epoch"))
    except Error as error:
        found.fail(
            f"can't be written to: {first_line(error)}",
            "look for a full disk, a standby server, a file of another user, or a program that "
            "holds a lock; last quotes wait meanwhile",
        )


async def _echo(door: Any) -> float:
    group = f"quotes.doctor.{uuid4().hex}"
    channel = await door.new_channel()
    await door.group_add(group, channel)
    try:
        # The first is late: a connection opens for it.
        return min([await _one_echo(door, group, channel) for _ in range(ECHOES)])
    finally:
        await door.group_discard(group, channel)


async def _one_echo(door: Any, group: str, channel: str) -> float:
    began = time.perf_counter()
    coming = asyncio.ensure_future(door.receive(channel))
    try:
        while not coming.done():  # Redis may take a message before it knows of the group
            await door.group_send(group, {"type": "quotes.doctor"})
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
