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
from quotes.models import (
    FeedLease,
    HeldPrice,
    LastQuote,
    ProviderSymbol,
    ProviderUse,
    Symbol,
)
from quotes.pending import Held
from quotes.providers import Instrument, provider_class
from quotes.quote import Quote

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=7)  # renewed long before; after this another process may lead
ROWS = 1000  # that one statement writes, at most

MOST_HELD = 1000  # held prices that are kept for the admin

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


def save_held_prices(held: Iterable[Held]) -> None:
    """List prices that were held back, and what became of them; the oldest are forgotten."""
    newest = {(each.quote.symbol, each.quote.received_at): each for each in held}
    ids = dict(Symbol.objects.values_list("code", "pk"))
    rows = [
        HeldPrice(
            symbol_id=ids[code],
            at=at,
            provider=each.quote.provider,
            last=f"{each.quote.last:f}",
            before=f"{each.before:f}",
            currency=each.quote.currency,
            outcome=each.outcome,
        )
        for (code, at), each in newest.items()
        if code in ids
    ]
    if not rows:
        return
    HeldPrice.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["symbol", "at"], update_fields=["outcome"]
    )
    kept = list(HeldPrice.objects.values_list("pk", flat=True)[:MOST_HELD])
    HeldPrice.objects.exclude(pk__in=kept).delete()


def load_uses() -> dict[str, tuple[str, int]]:
    """Read how often each provider was asked in which month."""
    return {row.provider: (row.month, row.requests) for row in ProviderUse.objects.all()}


def add_uses(more: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
    """Count more requests in a month, by provider; return what `load_uses` does.

    Any number of processes may count: each adds its own to what the others did.
    """
    for name, (month, requests) in more.items():
        use, _ = ProviderUse.objects.get_or_create(
            provider=name, defaults={"month": month, "requests": 0}
        )
        rows = ProviderUse.objects.filter(pk=use.pk)
        rows.filter(month__lt=month).update(month=month, requests=0)
        rows.filter(month=month).update(requests=F("requests") + requests)
    return load_uses()


def load_chains() -> dict[str, tuple[str, ...]]:
    """Say of which providers each active symbol is asked, by code: the best first."""
    classes = {name: provider_class(name) for name in conf.get("PROVIDERS")}
    known = load_instruments((name, found.needs_code) for name, found in classes.items())
    chains: dict[str, tuple[str, ...]] = {}
    for name, instruments in known.items():
        for symbol in {each.symbol for each in instruments}:
            if symbol not in chains or not classes[name].invented:
                chains[symbol] = (*chains.get(symbol, ()), name)
    return chains


def load_instruments(providers: Iterable[tuple[str, bool]]) -> dict[str, list[Instrument]]:
    """Return what each provider has of the active symbols, by provider.

    Providers are (name, needs_code); one that needs no code has all.
    """
    codes = {
        (row.symbol_id, row.provider): row.code
        for row in ProviderSymbol.objects.filter(symbol__active=True)
    }
    symbols = list(Symbol.objects.filter(active=True))
    known: dict[str, list[Instrument]] = {}
    for name, needs_code in providers:
        asked = (
            (each, codes.get((each.pk, name), "" if needs_code else each.code)) for each in symbols
        )
        known[name] = [_instrument(symbol, code) for symbol, code in asked if code]
    return known


def lead(holder: str) -> int | None:
    """Take the feed's lease if it is free; return the epoch that begins, or None.

    The database's clock alone says whether: those of several machines may differ.
    """
    lease, _ = FeedLease.objects.get_or_create(pk=1)
    free = Q(holder="") | Q(expires_at__lt=Now()) | Q(expires_at=None)
    if died_here(lease.holder):
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


def died_here(holder: str) -> bool:
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
