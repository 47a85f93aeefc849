"""docs/operations.md lists every message of the log with its level, and no other.

Each line of a failure names a row of the document to write, to add or to remove.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

import pytest

from tests.log_messages import LEVELS, Message, UnreadableError, collect, shortened
from tests.servers import ROOT

DOCUMENT = "docs/operations.md"
SECTION = "## What each log message means"
LEVEL = rf"(?:{'|'.join(LEVELS)})"
ROW = re.compile(rf"\| `(.+)` \| ({LEVEL}(?: or {LEVEL})*) \| (\S.*) \| (\S.*) \|")
HEADING = re.compile(r"### .*\(`([\w.]+)`\)")


@dataclass(frozen=True)
class Row:
    """One row of the tables in the document."""

    line: int
    room: str
    text: str
    level: str


def rows(document: str) -> Iterator[Row]:
    """Yield the rows of the section about the log; fail for an invalid one."""
    room, here = "", False
    for number, line in enumerate(document.splitlines(), 1):
        if line.startswith("## "):
            here = line == SECTION
        elif here and (heading := HEADING.fullmatch(line)):
            room = heading[1]
        elif (
            here and room and line.startswith("|") and not line.startswith(("| message |", "|---"))
        ):
            row = ROW.fullmatch(line)
            assert row, (
                f"line {number} must be | `message` | LEVEL | meaning | what to do |: {line}"
            )
            yield Row(number, room, shortened(row[1]), row[2])


def differences(messages: Iterable[Message], written: Iterable[Row]) -> list[str]:
    """Return the changes that the document needs, a line each, from its top to its end."""
    logged: dict[tuple[str, str], list[Message]] = {}
    for each in sorted(messages, key=lambda each: each.where):
        logged.setdefault((each.room, each.text), []).append(each)
    listed = {(each.room, each.text): each for each in written}
    new, found = dict.fromkeys(sorted(logged.keys() - listed.keys())), []
    for key, row in listed.items():
        candidates = [text for room, text in new if room == row.room]
        if key in logged:
            now = key
        elif near := get_close_matches(row.text, candidates, 1):
            now = (row.room, near[0])
            del new[now]
            found.append(f"line {row.line}: write `{now[1]}` for `{row.text}` {where(logged[now])}")
        else:
            found.append(f"line {row.line}: remove the row of `{row.text}`, which is not logged")
            continue
        if row.level != level(logged[now]):
            found.append(
                f"line {row.line}: the level is {level(logged[now])}, not {row.level} "
                f"{where(logged[now])}"
            )
    for room, text in new:
        some = logged[room, text]
        row = f"| `{text}` | {level(some)} | … | … |"
        found.append(f"under ### … (`{room}`): add the row {row} {where(some)}")
    return found


def level(messages: Iterable[Message]) -> str:
    """Return the levels of a message as the document writes them: "WARNING or DEBUG"."""
    levels = {level for each in messages for level in each.levels}
    return " or ".join(level for level in LEVELS if level in levels)


def where(messages: Iterable[Message]) -> str:
    """Return where a message is logged: "(quotes/feed/sources.py:181)"."""
    return f"({', '.join(each.where for each in messages)})"


def test_the_document_lists_every_log_message_with_its_level_and_no_other():
    folders = (ROOT / "quotes", ROOT / "site")
    sources = {
        path.relative_to(ROOT).as_posix(): path.read_text()
        for folder in folders
        for path in folder.rglob("*.py")
    }
    written = list(rows((ROOT / DOCUMENT).read_text()))
    found = differences(collect(sources), written)
    assert not found, "\n".join([f"change {DOCUMENT}:", *found])
    assert len({(row.room, row.text) for row in written}) == len(written)


def logged(source: str, path: str = "quotes/feed/sources.py") -> set[tuple[str, str, str]]:
    return {(each.room, each.text, level([each])) for each in collect({path: source})}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('logger.info("%s is back", name)', {("… is back", "INFO")}),
        ('logger.exception("a part died")', {("a part died", "ERROR")}),
        ('logging.getLogger("a").error("%d %% of %(a)s")', {("… % of …", "ERROR")}),
        (
            'logger.log(logging.DEBUG if known else logging.WARNING, "x")',
            {("x", "WARNING or DEBUG")},
        ),
        ('logger.info("on" if well else "off")', {("on", "INFO"), ("off", "INFO")}),
        ('def f(n):\n words = f"{n:d} more: %s"\n logger.info(words, 1)', {("… more: …", "INFO")}),
        (
            """
def warn(words, of):
    logger.warning(words, of)

def f(x):
    warn("a %s", x)
    warn("b %s", of="2")
""",
            {("a …", "WARNING"), ("b 2", "WARNING")},
        ),
        (
            """
class A:
    def say(self, level, what):
        logger.log(level, "%s: %s", what, 1)

    def f(self):
        self.say(logging.INFO, "up")
        self.say(logging.ERROR, "down")
""",
            {("up: …", "INFO"), ("down: …", "ERROR")},
        ),
    ],
)
def test_a_message_is_found_however_it_is_logged(source: str, expected: set[tuple[str, str]]):
    assert logged(source) == {("quotes.feed", *each) for each in expected}


def test_a_message_is_found_through_a_helper_of_another_module():
    helper = "def warn(words):\n logger.warning(words)"
    sources = {"quotes/limits.py": helper, "site/quoteboard/asgi.py": 'limits.warn("full")'}
    [message] = collect(sources)
    assert (message.text, message.where) == ("full", "quotes/limits.py:2")


@pytest.mark.parametrize(
    "source",
    [
        "logger.info(words)",
        "logger.info(str(error))",
        "def warn(words):\n logger.warning(words)",
        'logger.log(level, "a")',
        "say = logger.info",
    ],
)
def test_a_message_that_cannot_be_read_is_refused(source: str):
    with pytest.raises(UnreadableError, match=r"^quotes/feed/sources.py:\d"):
        logged(source)


def test_a_difference_names_the_row_and_the_change():
    document = f"""{SECTION}

### The feed (`quotes.feed`)

| message | level | meaning | what to do |
|---|---|---|---|
| `%s is back` | INFO | a | b |
| `… is here again` | INFO | a | b |
| `another one` | INFO | a | b |
| `moved` | WARNING or DEBUG | a | b |
"""
    source = (
        'logger.warning("%s is back", 1)\nlogger.info("%s is there again", 1)\n'
        'logger.info("new")\nlogger.info("%s is back", 2)\n'
    )
    messages = collect({"quotes/feed/a.py": source, "quotes/live/a.py": 'logger.info("moved")'})
    assert differences(messages, rows(document)) == [
        "line 7: the level is WARNING or INFO, not INFO (quotes/feed/a.py:1, quotes/feed/a.py:4)",
        "line 8: write `… is there again` for `… is here again` (quotes/feed/a.py:2)",
        "line 9: remove the row of `another one`, which is not logged",
        "line 10: remove the row of `moved`, which is not logged",
        "under ### … (`quotes.feed`): add the row | `new` | INFO | … | … | (quotes/feed/a.py:3)",
        "under ### … (`quotes.live`): add the row | `moved` | INFO | … | … | (quotes/live/a.py:1)",
    ]
