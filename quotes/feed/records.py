"""What the live parts keep in the database: last quotes, tick sizes, and who runs the feed."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from math import inf

from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Now

from quotes.feed.gate import CROSSED, Held
from quotes.models import (
    FeedLease,
    HeldPrice,
    LastQuote,
    ProviderSymbol,
    ProviderUse,
    Symbol,
)
from quotes.providers import Instrument, Provider, provider_class
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
            last=_as_text("last", each.quote.last),
            before=_as_text("before", each.before),
            book=_as_text("book", _book(each)),
            currency=_as_text("currency", each.quote.currency),
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


def load_chains(names: Sequence[str]) -> dict[str, dict[str, Instrument]]:
    """Read of which of these providers each active symbol is asked, and as what: the best first.

    Those that the admin gives a position come by it, the others after them in the order given.
    Invented prices never stand in for real ones.
    """
    rows: dict[int, dict[str, ProviderSymbol]] = {}
    for row in ProviderSymbol.objects.filter(symbol__active=True):
        rows.setdefault(row.symbol_id, {})[row.provider] = row
    providers = [provider_class(name) for name in names]
    symbols = Symbol.objects.filter(active=True)
    chains = ((each.code, _chain(each, rows.get(each.pk, {}), providers)) for each in symbols)
    return {code: chain for code, chain in chains if chain}


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


def _book(held: Held) -> str:
    return f"{held.quote.bid:f} / {held.quote.ask:f}" if held.outcome == CROSSED else ""


def _as_text(field: str, value: Decimal | str | None) -> str:
    # as much as there is room for: one odd source must not keep all the others from being written
    written = f"{value:f}" if isinstance(value, Decimal) else value or ""
    return written[: HeldPrice._meta.get_field(field).max_length]  # type: ignore[union-attr]


def _chain(
    symbol: Symbol, rows: Mapping[str, ProviderSymbol], providers: Iterable[type[Provider]]
) -> dict[str, Instrument]:
    def place(provider: type[Provider]) -> float:
        position = rows[provider.name].position if provider.name in rows else None
        return inf if position is None else position

    chain: dict[str, Instrument] = {}
    for provider in sorted(providers, key=place):
        row = rows.get(provider.name)
        code = row.code if row else "" if provider.needs_code else symbol.code
        if code and not (chain and provider.invented):
            chain[provider.name] = _instrument(symbol, code)
    return chain


def _instrument(symbol: Symbol, code: str) -> Instrument:
    return Instrument(
        symbol=symbol.code,
        code=code,
        kind=symbol.kind,
        exchange=symbol.exchange,
        currency=symbol.currency,
        tick_size=symbol.tick_size,
        name=symbol.name,
        start=symbol.start,
    )
