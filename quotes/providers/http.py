"""Any JSON: quotes from an address of the operator, whose options give the path of each field.

A path leads into the answer step by step: data.0.price is the price in the first row of the list
data. A dot that is part of a name is written \\., and {code} stands for the requested code.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.parse import quote as escaped

from quotes.providers import Instrument, Plan, Provider, ProviderError
from quotes.providers.kit.client import address, host, shown
from quotes.providers.kit.errors import RejectedError
from quotes.providers.kit.faults import Faults
from quotes.providers.kit.options import count, seconds
from quotes.providers.kit.rows import FIELDS, read_rows
from quotes.quote import Quote

CODE, CODES = "{code}", "{codes}"
HERE = "."  # the path of the whole answer
REJECTED = (400, 404, 422)  # statuses with which sources answer to an unknown code
URL = "must be like https://example.com/prices/{code} or https://example.com/prices?of={codes}"
PATH = "must be names and numbers with dots between them, like data.0.price"
LAST = "last=data.price, time=data.at"
LIST = "rows=data and fields=code=symbol, last=price"

Path = tuple[str, ...]
Row = dict[str, Any]
Rows = tuple[dict[str, Row], dict[str, ProviderError]]  # by code: its row, or its rejection


class Http(Provider):
    """Reads quotes from JSON of any form."""

    name = "http"
    title = "HTTP"
    attribution = "Prices provided by this site"
    poll_interval = 15.0
    plan = Plan(per_minute=60, batch=50)

    def __init__(
        self,
        url: str = "",  # with {code}: one request per code; {codes}: for many; else for all
        fields: Mapping[str, str] | str = "",  # paths by the names in FIELDS
        *,
        rows: str = "",  # the path of a list; the paths of the fields begin in its rows
        key: str = "",
        key_header: str = "Authorization",
        interval: float | str = poll_interval,  # seconds between two polls
        per_minute: int | str = 60,  # requests
        batch: int | str = 50,  # codes in one request, if the address has {codes}
        timeout: float = 10.0,  # seconds for an answer
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.template, self.fields = Template(url), read_fields(fields)
        self.list = read_path("rows", rows) if rows else None
        self._check()
        self.poll_interval = seconds("interval", interval)
        self.most, self.size = count("per_minute", per_minute), count("batch", batch)
        if self.template.takes == CODE:
            self.size = 1
        self.plan = Plan(per_minute=self.most, batch=self.size)
        super().__init__()
        headers = {key_header: usable(key, key_header)} if key else {}
        self.rest = self.make_client(self.template.base, timeout=timeout, headers=headers)
        self.turn = 0  # the first code of the next poll, if one is not enough
        self.faults = Faults(self.standing, clock)

    async def quotes(self, instruments: Sequence[Instrument]) -> list[Quote]:
        """Return a quote for each code that the source has.

        If there are more codes than the plan allows in a minute, they take turns.
        """
        codes = self._due(list(dict.fromkeys(each.code for each in instruments)))
        size = self.size if self.template.takes else max(1, len(codes))
        batches = self.faults.batches(codes, size)
        rows: dict[str, Row] = {}
        rejected: dict[str, ProviderError] = {}
        answered: set[str] = set()
        async for batch, answer in self.faults.answers(batches, self._rows):
            rows |= answer[0]
            rejected |= answer[1]
            answered.update(batch)
        if rejected and not rows:  # then the address or the source has a fault, not a code
            raise next(iter(rejected.values()))
        for code, error in rejected.items():
            self.faults.set_aside(code, str(error))
        accepted = answered - rejected.keys()
        requested = [each for each in instruments if each.code in accepted]
        return read_rows(self.name, rows, requested, self.standing)

    def _check(self) -> None:
        if "last" not in self.fields:
            raise ValueError(f"The http provider needs the field last, like {LAST}")
        if ("code" in self.fields) != (self.list is not None):
            raise ValueError(
                "The http provider needs rows (the path of a list) together with the field code "
                f"(of each row), or neither, like {LIST}"
            )
        named = self.template.takes == CODE or CODE in "".join(self.fields["last"])
        if self.list is None and not named:
            raise ValueError(
                "The http provider can't know the code of a price: put {code} in the address or "
                f"in the path, like last=data.{CODE}.price, or use {LIST}"
            )

    def _due(self, codes: list[str]) -> list[str]:
        if not self.template.takes:
            return codes
        for code in codes:
            if code in (".", "..") or (self.template.takes == CODES and "," in code):
                self.faults.set_aside(code, f"{code} can't be part of an address")
        codes = self.faults.due(codes)
        if (most := self.most * self.size) >= len(codes):
            return codes
        start, self.turn = self.turn % len(codes), self.turn + most
        return (codes[start:] + codes[:start])[:most]

    async def _rows(self, codes: Sequence[str]) -> Rows:
        try:
            return self._read(await self.rest.get(*self.template.fill(codes)), codes), {}
        except ProviderError as error:
            if not self.template.takes or error.status not in REJECTED:
                raise
            if len(codes) == 1:
                return {}, {codes[0]: error}
            raise RejectedError(str(error), status=error.status) from error

    def _read(self, answer: Any, codes: Sequence[str]) -> dict[str, Row]:
        if self.list is None:
            return {code: self._fields(answer, code) for code in codes}
        rows = follow(answer, self.list)
        if not isinstance(rows, list):
            where = host(self.template.base)
            raise ProviderError(f"{where} answered, but there is no list at the path in `rows`")
        found = ((follow(row, self.fields["code"]), row) for row in rows)
        return {str(code): self._fields(row, str(code)) for code, row in found if code is not None}

    def _fields(self, answer: Any, code: str) -> Row:
        return {name: follow(answer, path, code) for name, path in self.fields.items()}


class Template:
    """An address with a place for one code, for several, or for none."""

    def __init__(self, url: str) -> None:
        url = url.strip()
        try:
            address(url, "http", "https", query=True)
        except ValueError:
            raise ValueError(f"Unexpected url {shown(url)!r} of the http provider, {URL}") from None
        parts = urlsplit(url)
        places = re.findall(r"{[^{}]*}?|}", parts.path + parts.query)
        odd = [each for each in places if each not in (CODE, CODES)]
        if odd or len({*places}) > 1 or "{" in parts.netloc:
            found = (odd or [*dict.fromkeys(places)] or [shown(url)])[-1]
            raise ValueError(f"Unexpected {found!r} in the url of the http provider, {URL}")
        self.base, self.path = f"{parts.scheme}://{parts.netloc}", parts.path
        self.takes = places[0] if places else ""  # CODE, CODES, or nothing
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        self.params = dict(pairs)
        if len(self.params) < len(pairs):
            raise ValueError("The url of the http provider has the same parameter twice")

    def fill(self, codes: Sequence[str]) -> tuple[str, dict[str, str]]:
        """Return the path and the query of the request for these codes."""
        if not self.takes:
            return self.path, self.params
        path = self.path.replace(self.takes, ",".join(escaped(code, safe="") for code in codes))
        joined = ",".join(codes)
        return path, {
            name: value.replace(self.takes, joined) for name, value in self.params.items()
        }


def read_fields(given: Mapping[str, str] | str) -> dict[str, Path]:
    """Read the paths of fields from a dict or from text; raise ValueError for an invalid one.

    Only a dict can have a name with a comma in it.
    """
    if isinstance(given, str):
        pairs = [pair.partition("=") for pair in given.split(",") if pair.strip()]
        given = {name.strip(): path.strip() for name, _, path in pairs}
    if unknown := [name for name in given if name not in FIELDS]:
        allowed = ", ".join(FIELDS)
        raise ValueError(
            f"Unknown field {unknown[0]!r} of the http provider, must be one of: {allowed}"
        )
    return {name: read_path(name, path) for name, path in given.items()}


def read_path(name: str, given: str) -> Path:
    """Split a path into steps; raise ValueError for an invalid path, like one in JSONPath."""
    if given == HERE:
        return ()
    steps = [step.replace(r"\.", ".") for step in re.split(r"(?<!\\)\.", given)]
    if not all(steps) or re.search(r"[][$*{}]", given.replace(CODE, "")):
        raise ValueError(f"Unexpected path {given!r} of {name} of the http provider, {PATH}")
    return tuple(steps)


def follow(answer: Any, path: Path, code: str = "") -> Any:
    """Return the value at a path; None if there is no value."""
    for step in path:
        name = step.replace(CODE, code)
        if isinstance(answer, dict):
            answer = answer.get(name)
        elif isinstance(answer, list) and re.fullmatch("-?[0-9]{1,9}", name):
            place = int(name)
            answer = answer[place] if -len(answer) <= place < len(answer) else None
        else:
            return None
    return answer


def usable(key: str, header: str) -> str:
    """Return a key for a header; raise ValueError, which never quotes the key."""
    if not re.fullmatch(r"[\w-]+", header, re.ASCII):
        name = header.partition(":")[0]  # the key may follow
        raise ValueError(
            f"Unexpected key_header {name!r}, must be the name of a header, like X-Api-Key"
        )
    if not key.isascii() or not key.strip().isprintable():
        raise ValueError("Unexpected key of the http provider, must be visible ASCII on one line")
    return key.strip()
