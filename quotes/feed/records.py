"""Records: the feed reads and writes its state in the database."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import F, Q, TextField
from django.db.models.functions import Cast

from quotes import models
from quotes.feed.held import ACCEPTED, CROSSED, REJECTED, SPLIT, Decision, Held
from quotes.feed.splits import Split
from quotes.models import Alias, HeldPrice, HistoryEntry, LastQuote, ProviderUse, Symbol
from quotes.models.history import FEED, record
from quotes.models.locks import begin_to_write
from quotes.models.statements import at_once
from quotes.quote import Quote, utc_now
from quotes.quote.wire import from_wire, to_wire

logger = logging.getLogger(__name__)

MAX_HELD = 1000  # held prices that are kept for the admin, beside those that wait or are rejected
DECIDED = (ACCEPTED, REJECTED)  # of prices that are stored; one that is not was deleted since
SPLITS_FOR = timedelta(days=14)  # after its day; no market is closed for so long

Version = tuple[int, int]  # (epoch, batch)
Uses = Mapping[str, tuple[str, int]]  # a month and the number of requests in it, by provider
NOTHING: Version = (0, 0)  # before the first batch

QUOTES = {  # from one value, a list of lists: code, epoch, batch, quote
    "sqlite": """
        SELECT quotes_symbol.id, json_extract(value, '$[1]'), json_extract(value, '$[2]'),
            json_extract(value, '$[3]')
        FROM json_each(%s) JOIN quotes_symbol ON code = json_extract(value, '$[0]') WHERE true
    """,
    # deleting a symbol also locks the symbol first, and then its quote
    "postgresql": """
        WITH given AS (SELECT value FROM json_array_elements(%s::json)), kept AS (
            SELECT id, code FROM quotes_symbol WHERE code IN (SELECT value ->> 0 FROM given)
            ORDER BY id FOR KEY SHARE
        )
        SELECT id, (value ->> 1)::bigint, (value ->> 2)::bigint, (value -> 3)::jsonb
        FROM given JOIN kept ON code = value ->> 0
    """,
}
WRITE = """
INSERT INTO quotes_lastquote (symbol_id, epoch, batch, wire) {quotes}
ON CONFLICT (symbol_id) DO UPDATE
SET epoch = excluded.epoch, batch = excluded.batch, wire = excluded.wire
WHERE (quotes_lastquote.epoch, quotes_lastquote.batch) <= (excluded.epoch, excluded.batch)
"""  # `bulk_create` has no such condition


def load_last_quotes(codes: Collection[str] | None = None) -> list[tuple[Version, Quote]]:
    """Return the last quotes of active symbols, of all or of some, with their versions."""
    return _quotes(Q() if codes is None else Q(symbol__code__in=codes))


def load_newer_quotes(than: Version) -> list[tuple[Version, Quote]]:
    """Return the last quotes of active symbols that a newer version brought."""
    epoch, batch = than
    return _quotes(Q(epoch__gt=epoch) | Q(epoch=epoch, batch__gt=batch))


def _quotes(wanted: Q) -> list[tuple[Version, Quote]]:
    found = []
    rows = LastQuote.objects.filter(wanted, symbol__active=True)
    for key, epoch, batch, wire in at_once(rows, "pk", "epoch", "batch", Cast("wire", TextField())):
        try:
            found.append(((epoch, batch), from_wire(json.loads(wire))))
        except ValueError as error:  # another release wrote it; the feed will replace it
            logger.warning("leaving out the last quote of symbol %s: %s", key, error)
    return found


def save_last_quotes(quotes: Mapping[str, tuple[Version, Quote]]) -> None:
    """Store quotes by symbol.

    A newer quote of another feed stays. The database compares the versions in the statement that
    writes, because this process may be paused between any two statements. It is one statement with
    one value, so an edit waits only while the database works, not while this process does.
    """
    rows = [[code, *version, to_wire(quote)] for code, (version, quote) in quotes.items()]
    with connection.cursor() as cursor:
        cursor.execute(WRITE.format(quotes=QUOTES[connection.vendor]), [json.dumps(rows)])


def save_tick_sizes(sizes: Mapping[str, Decimal]) -> set[int]:
    """Store the tick sizes that a provider reported, for symbols without one; return their keys."""
    unsized = Symbol.objects.filter(tick_size=None)
    saved = {}
    with transaction.atomic():
        begin_to_write()
        for symbol in unsized.filter(code__in=sizes):
            size = sizes[symbol.code]
            if unsized.filter(pk=symbol.pk).update(tick_size=size):
                change = ("tick size", None, f"{size.normalize():f}")
                saved[symbol.pk] = HistoryEntry.of(symbol, [change])
        record(FEED, saved.values(), HistoryEntry(what=HistoryEntry.What.SIZED))
    return set(saved)


def save_held_prices(held: Iterable[Held]) -> set[int]:
    """Store held prices with their outcome, and delete the oldest that nobody can decide about.

    Return the keys of symbols with a split that a price has confirmed.
    """
    newest = {(each.quote.symbol, each.quote.received_at): each for each in held}
    # a price that was held before its symbol was renamed or merged has the former code
    codes = {code for code, _ in newest}
    ids = dict(Alias.objects.filter(code__in=codes).values_list("code", "symbol"))
    ids |= dict(Symbol.objects.filter(code__in=codes).values_list("code", "pk"))
    rows = [_row(ids[code], each) for (code, _), each in newest.items() if code in ids]
    if not rows:
        return set()
    for row in rows:
        if row.outcome in DECIDED:
            stored = HeldPrice.objects.filter(symbol=row.symbol_id, at=row.at)
            stored.update(outcome=row.outcome, until=row.until)
    HeldPrice.objects.bulk_create(
        [row for row in rows if row.outcome not in DECIDED],
        update_conflicts=True,
        unique_fields=["symbol", "at"],
        update_fields=["outcome", "until", "split"],
    )
    kept = list(HeldPrice.objects.values_list("pk", flat=True)[:MAX_HELD])
    done = HeldPrice.objects.exclude(HeldPrice.undone(utc_now()))
    done.exclude(pk__in=kept).delete()
    seen = [each for each in newest.values() if each.outcome == SPLIT]
    return {ids[each.quote.symbol] for each in seen if _confirm(each) and each.quote.symbol in ids}


def _row(key: int, held: Held) -> HeldPrice:
    """Return a held price of the symbol with this key, as it is stored."""
    return HeldPrice(
        symbol_id=key,
        at=held.quote.received_at,
        provider=held.quote.provider,
        last=_as_text("last", held.quote.last),
        before=_as_text("before", held.before),
        book=_as_text("book", _book(held)),
        currency=_as_text("currency", held.quote.currency),
        outcome=held.outcome,
        limit=_as_text("limit", held.limit),
        until=held.until,
        split=str(held.split or ""),
        wire=to_wire(held.quote),
    )


def _confirm(held: Held) -> bool:
    """Note in a split that a price confirmed it; return False for a price without a split."""
    split = held.split
    if split is None:
        return False
    rows = models.Split.objects.filter(pk=split.key, day=split.day, new=split.new, old=split.old)
    price = _as_text("last", held.quote.last)
    rows.filter(confirmed_at=None).update(confirmed_at=held.quote.received_at, price=price)
    return True


def load_splits() -> list[Split]:
    """Return the splits of active symbols that a price may confirm, or has confirmed lately."""
    recent = utc_now().date() - SPLITS_FOR
    rows = models.Split.objects.filter(day__gte=recent, symbol__active=True)
    return [
        Split(
            row.pk,
            row.symbol.code,
            row.symbol.exchange,
            row.symbol.kind,
            row.day,
            row.new,
            row.old,
            confirmed=row.confirmed_at is not None,
        )
        for row in rows.select_related("symbol")
    ]


def resume_held_prices(since: datetime) -> list[Held]:
    """Return the prices that earlier feeds held and a new one is to hold.

    These are the rejected ones, and the newest one of each symbol that waits, unless it is older
    than `since`. All others that wait are dropped.
    """
    rows = HeldPrice.objects.filter(HeldPrice.undone(utc_now())).select_related("symbol")
    waits, dropped = HeldPrice.Outcome.WAITS, HeldPrice.Outcome.DROPPED
    in_order = [row for row in rows.order_by("at") if row.wire]
    waiting = {row.symbol_id: row for row in in_order if row.outcome == waits and row.at >= since}
    kept = [row for row in in_order if row.outcome != waits or row == waiting.get(row.symbol_id)]
    lost = HeldPrice.objects.filter(outcome=waits).exclude(pk__in=[row.pk for row in kept])
    lost.update(outcome=dropped)
    return [held for row in kept if (held := _held(row))]


def load_decisions() -> list[Decision]:
    """Return what operators decided about held prices. The gate may have done some of it."""
    rows = HeldPrice.objects.filter(HeldPrice.undone(utc_now()), decided_at__isnull=False)
    return [
        Decision(row.symbol.code, row.at, row.decision == HeldPrice.Decision.ACCEPT, row.decided_at)
        for row in rows.select_related("symbol").order_by("decided_at")
        if row.decided_at
    ]


def _held(row: HeldPrice) -> Held | None:
    with suppress(ArithmeticError, ValueError):  # another release wrote it
        quote = replace(from_wire(row.wire or []), symbol=row.symbol.code)
        before, limit = (Decimal(each) if each else None for each in (row.before, row.limit))
        return Held(quote, before, row.outcome, limit, row.until)
    return None


def load_uses() -> Uses:
    """Return the month and the number of requests in it, by provider."""
    return {row.provider: (row.month, row.requests) for row in ProviderUse.objects.all()}


def add_uses(more: Uses) -> Uses:
    """Add requests to a month's count, by provider; return the counts like `load_uses`.

    Any number of processes may count: each adds its own requests to those of the others.
    """
    for name, (month, requests) in more.items():
        use, _ = ProviderUse.objects.get_or_create(
            provider=name, defaults={"month": month, "requests": 0}
        )
        rows = ProviderUse.objects.filter(pk=use.pk)
        rows.filter(month__lt=month).update(month=month, requests=0)
        rows.filter(month=month).update(requests=F("requests") + requests)
    return load_uses()


def _book(held: Held) -> str:
    return f"{held.quote.bid:f} / {held.quote.ask:f}" if held.outcome == CROSSED else ""


def _as_text(field: str, value: Decimal | str | None) -> str:
    # cut to the column: one source with an invalid value must not keep the others from being stored
    written = f"{value:f}" if isinstance(value, Decimal) else value or ""
    return written[: HeldPrice._meta.get_field(field).max_length]  # type: ignore[union-attr]
