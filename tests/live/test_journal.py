"""The journal: which symbols and boards changed since a number."""

from __future__ import annotations

import pytest

from quotes.live import journal, lease
from quotes.live.journal import Changed
from quotes.models import Change, FeedLease

pytestmark = pytest.mark.django_db

SYMBOL, BOARD, HOURS = Change.What.SYMBOL, Change.What.BOARD, Change.What.HOURS


def test_all_that_changed_since_a_number_is_returned_once():
    for things in ([(SYMBOL, 1), (BOARD, 7)], [(SYMBOL, 1), (SYMBOL, 2)], [(HOURS, 0)]):
        journal.enter(things)
    assert journal.since(0) == Changed(3, {1, 2}, {7}, hours=True)
    assert journal.since(1) == Changed(3, {1, 2}, set(), hours=True)
    assert journal.since(3) == Changed(3)


def test_a_change_of_everything_is_not_listed():
    journal.enter([(SYMBOL, 1)])
    journal.enter([])
    assert journal.since(0) is None
    assert journal.since(1) is None
    assert journal.since(2) == Changed(2)


def test_more_things_than_are_worth_a_list_are_a_change_of_everything():
    journal.enter([(SYMBOL, key) for key in range(journal.MAX_LISTED)])
    assert journal.since(0) == Changed(1, set(range(journal.MAX_LISTED)))
    journal.enter([(SYMBOL, key) for key in range(journal.MAX_LISTED + 1)])
    assert journal.since(1) is None


def test_changes_of_long_ago_are_forgotten_and_then_everything_is_read(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(journal, "KEPT", 4)
    for key in range(6):
        journal.enter([(SYMBOL, key), (BOARD, key)])
    assert Change.objects.count() == 4
    assert journal.since(3) is None
    assert journal.since(4) == Changed(6, {4, 5}, {4, 5})


def test_a_mark_is_counted_once_as_a_change_of_everything(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal, "KEPT", 1)
    first, second = journal.mark("default"), journal.mark("default")
    journal.enter([(SYMBOL, 1)], first)
    journal.enter([(SYMBOL, 2)])
    journal.enter([(SYMBOL, 3)])  # forgets the first ones, but no mark
    assert journal.marks() == {second}
    for _ in range(2):
        journal.enter_lost({second})
    assert lease.changes() == 4
    assert journal.since(3) is None
    assert journal.marks() == set()


def test_after_a_backup_was_restored_everything_is_read():
    journal.enter([(SYMBOL, 1)])
    journal.enter([(SYMBOL, 2)])
    FeedLease.objects.update(changes=1)
    assert lease.changes() == 1
    assert journal.since(2) is None
