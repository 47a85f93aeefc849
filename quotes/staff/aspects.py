"""Aspects: what a bulk change reads and writes of many symbols, as values that JSON can keep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from math import inf
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext, gettext_noop, pgettext

from quotes import conf
from quotes.live.journal import Thing
from quotes.models import Board, BoardSymbol, Change, ProviderSymbol, Symbol
from quotes.models.statements import MAX_KEYS, parts
from quotes.staff.words import as_text

State = list[Any]
States = Mapping[int, State]  # by the key of a symbol


class Aspect:
    """A part of symbols that a bulk change changes. `label` is its name in the history."""

    label = ""

    def read(self, keys: Collection[int]) -> dict[int, State]:
        """Return the states of the symbols that still exist."""
        raise NotImplementedError

    def write(self, before: States, after: States) -> set[Thing]:
        """Write new states in place of those before, and return what changed."""
        raise NotImplementedError

    def text(self, state: State) -> str:
        """Return a state in words."""
        raise NotImplementedError

    def kept(self, state: State) -> Any:
        """Return a state as the history keeps it: in the language of no user."""
        raise NotImplementedError

    def compared(self, state: State) -> State:
        """Return the part of a state that must be unchanged for an undo."""
        return state

    def exists(self, state: State) -> bool:
        """Return whether a state can still be written."""
        return True


class Activity(Aspect):
    """Whether symbols are active, and why not: active, the operator's reason, and the feed's."""

    label = gettext_noop("active")

    def read(self, keys: Collection[int]) -> dict[int, State]:
        """Return the states of the symbols that still exist."""
        names = ("active", "reason", "not_found_at", "not_found")
        found = {}
        for some in parts(keys):
            rows = Symbol.objects.filter(pk__in=some).order_by()
            for key, active, reason, at, not_found in rows.values_list("pk", *names):
                found[key] = [active, reason, at.isoformat() if at else None, not_found]
        return found

    def write(self, before: States, after: States) -> set[Thing]:
        """Write all symbols with the same state in one statement."""
        alike = defaultdict(list)
        for key, state in after.items():
            alike[tuple(state)].append(key)
        for (active, reason, at, not_found), keys in alike.items():
            values: dict[str, Any] = {"active": active, "reason": reason, "not_found": not_found}
            values["not_found_at"] = datetime.fromisoformat(at) if at else None
            for some in parts(keys):
                Symbol.objects.filter(pk__in=some).update(**values)
        return {(Change.What.SYMBOL, key) for key in after}

    def text(self, state: State) -> str:
        """Return yes or no, and the reason."""
        return as_text(self.kept(state))

    def kept(self, state: State) -> Any:
        """Return whether a symbol is active, and the reason if it is not."""
        active, reason, _, not_found = state
        why = "" if active else reason or not_found
        return [active, why] if why else active


class Places(Aspect):
    """The boards of symbols, each with the position there."""

    label = gettext_noop("boards")

    def __init__(self) -> None:
        boards = list(Board.objects.all())
        self.stored = {board.pk: board.title for board in boards}
        self.titles = {board.pk: gettext(board.title) for board in boards}
        self.lists = {board.pk for board in boards if not board.fills_itself}

    def read(self, keys: Collection[int]) -> dict[int, State]:
        """Return the states of the symbols that still exist."""
        return positions(keys, BoardSymbol.objects.all(), "board")

    def write(self, before: States, after: States) -> set[Thing]:
        """Delete places, and add others."""
        gone, new = defaultdict(list), []
        for key, state in after.items():
            old, now = dict(before[key]), dict(state)
            for board in old.keys() - now.keys():
                gone[board].append(key)
            new += [
                BoardSymbol(board_id=board, symbol_id=key, position=now[board])
                for board in now.keys() - old.keys()
            ]
        for board, keys in gone.items():
            for some in parts(keys):
                BoardSymbol.objects.filter(board=board, symbol__in=some).delete()
        BoardSymbol.objects.bulk_create(new, batch_size=MAX_KEYS)
        return {(Change.What.BOARD, board) for board in {*gone, *(row.board_id for row in new)}}

    def text(self, state: State) -> str:
        """Return the titles of the boards, in their order."""
        there = {board for board, _ in state}
        titles = [title for board, title in self.titles.items() if board in there]
        return ", ".join(titles) or pgettext("boards", "none")

    def kept(self, state: State) -> str:
        """Return the titles of the boards as they are stored."""
        there = {board for board, _ in state}
        return ", ".join(title for board, title in self.stored.items() if board in there)

    def compared(self, state: State) -> State:
        """Return the boards without positions: a board may be arranged before the undo."""
        return [board for board, _ in state]

    def exists(self, state: State) -> bool:
        """Return whether all boards still exist, and none of them fills itself."""
        return self.lists >= {board for board, _ in state}


class Providers(Aspect):
    """The positions of symbols' providers."""

    label = gettext_noop("providers")

    def read(self, keys: Collection[int]) -> dict[int, State]:
        """Return the states of the symbols that still exist."""
        return positions(keys, ProviderSymbol.objects.all(), "provider")

    def write(self, before: States, after: States) -> set[Thing]:
        """Write all codes of a provider with the same position in one statement."""
        alike = defaultdict(list)
        for key, state in after.items():
            old = dict(before[key])
            for provider, position in state:
                if old[provider] != position:
                    alike[provider, position].append(key)
        for (provider, position), keys in alike.items():
            for some in parts(keys):
                rows = ProviderSymbol.objects.filter(provider=provider, symbol__in=some)
                rows.update(position=position)
        return {(Change.What.SYMBOL, key) for key in after}

    def text(self, state: State) -> str:
        """Return the providers in their order."""
        return self.kept(state) or pgettext("providers", "none")

    def kept(self, state: State) -> str:
        """Return the providers in their order."""
        return ", ".join(in_order(state))


def positions(keys: Collection[int], rows: QuerySet[Any], name: str) -> dict[int, State]:
    """Return the value of a field and the position in each row, by the symbols that still exist."""
    found: dict[int, State] = {}
    for some in parts(keys):
        exist = Symbol.objects.filter(pk__in=some).order_by().values_list("pk", flat=True)
        found |= {key: [] for key in exist}
        known = rows.filter(symbol__in=some).order_by(name)
        for key, value, position in known.values_list("symbol", name, "position"):
            found[key].append([value, position])
    return found


def in_order(state: State) -> list[str]:
    """Return providers in the order in which they are used."""
    named = conf.get("PROVIDERS")

    def place(row: tuple[str, int | None]) -> tuple[float, float, str]:
        provider, position = row
        known = named.index(provider) if provider in named else inf
        return inf if position is None else position, known, provider

    return [provider for provider, _ in sorted(state, key=place)]
