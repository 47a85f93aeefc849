"""Search: the symbols that a visitor means, the likeliest first."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import accumulate

from quotes.codes import comparable
from quotes.models import Symbol

# symbols that a search finds, at most; to see others, a visitor must search for a longer text
MOST = 500
NEIGHBOURS = 100  # codes on each side of an unknown one that are compared with it
COMPARED = 24  # characters of an unknown code: with more, and few different ones, it takes long
BETWEEN = "\x1f"  # between code and name: neither has it, nor a line break
# The likeliest first: this code or name, those that begin so, words after a space, the rest
RANKS = ("\n{}" + BETWEEN, BETWEEN + "{}\n", "\n{}", BETWEEN + "{}", " {}", "{}")


def matched(text: str, search: str) -> tuple[str, str, str]:
    """Return a text in three: before what was searched for, the part that matches, and the rest."""
    compared, wanted = comparable(text), comparable(search.strip())
    place = compared.find(wanted)
    before, rest = text[:place], text[place:]
    match, after = rest[: len(wanted)], rest[len(wanted) :]
    # a letter that is compared as two, or two as one, moves those after it
    return (before, match, after) if place >= 0 and comparable(match) == wanted else (text, "", "")


def without_sign(code: str) -> str:
    """Return a code as it is ordered: ^GSPC beside GSPC."""
    return code.lstrip("^.$")


class SymbolIndex:
    """All symbols in one text, so that a search is a scan of it: 20,000 take a few milliseconds."""

    def __init__(self, symbols: Iterable[Symbol]) -> None:
        self.codes: list[str] = []
        lines = []
        for symbol in symbols:
            self.codes.append(symbol.code)
            lines.append(f"\n{comparable(symbol.code)}{BETWEEN}{comparable(symbol.name)}")
        self.text = "".join(lines) + "\n"
        self.ordered = sorted(self.codes, key=without_sign)
        self.starts = list(accumulate(map(len, lines), initial=0))

    def find(self, search: str) -> list[str]:
        """Return the codes of the symbols whose code or name has this text, at most MOST."""
        wanted = comparable(search.strip())
        if not wanted or "\n" in wanted or BETWEEN in wanted:
            return []
        found: dict[int, None] = {}
        for rank in RANKS:
            for line in self._lines(rank.replace("{}", wanted)):
                found.setdefault(line)
                if len(found) == MOST:
                    return [self.codes[line] for line in found]
        return [self.codes[line] for line in found]

    def near(self, unknown: str) -> list[str]:
        """Return at most three codes for which a visitor may have written an unknown one."""
        place = bisect_left(self.ordered, without_sign(unknown), key=without_sign)
        around = self.ordered[max(0, place - NEIGHBOURS) : place + NEIGHBOURS]
        return get_close_matches(unknown[:COMPARED], [c for c in around if len(c) <= COMPARED])

    def _lines(self, wanted: str) -> Iterator[int]:
        """Yield the number of each symbol whose line has this text."""
        place = self.text.find(wanted)
        while place >= 0:
            line = bisect_right(self.starts, place) - 1
            yield line
            place = self.text.find(wanted, self.starts[line + 1])
