from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from quotes.providers import ProviderError
from quotes.providers.kit.merge import merge, repeat
from quotes.quote import Quote
from tests.servers import PATIENCE
from tests.streams import Reader

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def quote(symbol: str, last: int = 101) -> Quote:
    return Quote(symbol=symbol, provider="two", currency="USD", last=Decimal(last), received_at=NOW)


class Stream:
    """Yields the items that a test puts in, and knows whether it was closed."""

    def __init__(self) -> None:
        self.given: asyncio.Queue[Quote | Exception | None] = asyncio.Queue()
        self.closed = False

    async def read(self) -> AsyncGenerator[Quote]:
        try:
            while each := await self.given.get():
                if isinstance(each, Exception):
                    raise each
                yield each
        finally:
            self.closed = True


@pytest.fixture
def one() -> Stream:
    return Stream()


@pytest.fixture
def two() -> Stream:
    return Stream()


async def test_quotes_of_all_streams_come_in_order(one: Stream, two: Stream) -> None:
    async with asyncio.timeout(PATIENCE), aclosing(merge(one.read(), two.read())) as quotes:
        for number, stream in enumerate((one, two, two, one)):
            stream.given.put_nowait(quote("AAPL", number + 1))
            assert (await anext(quotes)).last == number + 1


@pytest.mark.parametrize(
    "failure", [ProviderError("no message for 10 s"), RuntimeError("a mistake")]
)
async def test_the_failure_of_one_stream_ends_all_after_the_quotes_before_it(
    one: Stream, two: Stream, failure: Exception
) -> None:
    one.given.put_nowait(quote("AAPL"))
    one.given.put_nowait(failure)
    async with asyncio.timeout(PATIENCE), aclosing(merge(one.read(), two.read())) as quotes:
        assert (await anext(quotes)).symbol == "AAPL"
        with pytest.raises(type(failure), match=str(failure)):
            await anext(quotes)
    assert one.closed
    assert two.closed


async def test_the_end_of_one_stream_ends_all(one: Stream, two: Stream) -> None:
    one.given.put_nowait(None)
    async with asyncio.timeout(PATIENCE):
        assert [each async for each in merge(one.read(), two.read())] == []
    assert two.closed


async def test_closing_closes_all(one: Stream, two: Stream) -> None:
    quotes = merge(one.read(), two.read())
    one.given.put_nowait(quote("AAPL"))
    await anext(quotes)
    await quotes.aclose()
    assert one.closed
    assert two.closed


async def test_a_reader_that_is_cancelled_closes_all(one: Stream, two: Stream) -> None:
    reader = Reader()
    task = asyncio.create_task(reader.read(merge(one.read(), two.read())))
    two.given.put_nowait(quote("AAPL"))
    assert (await anext(reader)).symbol == "AAPL"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert one.closed
    assert two.closed


class Poll:
    """Returns or raises one answer after the other."""

    def __init__(self, *answers: Iterable[Quote] | ProviderError) -> None:
        self.answers = list(answers)

    async def __call__(self) -> Iterable[Quote]:
        answer = self.answers.pop(0)
        if isinstance(answer, ProviderError):
            raise answer
        return answer


def at_once() -> float:
    return 0.0


async def read(
    poll: Poll, interval: Callable[[], float] = at_once, delays: list[float] | None = None
) -> list[str]:
    """Return the symbols until the polls failed, and then the failure."""
    reader, delays = Reader(), [] if delays is None else delays
    await reader.read(repeat(poll, interval, delays.append))
    came = [reader.came.get_nowait() for _ in range(reader.came.qsize())]
    return [each.symbol if isinstance(each, Quote) else str(each) for each in came]


DOWN = ProviderError("down")


async def test_a_poll_is_repeated_until_it_fails_three_times_in_a_row() -> None:
    poll = Poll([quote("A")], DOWN, DOWN, [quote("B"), quote("C")], DOWN, DOWN, DOWN)
    assert await read(poll) == ["A", "B", "C", "down"]
    assert poll.answers == []


async def test_a_poll_that_is_refused_is_not_repeated() -> None:
    assert await read(Poll(ProviderError("answered 401 unauthorized", refused=True), DOWN)) == [
        "answered 401 unauthorized"
    ]


async def test_polls_back_off_as_long_as_the_source_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("quotes.providers.kit.merge.asyncio.sleep", sleep)
    limited = ProviderError("too many requests", retry_after=7)
    delays: list[float] = []
    await read(Poll(limited, [], limited, DOWN, DOWN), lambda: 2.0, delays)
    assert slept == [2, 7, 2, 7, 2]
    assert max(delays) == 7  # other requests back off, too
