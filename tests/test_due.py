"""Due: which symbols are to be looked at, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from quotes.due import Due

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
entries = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 9)), max_size=20)


def after(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


@given(entries, st.integers(0, 9))
def test_each_code_is_due_once_at_the_earliest_of_its_moments(
    given_: list[tuple[str, int]], now: int
):
    due, first = Due(), dict[str, int]()
    for code, seconds in given_:
        due.at(code, after(seconds))
        first[code] = min(seconds, first.get(code, seconds))
    assert sorted(due.take(after(now))) == sorted(c for c, at in first.items() if at <= now)
    assert sorted(due.take(after(9))) == sorted(c for c, at in first.items() if at > now)
    assert due.take(after(9)) == []


def test_a_code_that_was_taken_may_be_due_again():
    due = Due()
    due.at("A", after(1))
    assert due.take(after(1)) == ["A"]
    due.at("A", after(5))
    assert due.take(after(4)) == []
    assert due.take(after(5)) == ["A"]
