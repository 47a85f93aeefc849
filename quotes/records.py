"""What the live parts keep in the database: last quotes, tick sizes, and who runs the feed."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal

from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Now

from quotes import conf
from quotes.models import FeedLease, LastQuote, ProviderSymbol, Symbol
from quotes.providers import Instrument, provider_class
from quotes.quote import Quote

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=7)  # renewed long before; after this another process may lead
ROWS = 1000  # that one statement writes, at most

Version = tuple[int, int]

WRITE = """
INSERT INTO quotes_lastquote (symbol_id, epoch, batch, wire) VALUES {}
ON CONFLICT (symbol_id) DO UPDATE
SET epoch = excluded.epoch, batch = excluded.batch, wire = excluded.wire
WHERE (quotes_lastquote.epoch, quotes_lastquote.batch) <= (excluded.epoch, excluded.batch)
"""  # which `bulk_create` can't say


def load_last_quotes() -> list[tuple[Version, Quote]]:
    """Read the last quote of every symbol with the version that brought it."""
    found = []
    for row in LastQuote.objects.filter(symbol__active=True):
        try:
            found.append(((row.epoch, row.batch), row.quote))
        except ValueError as error:  # another release wrote it; the feed will write it anew
            logger.warning("the last quote of symbol %s is left out: %s", row.pk, error)
    return found


def save_last_quotes(quotes: Mapping[str, tuple[Version, Quote]]) -> None:
    """Write down quotes by symbol, in a few statements however many they are.

    What another feed wrote since, while this one was paused, stays: the database compares in the
    statement that writes, for this process may be paused between any two.
    """
    ids = dict(Symbol.objects.filter(code__in=quotes).values_list("code", "pk"))
    rows = [
        (ids[code], *version, json.dumps(quote.to_wire()))
        for code, (version, quote) in quotes.items()
        if code in ids
    ]
    with connection.cursor() as cursor:
        for some in (rows[first : first + ROWS] for first in range(0, len(rows), ROWS)):
            places = ", ".join(["(%s, %s, %s, %s)"] * len(some))
            cursor.execute(WRITE.format(places), [value for row in some for value in row])


def save_tick_sizes(sizes: Mapping[str, Decimal]) -> None:
    """Write down tick sizes that a provider told, where nobody had set one."""
    for code, size in sizes.items():
        Symbol.objects.filter(code=code, tick_size=None).update(tick_size=size)


def load_preferences() -> dict[str, str]:
    """Say of which provider each active symbol is asked, by code."""
    wanted = [(name, provider_class(name).needs_code) for name in conf.get("PROVIDERS")]
    divided = load_instruments(wanted).items()
    return {each.symbol: name for name, instruments in divided for each in instruments}


def load_instruments(providers: Iterable[tuple[str, bool]]) -> dict[str, list[Instrument]]:
    """Divide the active symbols among providers: each goes to the first that has it.

    Providers are (name, needs_code) in order of preference; one that needs no code has all.
    """
    codes = {
        (row.symbol_id, row.provider): row.code
        for row in ProviderSymbol.objects.filter(symbol__active=True)
    }
    ordered = list(providers)
    divided: dict[str, list[Instrument]] = {name: [] for name, _ in ordered}
    for symbol in Symbol.objects.filter(active=True):
        for name, needs_code in ordered:
            code = codes.get((symbol.pk, name), "" if needs_code else symbol.code)
            if code:
                divided[name].append(_instrument(symbol, code))
                break
    return divided


def lead(holder: str) -> int | None:
    """Take the feed's lease if it is free; return the epoch that begins, or None.

    The database's clock alone says whether: those of several machines may differ.
    """
    lease, _ = FeedLease.objects.get_or_create(pk=1)
    free = Q(holder="") | Q(expires_at__lt=Now()) | Q(expires_at=None)
    if _died_here(lease.holder):
        free |= Q(holder=lease.holder)
    taken = FeedLease.objects.filter(free, pk=1, epoch=lease.epoch).update(
        holder=holder, epoch=F("epoch") + 1, expires_at=Now() + LEASE
    )
    return lease.epoch + 1 if taken else None


def still_leads(holder: str, epoch: int) -> bool:
    """Renew the lease; say whether it was still ours."""
    lease = FeedLease.objects.filter(pk=1, holder=holder, epoch=epoch)
    return bool(lease.update(expires_at=Now() + LEASE))


def step_down(holder: str, epoch: int) -> None:
    """Give the lease back, so that the next process need not wait for its end."""
    FeedLease.objects.filter(pk=1, holder=holder, epoch=epoch).update(holder="", expires_at=None)


def this_process() -> str:
    """Name this process: "host:pid"."""
    return f"{socket.gethostname()[:80]}:{os.getpid()}"


def _died_here(holder: str) -> bool:
    """Say whether the holder was a process of this machine that is gone."""
    host, _, pid = holder.rpartition(":")
    if host != socket.gethostname()[:80] or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    # the pid was given to us anew, as containers do
    return int(pid) == os.getpid()


def _instrument(symbol: Symbol, code: str) -> Instrument:
    return Instrument(
        symbol=symbol.code,
        code=code,
        kind=symbol.kind,
        currency=symbol.currency,
        tick_size=symbol.tick_size,
        name=symbol.name,
        start=symbol.start,
    )
