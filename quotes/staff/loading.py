"""Loading a file in the background: how far it is, how it is cancelled, and what if it dies.

A load writes all in one transaction, and SQLite lets nobody else write meanwhile. So the process
that works keeps the progress in its memory, and notices there that it is cancelled. The row of the
load has both for other processes. It has a lease, too: if its process has ended, the next process
that looks at it states so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from threading import Event, Thread
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.db import Error, IntegrityError, OperationalError, connections, transaction
from django.db.models.functions import Now
from django.utils import timezone, translation
from django.utils.translation import gettext

from quotes.catalogue import Cancelled, InvalidCatalogue, Step
from quotes.live import Live, current, lease
from quotes.models import Load

logger = logging.getLogger(__name__)

MOMENT = 1.0  # seconds that a request waits: most files are done by then
BEAT_EVERY = 1.0  # seconds
LEASE = timedelta(seconds=15)  # longer than SQLite lets a beat wait for a lock

State = Load.State


class Busy(Exception):
    """Raised when another file is being loaded."""


class Run:
    """A load that this process works on."""

    def __init__(self, load: Load, work: Callable[[Run], None]) -> None:
        self.load, self.work = load, work
        self.language = translation.get_language()
        self.progress = (Step.READ, 0, 0)
        self.cancelled_by = ""
        self.server_ends = False
        self.ended = Event()

    def report(self, step: Step, done: int, of: int) -> None:
        """Note how far the work is; raise Cancelled if it is to stop."""
        self.progress = (step, done, of)
        if self.cancelled_by or self.server_ends:
            raise Cancelled

    def end(self, state: State, **values: Any) -> None:
        """Write what came of it, unless others have ended or cancelled it: then raise Cancelled."""
        rows = Load.objects.filter(pk=self.load.pk, state=State.RUNNING, cancelled_by="")
        if self.cancelled_by or not rows.update(state=state, ended_at=timezone.now(), **values):
            raise Cancelled

    def __call__(self) -> None:
        """Work until the end, and write what came of it."""
        beat = Beat(self)
        beat.start()
        try:
            with translation.override(self.language):
                self._work()
        finally:
            beat.ended.set()
            running.pop(self.load.pk, None)
            self.ended.set()

    def _work(self) -> None:
        try:
            self.work(self)
        except Cancelled:
            self._stopped(State.CANCELLED if self._cancelled() else State.LOST)
        except InvalidCatalogue as error:
            self._stopped(State.REFUSED, report={"errors": error.shown})
        except OperationalError as error:
            words = gettext("The database did not answer (%(error)s). Try again.")
            self._stopped(State.REFUSED, report={"errors": [words % {"error": error}]})
        except Exception:
            self._stopped(State.FAILED)
            raise

    def _cancelled(self) -> bool:
        self.cancelled_by = self.cancelled_by or self._read_cancelled_by()
        return bool(self.cancelled_by)

    def _read_cancelled_by(self) -> str:
        found = Load.objects.filter(pk=self.load.pk).values_list("cancelled_by", flat=True)
        return found.first() or ""

    def _stopped(self, state: State, **values: Any) -> None:
        """Write why nothing was changed. If that fails, the lease ends without a result."""
        given = {"state": state, "ended_at": timezone.now(), "cancelled_by": self.cancelled_by}
        try:
            Load.objects.filter(pk=self.load.pk, state=State.RUNNING).update(**given, **values)
        except Error as error:
            logger.warning("could not store the end of load %d: %s", self.load.pk, error)

    def beat(self) -> None:
        """Write that this process lives and how far it is, and read whether it is cancelled."""
        step, done, of = self.progress
        rows = Load.objects.filter(pk=self.load.pk, state=State.RUNNING)
        rows.update(seen_at=Now(), step=step, done=done, of=of)
        self._cancelled()

    async def in_background(self) -> None:
        """Work in a thread; end early, and change nothing, if the server of this process ends."""
        work = asyncio.ensure_future(sync_to_async(self._in_thread, thread_sensitive=False)())
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            self.server_ends = True
            await asyncio.wait([work])
            raise

    def _in_thread(self) -> None:
        try:
            self()
        finally:
            connections.close_all()  # those of this thread


class Beat(Thread):
    """Gives a sign of life of a load each second, over a connection of its own."""

    def __init__(self, run: Run) -> None:
        super().__init__(name="quotes-load", daemon=True)
        self.of, self.ended = run, Event()

    def run(self) -> None:
        """Beat until the end; while the database is locked or away, try again."""
        try:
            while not self.ended.wait(BEAT_EVERY):
                try:
                    self.of.beat()
                except Error as error:
                    logger.debug("could not store how far a load is: %s", error)
        finally:
            connections.close_all()


running: dict[int, Run] = {}  # the loads of this process, by key


def begin(work: Callable[[Run], None], **values: Any) -> Load:
    """Begin to load a file, and wait a moment; raise Busy if another file is being loaded."""
    if not values["is_preview"] and in_progress():
        raise Busy  # before a write, for which SQLite would wait
    Load.forget_old()
    try:
        with transaction.atomic():
            load = Load.objects.create(holder=lease.this_process(), **values)
    except IntegrityError as error:
        raise Busy from error
    run = running[load.pk] = Run(load, work)
    if live := current():
        async_to_sync(_soon)(live, run)
        run.ended.wait(MOMENT)
    else:
        run()  # nothing works in the background of a WSGI server
    return load


async def _soon(live: Live, run: Run) -> None:
    live.tasks.soon(run.in_background)


def in_progress() -> Load | None:
    """Return the load that is in progress, if there is one."""
    load = Load.objects.filter(state=State.RUNNING, is_preview=False).defer("report").first()
    return load if load and settled(load).state == State.RUNNING else None


def settled(load: Load) -> Load:
    """Return a load as it is now. If its process has ended, state that it has no result."""
    if run := running.get(load.pk):
        load.step, load.done, load.of = run.progress
        load.cancelled_by = run.cancelled_by
    elif load.state == State.RUNNING:
        lost = Load.objects.filter(pk=load.pk, state=State.RUNNING)
        # one of this process may begin or end now
        if load.holder == lease.this_process() or not lease.died_here(load.holder):
            lost = lost.filter(seen_at__lt=Now() - LEASE)
        if lost.exists():
            try:
                lost.update(state=State.LOST, ended_at=timezone.now())
            except OperationalError as error:  # SQLite is locked: perhaps the load is at its end
                logger.debug("could not end load %d: %s", load.pk, error)
        load.refresh_from_db()
    return load


def cancel(load: Load, by: str) -> Load:
    """Cancel a load, wait a moment, and return it as it is then."""
    if run := running.get(load.pk):
        run.cancelled_by = by
        run.ended.wait(MOMENT)
    else:
        Load.objects.filter(pk=load.pk, state=State.RUNNING).update(cancelled_by=by)
    load.refresh_from_db()
    return load
