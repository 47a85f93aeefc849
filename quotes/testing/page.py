"""What a page shows, read from its HTML and from the messages of its socket."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from html.parser import HTMLParser
from typing import NamedTuple, TypeVar

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
HIDDEN = {"script", "style", "template"}
INLINE = {"a", "abbr", "b", "bdi", "code", "data", "em", "i", "small", "span", "strong", "time"}
PULSE = re.compile(r'class="quotes-pulse pulse-(\w+)')

T = TypeVar("T")


@dataclass(slots=True)
class Fragment:
    """One symbol at one place on a page.

    `fragment["last"]` is a text such as 64,000.01, and `fragment.last` is the number.
    """

    symbol: str
    way: str = ""  # up, down or flat: the direction of the change
    condition: str = ""  # live, stale, closed, none or unknown
    text: str = ""  # all that a visitor reads
    fields: dict[str, str] = field(default_factory=dict)  # the text of each data-field
    values: dict[str, str] = field(default_factory=dict)  # of the same, for machines

    def __getitem__(self, name: str) -> str:
        """Return the text of a field; raise LookupError with the fields that there are."""
        __tracebackhide__ = True
        return found(self.fields, name, f"{self.symbol} shows no field")

    @property
    def last(self) -> Decimal | None:
        """The last price; None if there is none."""
        value = self.values.get("last")
        return Decimal(value) if value else None


class Received:
    """HTML that a page has received: its first HTML, or a message of its socket."""

    def __init__(self, html: str) -> None:
        self.html = html

    def __repr__(self) -> str:
        """Return the beginning of its text, for the failures of tests."""
        return f"<Received {self.text[:200]!r}>"

    def __getitem__(self, symbol: str) -> Fragment:
        """Return the first place of a symbol; raise LookupError with the symbols that there are."""
        __tracebackhide__ = True
        first = {each.symbol: each for each in reversed(self.fragments)}
        return found(first, symbol, "this HTML shows no symbol")

    @property
    def fragments(self) -> list[Fragment]:
        """All places with quotes, in order."""
        return self._read.fragments

    @property
    def text(self) -> str:
        """The text without the marks of HTML."""
        return plain(self._read.text)

    @cached_property
    def _read(self) -> Reader:
        return Reader(self.html)


class Page:
    """An open page: its first HTML, and what its socket has sent until now."""

    def __init__(self, html: str, receive: Callable[[], list[str]]) -> None:
        self.first = Received(html)
        self._messages: list[Received] = []
        self._receive = receive
        self._unread = 0

    def __getitem__(self, symbol: str) -> Fragment:
        """Return what the page shows of a symbol now, at its first place."""
        __tracebackhide__ = True
        received = [self.first, *self.messages]
        newest = {each.symbol: one for one in received for each in one.fragments}
        return found(newest, symbol, "the page shows no symbol")[symbol]

    @property
    def messages(self) -> list[Received]:
        """All messages since the page was opened. The first one shows everything again."""
        self._messages += map(Received, self._receive())
        return self._messages

    @property
    def condition(self) -> str:
        """What the page states of its prices: `opening`, `live` or `stopped`."""
        pulses = [PULSE.findall(each.html) for each in (self.first, *self.messages)]
        return next((each[-1] for each in reversed(pulses) if each), "")

    def read(self) -> list[Received]:
        """Return the messages since the last call, or since the page was opened."""
        new = self.messages[self._unread :]
        self._unread = len(self._messages)
        return new


class Element(NamedTuple):
    """An open element of HTML; its texts belong to a field of a fragment, or to all of it."""

    tag: str
    inside: Fragment | None
    field: str = ""


class Reader(HTMLParser):
    """Reads fragments and texts from HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fragments: list[Fragment] = []
        self.text = ""
        self.opened: list[Element] = []
        self.feed(html)
        self.close()
        for each in self.fragments:
            each.text = plain(each.text)
            each.fields = {name: plain(text) for name, text in each.fields.items()}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        self._divide(tag)
        if tag in VOID:
            return
        given = {name: value or "" for name, value in attrs}
        inside = self.opened[-1].inside if self.opened else None
        if symbol := given.get("data-symbol"):
            inside = Fragment(symbol, given.get("data-way", ""), given.get("data-condition", ""))
            self.fragments.append(inside)
        name = given.get("data-field", "")
        self.opened.append(Element(tag, inside, name))
        if inside and name:
            inside.fields.setdefault(name, "")
            if value := given.get("value") or given.get("datetime"):
                inside.values[name] = value

    def handle_endtag(self, tag: str) -> None:
        """End an element, and those inside it whose end tag was left out."""
        tags = [each.tag for each in self.opened]
        self._divide(tag)
        if tag in tags:
            while self.opened.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Add a text to all that it belongs to."""
        if any(each.tag in HIDDEN for each in self.opened):
            return
        self.text += data
        inside = self.opened[-1].inside if self.opened else None
        if inside is None:
            return
        inside.text += data
        for name in {each.field for each in self.opened if each.inside is inside and each.field}:
            inside.fields[name] += data

    def _divide(self, tag: str) -> None:
        if tag not in INLINE:
            self.handle_data(" ")


def plain(text: str) -> str:
    """Return a text with single spaces."""
    return " ".join(text.split())


def found(known: Mapping[str, T], name: str, missing: str) -> T:
    """Return a value by its name; raise LookupError with the names that there are."""
    __tracebackhide__ = True
    if name not in known:
        raise LookupError(f"{missing} {name!r}, only: {', '.join(known) or 'none'}")
    return known[name]
