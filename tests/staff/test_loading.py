"""A load ends with all of it or with nothing, whatever happens to the process that works on it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from quotes import catalogue
from quotes.catalogue import Entry, InvalidCatalogue, Step
from quotes.live import lease
from quotes.models import HistoryEntry, Load, Symbol
from quotes.models.history import command
from quotes.staff import loading
from quotes.staff.loading import Busy, Run
from quotes.staff.outcomes import keep_history
from tests.servers import eventually

State = Load.State
pytestmark = pytest.mark.django_db(transaction=True)


def begin(work: Callable[[Run], None], **given: Any) -> Load:
    """Let Alice load a file, in the request as under a WSGI server."""
    values: dict[str, Any] = {"by": "alice", "name": "mine.csv", "is_preview": False}
    load = loading.begin(work, **values | given)
    load.refresh_from_db()
    return load


def elsewhere(**given: Any) -> Load:
    """Return a load that a process of another machine works on."""
    values = {"by": "bob", "name": "his.csv", "holder": "elsewhere:7"}
    load = Load.objects.create(**values | given)
    load.refresh_from_db()
    return load


def write(run: Run, state: State = State.DONE) -> None:
    """Write a symbol and the end of the load in one transaction."""
    with transaction.atomic():
        Symbol.objects.create(code="AAPL", name="Apple", kind="stock", currency="USD")
        run.end(state)


def test_a_load_is_done_with_what_it_writes():
    load = begin(write)
    assert (load.state, Symbol.objects.count()) == (State.DONE, 1)
    assert load.ended_at


def test_what_others_have_ended_changes_nothing():
    def overtaken(run: Run) -> None:
        Load.objects.filter(pk=run.load.pk).update(state=State.LOST)
        write(run)

    load = begin(overtaken)
    assert (load.state, Symbol.objects.count()) == (State.LOST, 0)


def test_another_process_cancels_it_over_the_database():
    def slow(run: Run) -> None:
        Load.objects.filter(pk=run.load.pk).update(cancelled_by="bob")

        def noticed() -> bool:
            run.report(Step.READ, 1, 2)
            return False

        eventually(noticed, "it is cancelled")

    load = begin(slow)
    assert (load.state, load.cancelled_by) == (State.CANCELLED, "bob")


def test_a_cancellation_that_comes_before_the_last_write_changes_nothing():
    def late(run: Run) -> None:
        Load.objects.filter(pk=run.load.pk).update(cancelled_by="bob")
        write(run)

    load = begin(late)
    assert (load.state, Symbol.objects.count()) == (State.CANCELLED, 0)


def test_a_cancellation_after_the_last_step_changes_nothing():
    def late(run: Run) -> None:
        run.cancelled_by = "bob"  # as a request in this process does it
        write(run)

    load = begin(late)
    assert (load.state, load.cancelled_by) == (State.CANCELLED, "bob")
    assert Symbol.objects.count() == 0


def test_the_history_can_be_cancelled_while_it_is_written():
    written = []

    def report(step: Step, done: int, of: int) -> None:
        written.append((done, HistoryEntry.objects.exclude(model="").count()))

    rows = [Entry(n, Symbol(code=f"S{n}", name="S", kind="stock"), (), {}) for n in range(1200)]
    outcomes = catalogue.load(rows)
    keep_history(outcomes, command("loadcatalogue"), "many.csv", report)
    assert written == [(done, done) for done in (0, 500, 1000, 1201)]  # that of the board, too


def test_other_processes_see_how_far_it_is():
    def slow(run: Run) -> None:
        run.report(Step.SYMBOLS, 500, 1000)
        rows = Load.objects.filter(pk=run.load.pk, step=Step.SYMBOLS, done=500, of=1000)
        eventually(rows.exists, "the row has it")
        write(run)

    assert begin(slow).state == State.DONE


def test_an_invalid_file_is_refused_with_its_errors():
    def refused(run: Run) -> None:
        raise InvalidCatalogue(["line 2: symbol: This field cannot be blank"])

    load = begin(refused)
    assert load.state == State.REFUSED
    assert load.report == {"errors": ["line 2: symbol: This field cannot be blank"]}


def test_an_unexpected_error_is_stated_and_raised():
    def broken(run: Run) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        begin(broken)
    load = Load.objects.get()
    assert (load.state, load.pk in loading.running) == (State.FAILED, False)


def test_one_file_is_loaded_at_a_time_and_others_may_be_compared():
    other = elsewhere()
    with pytest.raises(Busy):
        begin(write)
    assert begin(lambda run: run.end(State.SHOWN), is_preview=True).state == State.SHOWN
    assert loading.in_progress() == other
    Load.objects.filter(pk=other.pk).update(state=State.DONE)
    assert begin(write).state == State.DONE


def test_a_load_without_a_sign_of_life_has_no_result():
    silent = elsewhere(seen_at=timezone.now() - timedelta(minutes=1))
    assert loading.settled(silent).state == State.LOST
    alive = elsewhere(seen_at=timezone.now())
    assert loading.settled(alive).state == State.RUNNING


def test_a_load_whose_process_ended_on_this_machine_has_no_result_at_once():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = lease.this_process().rpartition(":")[0]
    assert loading.settled(elsewhere(holder=f"{host}:{ended.pid}")).state == State.LOST
    assert begin(write).state == State.DONE


def test_old_previews_and_loads_are_forgotten():
    hours, days = timezone.now() - timedelta(hours=2), timezone.now() - timedelta(days=31)
    elsewhere(state=State.SHOWN, is_preview=True, at=hours)
    elsewhere(state=State.DONE, at=days)
    kept = elsewhere(state=State.DONE, at=hours)
    assert [*Load.objects.exclude(pk=begin(write).pk)] == [kept]
