"""Bulk changes: many symbols are changed at once, as a preview has shown it, and changed back."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import count
from typing import Any, NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from quotes.live import changes
from quotes.models import Board, BulkChange, HistoryEntry, Symbol
from quotes.models.bulk import KEPT
from quotes.models.history import Author, record, user_of
from quotes.models.locks import begin_to_write, lock, lock_all
from quotes.models.statements import parts
from quotes.staff.aspects import (
    Activity,
    Aspect,
    Places,
    Providers,
    State,
    in_order,
)
from quotes.staff.words import few

Action = BulkChange.Action
ASPECTS: Mapping[str, type[Aspect]] = {
    Action.SWITCH_ON: Activity,
    Action.SWITCH_OFF: Activity,
    Action.PUT: Places,
    Action.MOVE: Places,
    Action.REMOVE: Places,
    Action.ORDER: Providers,
}


class Refused(Exception):
    """Raised when a bulk change, or its undo, can't be carried out any more; with a sentence."""


class Impossible(Exception):
    """Raised when a symbol can't get the state that was chosen; with the reason."""


@dataclass(frozen=True)
class Switch:
    """Symbols are switched on, or off for a reason."""

    active: bool
    reason: str = ""
    choice: Sequence[Any] = ()  # nothing but the action decides the states

    @property
    def action(self) -> str:
        """What is done."""
        return Action.SWITCH_ON if self.active else Action.SWITCH_OFF

    @property
    def detail(self) -> str:
        """How it is done."""
        return self.reason

    def after(self, state: State) -> State:
        """Return the new state of a symbol."""
        return state if state[0] == self.active else [self.active, self.reason, None, ""]


@dataclass(frozen=True)
class Placing:
    """Symbols are put at the end of a board, moved there from all others, or removed from it."""

    action: str
    board: Board

    @property
    def detail(self) -> str:
        """How it is done."""
        return self.board.title

    @property
    def choice(self) -> Sequence[Any]:
        """What decides the states: the board, unless it is gone or fills itself by now."""
        boards = Board.objects.filter(pk=self.board.pk, filling=Board.Filling.LIST)
        return list(boards.values_list("pk", flat=True))

    @cached_property
    def _positions(self) -> count[int]:
        return count(self.board.last_position() + 1)

    def after(self, state: State) -> State:
        """Return the new state of a symbol."""
        here = [place for place in state if place[0] == self.board.pk]
        if self.action == Action.REMOVE:
            return [place for place in state if place not in here]
        others = [] if self.action == Action.MOVE else state
        if here:
            return state if self.action == Action.PUT else here
        return sorted([*others, [self.board.pk, next(self._positions)]])


@dataclass(frozen=True)
class Order:
    """Some providers come first, in this order; without any, the order of the settings counts."""

    providers: Sequence[str]
    action = Action.ORDER

    @property
    def detail(self) -> str:
        """How it is done."""
        return ", ".join(self.providers)

    @property
    def choice(self) -> Sequence[Any]:
        """What decides the states."""
        return self.providers

    def after(self, state: State) -> State:
        """Return the new state of a symbol; raise Impossible if it has no code of the first."""
        known = dict(state)
        if not self.providers:
            return [[provider, None] for provider in known]
        if (first := self.providers[0]) not in known:
            raise Impossible(gettext("no code for %(provider)s") % {"provider": first})
        order = [each for each in self.providers if each in known]
        order += [each for each in in_order(state) if each not in order and known[each] is not None]
        if in_order(state)[: len(order)] == order:
            return state
        places = {provider: place for place, provider in enumerate(order, start=1)}
        return [[provider, places.get(provider)] for provider in known]


Chosen = Switch | Placing | Order


class Changing(NamedTuple):
    """A symbol that changes, and its states."""

    key: int
    code: str
    before: State
    after: State


@dataclass
class Plan:
    """What a bulk change does with each symbol."""

    aspect: Aspect
    changing: list[Changing] = field(default_factory=list)
    already: int = 0  # symbols that need no change
    impossible: dict[str, list[str]] = field(default_factory=dict)  # codes by reason
    seal: str = ""  # another one for other changes: only a plan that was shown can be confirmed

    @classmethod
    def of(cls, chosen: Chosen, symbols: QuerySet[Symbol]) -> Plan:
        """Compare the states of symbols with what was chosen."""
        rows = symbols.select_related(None).prefetch_related(None).order_by("code")
        return cls._of(chosen, dict(rows.values_list("pk", "code")))

    @classmethod
    def _of(cls, chosen: Chosen, codes: Mapping[int, str]) -> Plan:
        plan = cls(ASPECTS[chosen.action]())
        states = plan.aspect.read(codes)
        for key, code in codes.items():
            if key in states:
                plan._add(chosen, Changing(key, code, states[key], []))
        seen = [[key, plan.aspect.compared(states[key])] for key in sorted(states)]
        sealed = json.dumps([chosen.action, chosen.choice, seen])
        plan.seal = sha256(sealed.encode()).hexdigest()
        return plan

    def _add(self, chosen: Chosen, symbol: Changing) -> None:
        try:
            after = chosen.after(symbol.before)
        except Impossible as reason:
            self.impossible.setdefault(str(reason), []).append(symbol.code)
            return
        if after == symbol.before:
            self.already += 1
        else:
            self.changing.append(symbol._replace(after=after))


