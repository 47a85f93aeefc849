"""Reading: a process that reads only what changed shows the same as one that reads everything."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from quotes import conf, sessions
from quotes.boards import BoardView, Listed, load_listed
from quotes.feed import records
from quotes.feed.chains import load_chains
from quotes.live import journal, layer, lease
from quotes.live.live import Live
from quotes.live.reading import Reading
from quotes.models import (
    Alias,
    Board,
    BoardSymbol,
    Change,
    MarketDay,
    Override,
    ProviderSymbol,
    Split,
    Symbol,
)
from quotes.staff import renaming
from quotes.staff.merging import Merger
from tests.servers import until

DAY = timedelta(days=1)
KINDS = ("crypto", "stock", "etf")


def new_symbol(chance: random.Random) -> None:
    code = f"S{chance.randrange(1000)}"
    if not Symbol.objects.filter(code=code).exists():
        kind = chance.choice(KINDS)
        Symbol.objects.create(code=code, name="A share", kind=kind, currency="USD")


def edited_symbol(chance: random.Random) -> None:
    symbol = chance.choice(list(Symbol.objects.all()))
    name = chance.choice(["name", "kind", "active", "code"])
    values = {"name": f"Name {chance.random()}", "kind": chance.choice(KINDS)}
    values |= {"active": not symbol.active, "code": f"R{symbol.pk}-{chance.randrange(100)}"}
    setattr(symbol, name, values[name])
    symbol.save()


def deleted_symbol(chance: random.Random) -> None:
    if Symbol.objects.count() > 1:
        chance.choice(list(Symbol.objects.all())).delete()


def new_board(chance: random.Random) -> None:
    slug = f"b{chance.randrange(1000)}"
    Board.objects.get_or_create(slug=slug, title=slug, position=chance.randrange(3))


def edited_board(chance: random.Random) -> None:
    if board := Board.objects.order_by("?").first():
        board.title, board.position = f"Title {chance.random()}", chance.randrange(3)
        board.slug = f"c{board.pk}-{chance.randrange(100)}"
        board.save()


def deleted_board(chance: random.Random) -> None:
    if Board.objects.count() > 1:
        chance.choice(list(Board.objects.all())).delete()


def placed(chance: random.Random) -> None:
    symbol, board = (chance.choice(list(each.objects.all())) for each in (Symbol, Board))
    BoardSymbol.objects.update_or_create(
        symbol=symbol, board=board, defaults={"position": chance.randrange(9)}
    )


def removed(chance: random.Random) -> None:
    if places := list(BoardSymbol.objects.all()):
        chance.choice(places).delete()


def coded(chance: random.Random) -> None:
    symbol = chance.choice(list(Symbol.objects.all()))
    defaults = {"code": f"X{chance.randrange(1000)}", "position": chance.choice([None, 1])}
    provider = chance.choice(["coinbase", "kraken"])
    ProviderSymbol.objects.update_or_create(symbol=symbol, provider=provider, defaults=defaults)


def renamed(chance: random.Random) -> None:
    symbol = chance.choice(list(Symbol.objects.all()))
    with suppress(ValidationError):
        renaming.rename(symbol, f"N{chance.randrange(1000)}")


def merged(chance: random.Random) -> None:
    if Symbol.objects.count() > 1:
        source, target = chance.sample(list(Symbol.objects.all()), 2)
        Merger(source, target).run()


def ruled(chance: random.Random) -> None:
    rule = {"filling": "all", "kinds": chance.sample(KINDS, chance.randrange(3))}
    rule |= {"source": chance.choice(["", "kraken"]), "order": chance.choice(["code", "name"])}
    slug = f"r{chance.randrange(3)}"
    Board.objects.update_or_create(slug=slug, defaults={"title": slug, **rule})


def overridden(chance: random.Random) -> None:
    symbol, now = chance.choice(list(Symbol.objects.all())), timezone.now()
    Override.objects.filter(symbol=symbol).delete()
    Override.objects.create(symbol=symbol, kind="halted", begins=now, ends=now + DAY)


STEPS: tuple[Callable[[random.Random], None], ...] = (
    new_symbol, edited_symbol, edited_symbol, edited_symbol, deleted_symbol, new_board,
    edited_board, deleted_board, placed, placed, placed, removed, coded, renamed, merged,
    overridden, ruled, ruled,
)  # fmt: skip


def written(listed: Listed) -> tuple[list[Any], list[BoardView], dict[str, str]]:
    """Return all that is listed in a form that can be compared."""
    symbols = [(code, e.name, e.active, e.kind) for code, e in listed.symbols.items()]
    return symbols, list(listed.boards.values()), dict(listed.aliases)


async def all_read(live_parts: Any) -> None:
    """Wait until a process has read all changes."""
    number = await sync_to_async(lease.changes)()
    await live_parts.refresh()
    reads = live_parts.reading
    await until(lambda: reads.number >= number and (not reads.task or reads.task.done()))


@pytest.mark.parametrize("seed", range(8))
async def test_reading_what_changed_gives_the_same_as_reading_everything(
    live_parts: Any, settings: Any, seed: int, monkeypatch: pytest.MonkeyPatch
):
    settings.QUOTES = settings.QUOTES | {"PROVIDERS": ["kraken", "coinbase"]}
    chance = random.Random(seed)

    def edit() -> None:
        with transaction.atomic():
            for step in chance.choices(STEPS, k=chance.randrange(1, 5)):
                step(chance)

    await sync_to_async(new_symbol)(chance)
    await sync_to_async(new_board)(chance)
    monkeypatch.setattr(Reading, "everything", None)  # only the changes are to be read
    await all_read(live_parts)
    for _ in range(15):
        await sync_to_async(edit)()
        await all_read(live_parts)
        assert written(live_parts.listed) == written(await sync_to_async(load_listed)())
        chains = await sync_to_async(load_chains)(conf.get("PROVIDERS"))
        assert live_parts.store.chains == {code: tuple(chain) for code, chain in chains.items()}
        states, listed = live_parts.store.states, live_parts.listed.symbols
        assert states.keys() == listed.keys()
        shown = await sync_to_async(Override.by_code)()
        assert {code for code, state in states.items() if state.override} == listed.keys() & shown


async def test_what_was_read_at_the_start_is_no_part_of_later_searches_for_garbage(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("quotes.live.live.SETTLED_AFTER", 0.0)
    await Symbol.objects.acreate(code="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")
    process = Live()
    await process.start(pages=False)
    try:
        symbol = process.listed.symbols["BTC-USD"]
        await until(gc.get_freeze_count)
        assert not any(each is symbol for each in gc.get_objects())  # lists what is searched
    finally:
        await process.stop()
        gc.unfreeze()


async def test_a_merge_brings_the_places_of_a_symbol_that_was_switched_off(live_parts: Any):
    def make() -> None:
        board = Board.objects.create(slug="b", title="B")
        for code, active in (("FB", False), ("META", True)):
            given = {"kind": "stock", "currency": "USD", "active": active}
            Symbol.objects.create(code=code, name="Meta Platforms", **given)
        BoardSymbol.objects.create(board=board, symbol=Symbol.objects.get(code="FB"))

    def merge() -> None:
        Merger(*(Symbol.objects.get(code=code) for code in ("FB", "META"))).run()

    await sync_to_async(make)()
    await all_read(live_parts)
    assert live_parts.listed.boards["b"].codes == ()
    await sync_to_async(merge)()
    await all_read(live_parts)
    assert live_parts.listed.boards["b"].codes == ("META",)


async def test_one_edited_symbol_of_many_is_read_alone(live_parts: Any):
    def list_many() -> None:
        board = Board.objects.create(slug="b", title="B")
        for number in range(30):
            symbol = Symbol.objects.create(code=f"S{number}", name="A share", kind="stock")
            BoardSymbol.objects.create(board=board, symbol=symbol, position=number)

    await sync_to_async(list_many)()
    await all_read(live_parts)
    before = live_parts.listed

    def edit() -> None:
        symbol = Symbol.objects.get(code="S7")
        symbol.name = "Another name"
        symbol.save()

    await sync_to_async(edit)()
    await all_read(live_parts)
    now = live_parts.listed
    assert now.symbols["S7"].name == "Another name"
    others = before.symbols.keys() - {"S7"}
    assert all(now.symbols[code] is before.symbols[code] for code in others)
    assert now.boards["b"].codes is before.boards["b"].codes  # not read again


async def test_a_symbol_that_is_switched_on_has_its_last_quote_at_once(
    live_parts: Any, make_quote: Callable[..., Any]
):
    symbol = await Symbol.objects.acreate(code="AAPL", name="Apple", kind="stock", active=False)
    quote = make_quote("AAPL", "101")
    await sync_to_async(records.save_last_quotes)({"AAPL": ((1, 1), quote)})
    await live_parts.reload()
    symbol.active = True
    await symbol.asave()
    await all_read(live_parts)
    assert live_parts.store.states["AAPL"].quote.last == quote.last


async def test_nothing_but_the_number_is_read_if_nothing_changed(live_parts: Any):
    await live_parts.reload()
    before = live_parts.listed

    def query_count() -> int:
        with CaptureQueriesContext(connection) as queries:
            journal.since(live_parts.changes)
        return len(queries)

    await all_read(live_parts)
    assert live_parts.listed is before
    assert await sync_to_async(query_count)() == 2


async def test_hours_that_an_operator_corrects_are_read(live_parts: Any):
    await live_parts.reload()
    day = MarketDay(venue="XNYS", day=date(2026, 11, 30))
    try:
        await day.asave()
        await all_read(live_parts)
        assert sessions.corrections() == {("XNYS", date(2026, 11, 30)): None}
    finally:
        await day.adelete()
        await all_read(live_parts)
        assert sessions.corrections() == {}


async def test_splits_are_read_with_their_symbol(live_parts: Any):
    symbol = await Symbol.objects.acreate(code="AAPL", name="Apple", kind="stock")
    await live_parts.reload()
    await Split.objects.acreate(symbol=symbol, day=date(2026, 3, 2), new=4)
    await all_read(live_parts)
    assert live_parts.listed.symbols["AAPL"].split_days == [(date(2026, 3, 2), "4:1")]


async def test_a_change_that_could_not_be_counted_is_read_with_everything(live_parts: Any):
    await live_parts.reload()
    await Symbol.objects.acreate(code="OLD", name="Old", kind="stock")
    await Symbol.objects.filter(code="OLD").aupdate(code="NEW")  # no signal, so nothing is counted
    await layer.send_change(listed=False)
    await until(lambda: "NEW" in live_parts.listed.symbols)


@pytest.mark.parametrize("everything", [False, True])
async def test_a_rename_is_followed_although_its_quote_could_not_be_read_at_once(
    live_parts: Any, make_quote: Callable[..., Any], monkeypatch: Any, everything: bool
):
    monkeypatch.setattr("quotes.live.reading.READ_AGAIN", 0.02)
    symbol = await Symbol.objects.acreate(code="FB", name="Meta", kind="stock")
    await sync_to_async(records.save_last_quotes)({"FB": ((1, 1), make_quote("FB", "331"))})
    await live_parts.reload()
    followed: set[str] = set()
    live_parts.on_change.add(lambda edited: followed.update(edited or ["everything"]))
    failures = [OperationalError("the database went away")]

    def fail_once(execute: Any, sql: str, *more: Any) -> Any:
        if failures and sql.startswith("SELECT") and "quotes_lastquote" in sql:
            raise failures.pop()
        return execute(sql, *more)

    await live_parts.in_database(lambda: connection.execute_wrappers.append(fail_once))
    await sync_to_async(renaming.rename)(symbol, "META")
    await (live_parts.reading.soon("everything") if everything else all_read(live_parts))
    await until(lambda: "META" in live_parts.store.states and not failures)
    await until(lambda: live_parts.store.states["META"].quote)
    assert live_parts.store.states["META"].quote.last == 331
    assert followed >= ({"everything"} if everything else {"FB", "META"})


async def test_symbols_that_exchange_their_codes_keep_their_boards_and_prices(
    live_parts: Any, make_quote: Callable[..., Any]
):
    def list_both() -> None:
        for code, last in (("A", "1"), ("B", "2")):
            symbol = Symbol.objects.create(code=code, name=f"First {code}", kind="stock")
            board = Board.objects.create(slug=f"board-{code}", title=code)
            BoardSymbol.objects.create(board=board, symbol=symbol)
            records.save_last_quotes({code: ((1, 1), make_quote(code, last))})

    @transaction.atomic
    def exchange() -> None:
        first, second = Symbol.objects.all()
        renaming.rename(first, "C")
        Alias.objects.all().delete()
        renaming.rename(second, "A")
        Alias.objects.all().delete()
        renaming.rename(first, "B")

    await sync_to_async(list_both)()
    await live_parts.reload()
    await sync_to_async(exchange)()
    await all_read(live_parts)
    assert {each.slug: each.codes for each in live_parts.listed.boards.values()} == {
        "board-A": ("B",),
        "board-B": ("A",),
    }
    shown = live_parts.store.states.items()
    assert {code: (e.symbol.name, e.quote and e.quote.last) for code, e in shown} == {
        "A": ("First B", 2),
        "B": ("First A", 1),
    }


@pytest.mark.parametrize("queries", range(6))
async def test_what_changed_is_not_read_beside_everything(live_parts: Any, queries: int):
    def add() -> None:  # as another process whose notice is not here yet
        Symbol.objects.bulk_create([Symbol(code="NEW", kind="stock", currency="USD")])
        [board] = Board.objects.bulk_create([Board(slug="new", title="New")])
        journal.enter([(Change.What.BOARD, board.pk)])

    await sync_to_async(add)()
    everything = asyncio.create_task(live_parts.reload())
    for _ in range(queries):  # so that the two readings meet at each of their steps
        await live_parts.in_database(int)
    await live_parts.refresh()
    await everything
    assert "NEW" in live_parts.listed.symbols
    assert "new" in live_parts.listed.boards
