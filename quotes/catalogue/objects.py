"""A JSON file of symbols, as rows and columns: a list of objects whose names are the columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.text import get_text_list
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes.catalogue.columns import column_of
from quotes.catalogue.sheet import (
    JSON,
    MAX_CELLS,
    MAX_ROWS,
    UTF_8,
    Format,
    InvalidCatalogue,
    Row,
    Sheet,
    plain,
    too_many_rows,
)
from quotes.catalogue.words import at_line, quoted
from quotes.formats import grouped

MAX_OBJECT = 20_000  # characters: the longest cells of all columns
FORM = '[{"symbol": "AAPL", …}, …]'
SPACE = re.compile(r"[ \t\r\n]*")


class Number(str):
    """A number with all its digits, as the file has it."""


TYPES: dict[type, Any] = {
    str: _("a text"),
    Number: _("a number"),
    bool: _("true or false"),
    list: _("a list"),
    dict: _("an object"),
}
ALLOWED: Mapping[str, tuple[type, ...]] = {  # by column; all others are texts
    "tick_size": (Number, str),
    "start": (Number, str),
    "stale_after": (Number, str),
    "active": (bool, str),
}


def is_json(text: str) -> bool:
    """Return whether a text is JSON, and not CSV: no column begins with a bracket."""
    return text.startswith(("[", "{"), _after_space(text, 0))


def read_objects(text: str, encoding: str) -> Sheet:
    """Return the rows of a list of objects; raise InvalidCatalogue for anything else."""
    if encoding != UTF_8:
        words = gettext("the file is JSON in %(encoding)s, must be in UTF-8")
        raise InvalidCatalogue([words % {"encoding": encoding}])
    found = list(_objects(text))
    if not found:
        raise InvalidCatalogue([gettext("the list in the file is empty")])
    names = list(dict.fromkeys(name for _, each in found for name in each))
    if len(names) > MAX_CELLS:
        words = gettext("the file has more than %(most)d different names")
        raise InvalidCatalogue([words % {"most": MAX_CELLS}])
    errors = [at_line(line, error) for line, each in found for error in _wrong_types(each)]
    if errors:
        raise InvalidCatalogue(errors)
    rows = [Row(line, [_cell(each.get(name)) for name in names]) for line, each in found]
    header = Row(rows[0].line, names)
    return Sheet(Format(encoding, JSON), [header, *(row for row in rows if any(row.cells))])


def _objects(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a list, each with the line where it begins.

    One is read after the other, so that a file can't have more of them than the memory.
    """
    line, place, before = 1, _after_space(text, 0), 0
    if text[place] != "[":
        words = gettext("the file is a JSON object, must be a list of objects: %(form)s")
        raise InvalidCatalogue([words % {"form": FORM}])
    place, count = _after_space(text, place + 1), 0
    while not text.startswith("]", place) or count:
        line, before = line + text.count("\n", before, place), place
        each, place = _object(text, place, line)
        yield line, each
        count += 1
        if count > MAX_ROWS:
            raise too_many_rows()
        place = _after_space(text, place)
        if text.startswith("]", place):
            break
        if not text.startswith(",", place):
            line += text.count("\n", before, place)
            raise _invalid(line, gettext("expected “,” or “]”"))
        place = _after_space(text, place + 1)
    if text[place + 1 :].strip():
        raise InvalidCatalogue([gettext("text follows the end of the JSON list: remove it")])


def _object(text: str, place: int, line: int) -> tuple[dict[str, Any], int]:
    part = text[place : place + MAX_OBJECT]
    try:
        found, length = DECODER.raw_decode(part)
    except json.JSONDecodeError as error:
        long = gettext("an object is invalid or has over %(most)s characters")
        is_long = len(part) == MAX_OBJECT
        cause = long % {"most": grouped(MAX_OBJECT)} if is_long else gettext(error.msg)
        raise _invalid(line + part.count("\n", 0, error.pos), cause) from error
    except RecursionError as error:
        words = gettext("lists in lists are too deep, must be a list of objects: %(form)s")
        raise InvalidCatalogue([at_line(line, words % {"form": FORM})]) from error
    except ValueError as error:
        raise InvalidCatalogue([at_line(line, str(error))]) from error
    if not isinstance(found, dict):
        words = gettext("%(what)s is in place of an object, must be a list of objects: %(form)s")
        named = {"what": TYPES.get(type(found), "null"), "form": FORM}
        raise InvalidCatalogue([at_line(line, words % named)])
    return found, place + length


def _invalid(line: int, cause: str) -> InvalidCatalogue:
    words = gettext("invalid JSON: %(cause)s") % {"cause": cause}
    return InvalidCatalogue([at_line(line, words)])


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(found := dict(pairs)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        words = gettext("%(name)s appears twice in an object")
        raise ValueError(words % {"name": quoted(twice)})
    return found


def _not_a_number(text: str) -> Any:
    words = gettext("%(value)s is not valid JSON: leave the value out")
    raise ValueError(words % {"value": text})


DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_float=Number,
    parse_int=Number,
    parse_constant=_not_a_number,
)


def _wrong_types(found: Mapping[str, Any]) -> Iterator[str]:
    for name, value in found.items():
        allowed = ALLOWED.get(column_of(name), (str,))
        if value is not None and type(value) not in allowed:
            types = get_text_list([TYPES[each] for each in allowed], gettext("or"))
            words = gettext("%(name)s is %(type)s, must be %(allowed)s")
            yield words % {"name": quoted(name), "type": TYPES[type(value)], "allowed": types}


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else plain(value)


def _after_space(text: str, place: int) -> int:
    found = SPACE.match(text, place)
    return found.end() if found else place
