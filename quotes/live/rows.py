"""Rows: which symbols each page of a board shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from django.utils.safestring import SafeString

from quotes import conf
from quotes.addresses import Address
from quotes.boards import BoardQuery, BoardView, Listed, Selection, select
from quotes.fragments import Fragments
from quotes.fragments.swaps import addressed
from quotes.orders import Orders
from quotes.shown import since_in_english
from quotes.store import Store

Renewal = tuple[Address, str]


class Rows:
    """Chooses the rows of boards, and renews those of open pages when a board changes."""

    def __init__(self, store: Store, fragments: Fragments) -> None:
        self.store, self.fragments = store, fragments
        self.listed = Listed()
        self.orders = Orders()
        self._renewals: dict[Address, Renewal] | None = None

    def choose(self, address: Address) -> tuple[Address, Selection]:
        """Choose the rows of a board's page; return the address that watches them, and the rows."""
        board = self._board(address)
        query, size = address.query, conf.get("PAGE_SIZE")
        selection = select(board, self.store.states, query, size, self.orders)
        rows = tuple(board.places[code] for code in selection.codes)
        return replace(address, symbols=(), rows=rows, mark=board.mark_of(query)), selection

    def first(self, board: BoardView, count: int) -> tuple[str, ...]:
        """Return the first codes of a board, without a search or an order of a visitor."""
        if not board.sort:
            return board.codes[:count]
        return select(board, self.store.states, BoardQuery(), count, self.orders).codes

    def foot(self, address: Address, selection: Selection) -> SafeString:
        """Return the part below the rows of a board: their number, and the links to its pages."""
        query, last = address.query, selection.page >= selection.pages
        quotes = [self.store.states[code].quote for code in selection.codes]
        context = {
            "board": self._board(address),
            "query": query,
            "selection": selection,
            "since": since_in_english(quotes),
            "previous": query.encode(page=selection.page - 1) if selection.page > 1 else "",
            "next": "" if last else query.encode(page=selection.page + 1),
        }
        return self.fragments.templates.render("quotes/_foot.html", address.edition, context)

    def others(self, address: Address) -> list[BoardView]:
        """Return the other boards, to which a board without rows leads."""
        return [board for board in self.listed.boards.values() if board.slug != address.board]

    def renew(self, address: Address) -> Renewal | None:
        """Choose the rows again if the board changed since; return None if it did not.

        Return the address of the new rows with the message that shows them.
        """
        if address.mark in ("", self._board(address).mark_of(address.query)) or not address.board:
            return None
        if self._renewals is None:
            return self._renewal(address)
        if address not in self._renewals:
            self._renewals[address] = self._renewal(address)
        return self._renewals[address]

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Choose the rows of equal addresses once while this is open."""
        self._renewals = {}
        try:
            yield
        finally:
            self._renewals = None

    def _renewal(self, address: Address) -> Renewal:
        chosen, selection = self.choose(address)
        rows = [self.fragments.paint("row", code, chosen.edition) for code in selection.codes]
        context = {
            "board": self._board(address),
            "rows": rows,
            "query": chosen.query,
            "others": self.others(chosen),
        }
        tbody = self.fragments.templates.render("quotes/_rows.html", chosen.edition, context)
        foot = self.foot(chosen, selection)
        return chosen, addressed(tbody, "outerMorph") + addressed(foot, "outerMorph")

    def _board(self, address: Address) -> BoardView:
        return self.listed.boards.get(address.board, BoardView(address.board))
