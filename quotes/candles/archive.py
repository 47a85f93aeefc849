"""The archive: candles in the database, written in batches, read by symbol, pruned by age.

Call all functions in the one thread that uses the database. Statements do not share a transaction:
a process that is paused between two of them must not hold a lock that another process waits for.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q, QuerySet

from quotes import conf, providers, sessions
from quotes.candles import adjusting, invented
from quotes.candles.adjusting import Adjustment
from quotes.candles.growing import DAY, STEPS, Row
from quotes.fields import from_seconds, from_text, to_text
from quotes.models import Candle, CandleSpan, FeedLease, Symbol
from quotes.models.statements import at_once, parts

MAX_ROWS = 1000  # written or deleted in one statement
MAX_SYMBOLS = 50  # searched for old candles in one statement

COLUMNS = {
    "symbol_id": "bigint", "step": "integer", "start": "bigint", "opened": "bigint",
    "open": "text", "high": "text", "low": "text", "close": "text", "closed": "bigint",
    "volume": "text", "counter": "text", "provider": "text", "mixed": "boolean", "epoch": "bigint",
    "as_of": "bigint",
}  # fmt: skip
# As JSON, 1000 rows are one value to bind in place of 14,000. This is four times as fast.
CELLS = {"sqlite": "json_extract(value, '$[{}]')", "postgresql": "(value ->> {})::{}"}
ARRAY = {"sqlite": "json_each(%s)", "postgresql": "json_array_elements(%s::json)"}
TEXTS = {"sqlite": "json_each(%s)", "postgresql": "json_array_elements_text(%s::json)"}
# A candle is written many times: by this feed, by the feed before it, and from providers. In any
# order of these writes, the result has the first open, the highest high, the lowest low and the
# last close. Of two quotes at the same time, that of the newer feed is the later one.
LATER = "(excluded.closed, excluded.epoch) >= (quotes_candle.closed, quotes_candle.epoch)"
# On PostgreSQL, symbols are locked before candles, as by somebody who deletes a symbol. In another
# order, the two would wait for each other.
KEPT = {
    "sqlite": "true",
    "postgresql": """(value ->> 0)::bigint IN (
    SELECT id FROM (
        SELECT id FROM quotes_symbol WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE
    ) AS kept
)""",
}
WRITE = """
INSERT INTO quotes_candle ({columns}) SELECT {cells} FROM {array} WHERE {kept}
ON CONFLICT (symbol_id, step, start) DO UPDATE SET
    open = CASE WHEN excluded.opened < quotes_candle.opened
        THEN excluded.open ELSE quotes_candle.open END,
    opened = CASE WHEN excluded.opened < quotes_candle.opened
        THEN excluded.opened ELSE quotes_candle.opened END,
    high = CASE WHEN excluded.high > quotes_candle.high
        THEN excluded.high ELSE quotes_candle.high END,
    low = CASE WHEN excluded.low < quotes_candle.low
        THEN excluded.low ELSE quotes_candle.low END,
    close = CASE WHEN {later}
        THEN excluded.close ELSE quotes_candle.close END,
    volume = CASE WHEN {later}
        THEN excluded.volume ELSE quotes_candle.volume END,
    counter = CASE WHEN {later}
        THEN excluded.counter ELSE quotes_candle.counter END,
    provider = CASE WHEN {later}
        THEN excluded.provider ELSE quotes_candle.provider END,
    closed = CASE WHEN {later}
        THEN excluded.closed ELSE quotes_candle.closed END,
    as_of = COALESCE(excluded.as_of, quotes_candle.as_of),
    mixed = quotes_candle.mixed OR excluded.mixed OR quotes_candle.provider <> excluded.provider,
    epoch = CASE WHEN excluded.epoch > quotes_candle.epoch
        THEN excluded.epoch ELSE quotes_candle.epoch END
