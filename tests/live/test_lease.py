"""The lease of the feed: one process leads, and another takes over at once or in time."""

from __future__ import annotations

import os
import socket
import subprocess
from datetime import timedelta

import pytest
from django.utils import timezone

from quotes.live import lease
from quotes.models import FeedLease

pytestmark = pytest.mark.django_db

ALICE, BOB = "alice:1", "bob:2"


def let_the_lease_expire() -> None:
    FeedLease.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


@pytest.fixture(autouse=True)
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be 1970, so that epochs begin with 1."""
    monkeypatch.setattr("quotes.live.lease.time", lambda: 0.0)


def test_an_epoch_is_higher_than_all_before_even_if_their_number_was_lost(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("quotes.live.lease.time", lambda: 1_800_000_000.7)
    assert lease.take(ALICE) == 1_800_000_000
    FeedLease.objects.all().delete()
    monkeypatch.setattr("quotes.live.lease.time", lambda: 1_800_000_009.0)
    assert lease.take(ALICE) == 1_800_000_009
    let_the_lease_expire()
    monkeypatch.setattr("quotes.live.lease.time", lambda: 0.0)  # a wrong clock
    assert lease.take(BOB) == 1_800_000_010


def test_the_first_process_leads_and_the_second_does_not():
    assert lease.take(ALICE) == 1
    assert lease.take(BOB) is None
    assert FeedLease.objects.get().holder == ALICE


def test_only_the_leader_keeps_the_lease():
    lease.take(ALICE)
    assert lease.renew(ALICE, 1)
    assert not lease.renew(BOB, 1)
    assert not lease.renew(ALICE, 0)


def test_each_leader_begins_a_higher_epoch():
    epochs = []
    for holder in (ALICE, BOB, ALICE):
        epochs.append(lease.take(holder))
        let_the_lease_expire()
    assert epochs == [1, 2, 3]


def test_a_lease_that_ended_may_be_taken_by_another():
    lease.take(ALICE)
    let_the_lease_expire()
    assert lease.take(BOB) == 2
    assert not lease.renew(ALICE, 1)
    assert lease.renew(BOB, 2)


def test_a_renewal_postpones_the_end():
    lease.take(ALICE)
    let_the_lease_expire()
    assert lease.renew(ALICE, 1)
    assert lease.take(BOB) is None


def test_a_lease_that_was_given_back_is_free_at_once():
    lease.take(ALICE)
    lease.give_back(ALICE, 1)
    assert not lease.renew(ALICE, 1)
    assert lease.take(BOB) == 2


def test_a_process_that_lost_the_lease_cannot_free_it():
    lease.take(ALICE)
    let_the_lease_expire()
    lease.take(BOB)
    lease.give_back(ALICE, 1)
    assert lease.renew(BOB, 2)


def test_the_lease_of_a_process_that_died_on_this_machine_is_free_at_once():
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    assert lease.take(f"{socket.gethostname()[:80]}:{gone.pid}") == 1
    assert lease.take(BOB) == 2


def test_a_leader_that_lives_on_this_machine_keeps_its_lease():
    assert lease.take(f"{socket.gethostname()[:80]}:{os.getppid()}") == 1
    assert lease.take(BOB) is None


def test_a_leader_on_another_machine_keeps_its_lease():
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    assert lease.take(f"elsewhere:{gone.pid}") == 1
    assert lease.take(BOB) is None


def test_a_container_that_restarts_with_its_old_name_leads_at_once():
    assert lease.take(lease.this_process()) == 1
    assert lease.take(lease.this_process()) == 2


def test_a_lease_is_held_from_when_it_is_taken_until_it_is_given_back_or_ends():
    assert not lease.is_held()
    assert lease.take(ALICE) == 1
    assert lease.is_held()
    let_the_lease_expire()
    assert not lease.is_held()
    assert lease.renew(ALICE, 1)
    assert lease.is_held()
    lease.give_back(ALICE, 1)
    assert not lease.is_held()