@contextmanager
def at_once(refusal: str) -> Iterator[None]:
    """Write all or nothing; raise Refused if others wrote the same between our reads and writes."""
    try:
        with transaction.atomic():
            begin_to_write()
            yield
    except IntegrityError as error:
        raise Refused(refusal) from error


def carry_out(chosen: Chosen, symbols: QuerySet[Symbol], seal: str, user: Any) -> BulkChange:
    """Change symbols as a plan with this seal has shown it; raise Refused if the plan is outdated.

    It takes few statements for all symbols, because 20,000 saves would lock SQLite for a minute.
    """
    changed = gettext(
        "Nothing was changed, because the symbols or your choice changed after the preview. This "
        "is what would change now."
    )
    with at_once(changed):
        lock_rows(chosen.action, symbols.order_by().values_list("pk", flat=True))
        plan = Plan.of(chosen, symbols)
        if plan.seal != seal:
            raise Refused(changed)
        done = BulkChange(action=chosen.action, detail=chosen.detail, by=user.get_username())
        done.count = len(plan.changing)
        done.symbols = {each.key: each[1:] for each in plan.changing}
        batch = HistoryEntry(what=done.action, reason=done.detail)
        done.history = write(plan.aspect, plan.changing, user_of(user), batch)
        done.save()
        BulkChange.objects.filter(at__lt=timezone.now() - KEPT).delete()
        return done


class Undo:
    """The undo of a bulk change: the symbols that it changes back, and those that it leaves."""

    def __init__(self, done: BulkChange) -> None:
        self.done, self.aspect = done, ASPECTS[done.action]()
        # by code, because PostgreSQL sorts the keys of its JSON
        stored = sorted(done.symbols.items(), key=lambda each: str(each[1][0]))
        rows = {int(key): Changing(int(key), *row) for key, row in stored}
        codes = Symbol.objects.order_by().values_list("pk", "code")
        named = dict(row for some in parts(rows) for row in codes.filter(pk__in=some))
        now = self.aspect.read(rows)
        self.restored: list[Changing] = []
        self.left: list[str] = []  # codes of symbols that others changed since, or deleted
        for key, row in rows.items():
            if key in now and self._is_untouched(row, now[key]):
                self.restored.append(row._replace(before=now[key], after=row.before))
            else:
                self.left.append(named.get(key, row.code))

    def _is_untouched(self, row: Changing, now: State) -> bool:
        same = self.aspect.compared(now) == self.aspect.compared(row.after)
        return same and self.aspect.exists(row.before)

    @classmethod
    def carry_out(cls, key: int, user: Any) -> Undo:
        """Change symbols back; raise Refused if somebody did it, or if it is too late."""
        changed = gettext(
            "Nothing was changed, because somebody else changed the same symbols. Look again at "
            "what would change."
        )
        with at_once(changed):
            done = BulkChange.objects.select_for_update().get(pk=key)
            if not done.undoable:
                raise Refused(too_late(done))
            lock_rows(done.action, map(int, done.symbols))
            undo = cls(done)
            batch = HistoryEntry(what=HistoryEntry.What.UNDONE, reason=done.detail)
            batch.values = [done.action]
            write(undo.aspect, undo.restored, user_of(user), batch)
            done.undone_at, done.undone_by = timezone.now(), user.get_username()
            done.save(update_fields=["undone_at", "undone_by"])
            return undo


def too_late(done: BulkChange) -> str:
    """Return why a bulk change can't be undone."""
    if done.undone_at:
        return gettext("This was already undone by %(user)s.") % {"user": done.undone_by}
    return gettext("This can no longer be undone, because it is more than an hour old.")


def lock_rows(action: str, keys: Any) -> None:
    """Lock symbols until the transaction ends; before a change of their places also all boards."""
    lock_all(Symbol, keys)
    if ASPECTS[action] is Places:
        list(lock(Board.objects.order_by("pk")).values_list("pk", flat=True))


def write(
    aspect: Aspect, changing: Collection[Changing], by: Author, batch: HistoryEntry
) -> HistoryEntry | None:
    """Write new states, notify every process, and return what the history has of it."""
    before = {each.key: each.before for each in changing}
    things = aspect.write(before, {each.key: each.after for each in changing})
    entries = [
        HistoryEntry(
            model="symbol",
            key=each.key,
            name=each.code,
            what=HistoryEntry.What.CHANGED,
            values=[[aspect.label, aspect.kept(each.before), aspect.kept(each.after)]],
        )
        for each in changing
    ]
    if isinstance(aspect, Places):
        entries += of_boards(changing)
    if things:
        changes.notify(things)
    return record(by, entries, batch)


def of_boards(changing: Collection[Changing]) -> Iterator[HistoryEntry]:
    """Yield what the history of each board states about its symbols that changed."""
    added: dict[int, list[str]] = defaultdict(list)
    removed: dict[int, list[str]] = defaultdict(list)
    for each in changing:
        before, after = ({board for board, _ in state} for state in (each.before, each.after))
        for codes, boards in ((added, after - before), (removed, before - after)):
            for board in boards:
                codes[board].append(each.code)
    for row in Board.objects.filter(pk__in={*added, *removed}):
        both = (("added", added[row.pk]), ("removed", removed[row.pk]))
        fact = {"placed": {name: few(some) for name, some in both if some}}
        yield HistoryEntry.of(row, [fact])