"""

EXTEND = """
UPDATE quotes_candlespan SET until = %s WHERE until >= %s AND until < %s AND symbol_id IN (
    SELECT id FROM quotes_symbol WHERE code IN (SELECT value FROM {texts})
)
"""
SPAN = """
INSERT INTO quotes_candlespan (symbol_id, step, since, until) VALUES (%s, %s, %s, %s)
ON CONFLICT (symbol_id, step) DO UPDATE SET since = excluded.since, until = excluded.until
"""

PRUNE = """
DELETE FROM quotes_candle WHERE (symbol_id, step, start) IN (
    SELECT symbol_id, step, start FROM quotes_candle
    WHERE symbol_id IN ({}) AND step = %s AND start < %s LIMIT %s
)
"""


def save(epoch: int, rows: Sequence[Row]) -> None:
    """Write the candles of a feed, merged with the stored ones.

    A replaced feed may still write, because no other feed accepted these quotes.
    """
    ids = _ids({row.symbol for row in rows})
    values = [
        (
            ids[row.symbol],
            row.step,
            row.start,
            row.opened,
            to_text(row.open),
            to_text(row.high),
            to_text(row.low),
            to_text(row.close),
            row.closed,
            None if row.volume is None else to_text(row.volume),
            None if row.counter is None else to_text(row.counter),
            row.provider,
            row.mixed,
            epoch,
            row.as_of,
        )
        for row in rows
        if row.symbol in ids
    ]
    cell, array, kept = (each[connection.vendor] for each in (CELLS, ARRAY, KEPT))
    cells = ", ".join(cell.format(number, kind) for number, kind in enumerate(COLUMNS.values()))
    write = WRITE.format(
        columns=", ".join(COLUMNS), cells=cells, array=array, kept=kept, later=LATER
    )
    with connection.cursor() as cursor:
        for some in parts(values, MAX_ROWS):
            locked = [sorted({row[0] for row in some})] if "%s" in kept else []
            cursor.execute(write, [json.dumps(some), *locked])


def load(
    symbol: str, step: int, start: datetime, end: datetime, most: int | None = None
) -> list[providers.Candle]:
    """Return a symbol's candles of `step` seconds that start from `start` to before `end`.

    The oldest comes first. With `most`, these are the newest of them, at most so many. Periods
    without a quote have no candle. The last candle may still change. Candles of a simulated symbol
    are made here, as far back as candles are kept. Outside the hours of its exchange, its stored
    candles are returned, which are made of its quotes. Those from before a split are adjusted.
    """
    stored = Candle.objects.filter(symbol__code=symbol, step=step, start__gte=start, start__lt=end)
    splits = adjusting.load([symbol]).get(symbol, ())
    found = {each.start: _adjusted(each, splits) for each in stored.order_by("-start")[:most]}
    made = invented.make([symbol], step, start, end).get(symbol, ())
    found |= {each.start: each for each in made}
    moments = sorted(found)
    return [found[moment] for moment in (moments if most is None else moments[-most:])]


def _adjusted(row: Candle, splits: Iterable[Adjustment]) -> providers.Candle:
    candle = providers.Candle(
        start=row.start,
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volume,
    )
    for split in adjusting.applied(splits, row.start, row.as_of, row.step):
        candle = split.candle(candle)
    return candle


def load_closes(
    codes: Collection[str], step: int, since: datetime, now: datetime
) -> dict[str, list[tuple[datetime, Decimal]]]:
    """Return the closes of some symbols with their times, from `since` to now, the oldest first."""
    names = {pk: code for code, pk in _ids(codes).items()}
    found: dict[str, dict[datetime, tuple[datetime, Decimal]]] = {}  # by start of the candle
    first = since - timedelta(seconds=step)
    rows = Candle.objects.filter(symbol_id__in=names, step=step, start__gte=first)
    splits = adjusting.load(codes)
    for pk, began, closed, last, sent in at_once(
        rows, "symbol_id", "start", "closed", "close", "as_of"
    ):
        start, close = from_seconds(began), from_text(last)
        as_of = None if sent is None else from_seconds(sent)
        for split in adjusting.applied(splits.get(names[pk], ()), start, as_of, step):
            close = split.price(close)
        closes = found.setdefault(names[pk], {})
        closes[start] = start + timedelta(microseconds=closed), close
    for code, candles in invented.make(codes, step, first, now).items():
        closes = found.setdefault(code, {})
        for each in candles:
            closes[each.start] = min(now, each.start + timedelta(seconds=step)), each.close
    ordered = {code: [closes[start] for start in sorted(closes)] for code, closes in found.items()}
    newest = {code: [each for each in some if each[0] >= since] for code, some in ordered.items()}
    return {code: some for code, some in newest.items() if some}


def load_newest(step: int, now: datetime, among: Collection[str] | None = None) -> list[Row]:
    """Return the current candles of these active symbols, or of all, for a feed to continue."""
    codes = dict(_active(among).values_list("pk", "code"))
    # today at an exchange may be yesterday or tomorrow in UTC
    since = now - timedelta(seconds=2 * step if step == DAY else step)
    found = Candle.objects.filter(symbol_id__in=codes, step=step, start__gt=since)
    return [
        Row(codes[pk], step, int(start.timestamp()), *rest)
        for pk, start, *rest in found.values_list("symbol_id", "start", *Row._fields[3:-1])
    ]


def load_zones(among: Collection[str] | None = None) -> dict[str, tzinfo]:
    """Return the time zones of the markets of these active symbols, or of all, if known."""
    listed = at_once(_active(among), "code", "exchange", "kind")
    zones = ((code, sessions.zone(exchange, kind)) for code, exchange, kind in listed)
    return {code: zone for code, zone in zones if zone}


def _active(among: Collection[str] | None) -> QuerySet[Symbol]:
    active = Symbol.objects.filter(active=True)
    return active if among is None else active.filter(code__in=among)


# Spans


class Span(NamedTuple):
    """A period for which all available candles are stored. Aware UTC, whole seconds."""

    since: datetime
    until: datetime


def load_spans() -> dict[tuple[str, int], Span]:
    """Return the spans of all active symbols, by code and step."""
    active = CandleSpan.objects.filter(symbol__active=True)
    return {
        (code, step): Span(from_seconds(since), from_seconds(until))
        for code, step, since, until in at_once(active, "symbol__code", "step", "since", "until")
    }


def save_with_span(rows: Sequence[Row], symbol: str, step: int, span: Span) -> None:
    """Write candles from a provider, then the span that they complete."""
    _drop_unadjusted(rows, symbol, step)
    save(current_epoch(), rows)
    if pk := _ids({symbol}).get(symbol):
        since, until = (int(moment.timestamp()) for moment in span)
        with connection.cursor() as cursor:
            cursor.execute(SPAN, [pk, step, since, until])


def _drop_unadjusted(rows: Sequence[Row], symbol: str, step: int) -> None:
    """Delete stored candles from before a split, for which a provider sends adjusted ones.

    Merged, the two would have the highest price of the one and the lowest of the other.
    """
    for split in adjusting.load([symbol]).get(symbol, ()):
        raw = Candle.objects.filter(Q(as_of=None) | Q(as_of__lt=split.since))
        sent = [
            row.start
            for row in rows
            if row.as_of is not None
            and row.as_of >= split.since.timestamp()
            and split.concerns(from_seconds(row.start), None, step)
        ]
        if sent:
            first, last = (from_seconds(each(sent)) for each in (min, max))
            raw.filter(symbol__code=symbol, step=step, start__gte=first, start__lte=last).delete()


def extend_spans(symbols: Collection[str], after: datetime, now: datetime) -> None:
    """Extend the spans that reached to `after` up to now, because the feed ran since then."""
    until, since = int(now.timestamp()), int(after.timestamp())
    with connection.cursor() as cursor:
        extend = EXTEND.format(texts=TEXTS[connection.vendor])
        cursor.execute(extend, [until, since, until, json.dumps(list(symbols))])


def current_epoch() -> int:
    """Return the epoch of the feed that leads, or led last; 0 before the first feed."""
    return FeedLease.objects.values_list("epoch", flat=True).first() or 0


# Pruning

Pruning = tuple[list[int], int, int]  # ids of symbols, step, and seconds since 1970


def prunings(now: datetime) -> list[Pruning]:
    """Return the arguments of all calls of `prune` that are due."""
    ids = sorted(pk for (pk,) in at_once(Symbol.objects.all(), "pk"))
    return [
        (some, step, int((now - kept(step)).timestamp()))
        for step in STEPS
        for some in parts(ids, MAX_SYMBOLS)
    ]


def prune(ids: list[int], step: int, before: int) -> int:
    """Delete at most MAX_ROWS candles that start before a time; return the number of them."""
    with connection.cursor() as cursor:
        places = ", ".join(["%s"] * len(ids))
        cursor.execute(PRUNE.format(places), [*ids, step, before, MAX_ROWS])
        count: int = cursor.rowcount
    return count


def kept(step: int) -> timedelta:
    """Return the time for which candles of a step are kept."""
    return timedelta(days=conf.get("RETENTION")[step])


def _ids(symbols: Collection[str]) -> dict[str, int]:
    rows: list[Any] = at_once(Symbol.objects.filter(code__in=symbols), "code", "pk")
    return dict(rows)
