"""Ranking: the symbols of boards with the largest rises, falls or turnovers, every ten seconds.

All processes choose at the same moments of the clock. If a price arrives just then, they may differ
until the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Protocol

from quotes.boards import BoardView, Listed
from quotes.live.rows import Rows
from quotes.rules import Rule
from quotes.store import Store

logger = logging.getLogger(__name__)

EVERY = 10  # seconds: rows that change places more often can't be read


class Live(Protocol):
    """The attributes of `live.Live` that `Ranking` uses."""

    store: Store
    rows: Rows

    @property
    def listed(self) -> Listed:
        """The active symbols and the boards."""


class Ranking:
    """Chooses the symbols of ranked boards, and notifies the pages of those that changed."""

    def __init__(self, live: Live) -> None:
        self.live = live
        # called with the slugs of boards that have other symbols now
        self.on_choice: set[Callable[[Collection[str]], None]] = set()
        self.chosen: dict[int, tuple[Rule | None, tuple[str, ...]]] = {}  # by board: from what
        self.turn = self._turn()

    async def run(self) -> None:
        """Choose again and again, forever."""
        while True:
            await asyncio.sleep(EVERY - self.live.store.clock().timestamp() % EVERY)
            await self.look()

    async def look(self) -> None:
        """Choose again if it is time, one board after the other: quotes go on between them."""
        if self.turn == self._turn():
            return
        self.turn = self._turn()
        for slug in list(self.live.listed.boards):
            board = self.live.listed.boards.get(slug)
            if board and board.sort:
                self._notify(self._choose([board]))
                await asyncio.sleep(0)

    def settle(self) -> None:
        """Choose for boards that are new, or whose rule finds other symbols than before."""
        boards = [each for each in self.live.listed.boards.values() if each.sort]
        self.chosen = {
            each.key: self.chosen[each.key] for each in boards if each.key in self.chosen
        }
        self._choose([b for b in boards if self.chosen.get(b.key) != (b.rule, b.pool)])

    def _choose(self, boards: Collection[BoardView]) -> list[str]:
        """Choose for these boards; return the slugs of those with other symbols."""
        listed, states = self.live.listed, self.live.store.states
        views = []
        for board in boards:
            if board.rule:
                views.append(board.showing(board.rule.best(board.pool, states), listed.symbols))
                self.chosen[board.key] = board.rule, board.pool
        changed = [each for each in views if each.mark != listed.boards[each.slug].mark]
        if changed:
            self.live.rows.listed = listed.with_boards(changed)
        return [each.slug for each in changed]

    def _notify(self, slugs: Collection[str]) -> None:
        with self.live.rows.shared():
            for notify in list(self.on_choice) if slugs else ():
                try:
                    notify(slugs)
                except Exception:
                    logger.exception("could not update the rows of a page")

    def _turn(self) -> int:
        return int(self.live.store.clock().timestamp() // EVERY)
