"""The history, newest first: what users, commands and the feed changed, from all its tables.

A fact that a table has already, such as the outcome of a held price, is read from there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.text import capfirst
from django.utils.translation import gettext

from quotes.models import (
    Alias,
    Board,
    BulkChange,
    HeldPrice,
    HistoryEntry,
    InstrumentList,
    MarketDay,
    Override,
    Split,
    Symbol,
)
from quotes.models.history import FEED, Author
from quotes.shown import provider_title
from quotes.staff import held_prices
from quotes.staff.facts import fact_in_words, from_to, is_fact
from quotes.staff.words import of_override

PAGE = 50  # lines
SAME_MOMENT = 50  # lines of one moment, which are not divided between two pages
MODELS: tuple[type[Model], ...] = (
    *(Symbol, Board, MarketDay, HeldPrice, Override, Split),
    InstrumentList,
)
OF_SYMBOLS: tuple[type[Model], ...] = (Symbol, HeldPrice, Override, Split)
MODEL_NAMED = {str(model._meta.model_name): model for model in MODELS}
Role = HistoryEntry.Role


class Line(NamedTuple):
    """A change, as pages show it."""

    at: datetime
    by: Author
    text: str
    model: type[Model] | None = None  # of the row that changed; None for many rows
    key: Any = None  # of a split the key of its symbol, whose form has it
    name: str = ""
    more: str = ""  # the reason, or the outcome
    batch: int | None = None  # the key of the entry of many rows
    size: int = 0  # its symbols

    @property
    def kind(self) -> str:
        """The kind of the row."""
        return capfirst(str(self.model._meta.verbose_name)) if self.model else ""


@dataclass(frozen=True)
class Wanted:
    """The changes that are wanted: of some models, and perhaps of some rows, users and times."""

    models: Collection[type[Model]]
    by: Author | None = None
    symbols: Collection[int] | None = None  # their keys; None for all
    codes: Collection[str] = ()  # of these symbols, now and before
    row: Model | None = None  # the only one, which is not a symbol
    since: datetime | None = None
    until: datetime | None = None

    def of_feed(self, model: type[Model], at: str, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the newest wanted rows of a table in which the feed sets the field `at`."""
        if self.row or model not in self.models or self.by not in (None, FEED):
            return rows.none()
        if self.symbols is not None:
            rows = rows.filter(symbol__in=self.symbols)
        return self.newest_of(rows, at, order=at)

    def newest_of(self, rows: QuerySet[Any], at: str, order: str = "pk") -> QuerySet[Any]:
        """Return the newest wanted rows of a table. Keys are in the order of time, and an index."""
        if self.since:
            rows = rows.filter(**{f"{at}__gte": self.since})
        if self.until:
            rows = rows.filter(**{f"{at}__lt": self.until})
        return rows.order_by(f"-{order}")[: PAGE + SAME_MOMENT]


def of_row(
    row: Model, until: datetime | None = None, visible: Collection[type[Model]] = MODELS
) -> list[Line]:
    """Return the changes of a row. Those of a symbol include its rows of the visible models."""
    if not isinstance(row, Symbol):
        return newest(Wanted([type(row)], row=row, until=until))
    models = [each for each in visible if each in OF_SYMBOLS]
    return newest(of_symbols(Wanted(models, until=until), [row]))


def changed_by(row: Model, label: str) -> Author | None:
    """Return who changed a field of a row last, or None if its newest lines do not have it."""
    words = f"{capfirst(label)}: "
    lines = (line for line in of_row(row, visible=[type(row)]) if words in line.text)
    return next((line.by for line in lines), None)


def of_symbols(wanted: Wanted, symbols: Collection[Symbol], *codes: str) -> Wanted:
    """Limit what is wanted to some symbols, and to deleted ones that had one of these codes."""
    keys = [each.pk for each in symbols]
    former = Alias.objects.filter(symbol__in=keys).values_list("code", flat=True)
    known = {*codes, *former, *(each.code for each in symbols)}
    return replace(wanted, symbols=keys, codes=sorted(known))


def newest(wanted: Wanted) -> list[Line]:
    """Return a page of lines, and one line more if there are others."""
    found = [line for source in SOURCES for line in source(wanted)]
    found.sort(key=lambda line: line.at, reverse=True)
    end = PAGE
    while 0 < end < len(found) and found[end].at == found[end - 1].at:
        end += 1
    return found[: end + 1]


def _of_forms(wanted: Wanted) -> Iterator[Line]:
    """Yield what users changed with forms."""
    rows = LogEntry.objects.select_related("user")
    if wanted.by:
        if wanted.by.role != Role.USER:
            return
        user = get_user_model().objects.filter(**{_name_of_users(): wanted.by.name}).first()
        rows = rows.filter(user=user)
    # one query for each kind: only the rows of one kind are in the order of keys in the index
    for model, kind in ContentType.objects.get_for_models(*wanted.models).items():
        of_kind = rows.filter(_logged(wanted, model), content_type=kind)
        for each in wanted.newest_of(of_kind, "action_time"):
            by = Author(Role.USER, each.user.get_username())
            place = model, each.object_id, each.object_repr
            yield Line(each.action_time, by, of_form(each), *place)


def _name_of_users() -> str:
    return str(get_user_model().USERNAME_FIELD)


def _logged(wanted: Wanted, model: type[Model]) -> Q:
    """Return the condition of wanted entries of Django's history about rows of a model."""
    if wanted.row:
        return Q(object_id=str(wanted.row.pk))
    if wanted.symbols is None:
        return Q()
    if model is Symbol:
        keys = [str(key) for key in wanted.symbols]
        return Q(object_id__in=keys) | Q(object_repr__in=wanted.codes)
    begins = {Override: "%s: ", HeldPrice: "%s "}.get(model)  # how its text begins, with the code
    if begins is None:
        return Q(pk__in=[])
    rows = model._default_manager.filter(symbol__in=wanted.symbols).values_list("pk", flat=True)
    found = Q(object_id__in=[str(key) for key in rows])
    for code in wanted.codes:  # of deleted rows
        found |= Q(object_repr__startswith=begins % code)
    return found


def _of_entries(wanted: Wanted) -> Iterator[Line]:
    """Yield what the feed, commands and changes of many rows did."""
    names = [str(model._meta.model_name) for model in wanted.models]
    rows = HistoryEntry.objects.select_related("batch")
    if wanted.by:
        rows = rows.filter(role=wanted.by.role, by=wanted.by.name)
    if wanted.row:
        rows = rows.filter(model=wanted.row._meta.model_name, key=wanted.row.pk)
    elif wanted.symbols is not None:
        if Symbol not in wanted.models:
            return
        by_key = Q(model="symbol", key__in=wanted.symbols)
        rows = rows.filter(by_key | Q(model="symbol", name__in=wanted.codes))
    else:  # many rows are one line
        batches = ["", *names] if Symbol in wanted.models else names
        rows = rows.filter(batch=None, model__in=batches)
    for each in wanted.newest_of(rows, "at"):
        yield of_entry(each)


def of_entry(entry: HistoryEntry) -> Line:
    """Return an entry as a line. The lines of a batch and of its parts lead to all parts."""
    by = Author(entry.role, entry.by)
    if not entry.model:
        return Line(entry.at, by, title(entry), batch=entry.pk, size=entry.count)
    values = "; ".join(map(from_to, entry.values))
    text = values or (entry.reason if entry.what == entry.What.CHANGED else f"{title(entry)}.")
    more = [entry.reason] if values and entry.reason else []
    if entry.batch and title(entry.batch) != title(entry):
        more.append(title(entry.batch))
    place = MODEL_NAMED.get(entry.model), entry.key, entry.name
    return Line(entry.at, by, text, *place, "; ".join(more), entry.batch_id)


def title(entry: HistoryEntry) -> str:
    """Return what was done, and why or with what; of an undo, also what was undone."""
    is_undo = entry.what == HistoryEntry.What.UNDONE
    undone = [str(BulkChange.Action(each).label) for each in entry.values if is_undo]
    return ": ".join(filter(None, (entry.get_what_display(), *undone, entry.reason)))


def of_form(action: LogEntry) -> str:
    """Return Django's text of an action, with values in place of the names of changed fields."""
    if action.action_flag == DELETION and not action.change_message:
        return gettext("Deleted.")
    parts = _parts(action.change_message)
    if parts is None:
        return action.change_message
    facts = list(map(fact_in_words, filter(is_fact, parts)))
    valued = [part["changed"] for part in parts if part.get("changed", {}).get("values")]
    others = [each for each in parts if not is_fact(each) and each.get("changed") not in valued]
    words = _in_djangos_words(others) if others or not (facts or valued) else ""
    return " ".join(filter(None, (words, *facts, "; ".join(map(_of_values, valued)))))


def _parts(message: str) -> list[Any] | None:
    """Return the parts of a message, or None if another program wrote it as plain text."""
    try:
        parts = json.loads(message) if message.startswith("[") else None
    except ValueError:
        return None
    return parts if parts is None or all(isinstance(part, dict) for part in parts) else None


def _in_djangos_words(parts: list[Any]) -> str:
    return str(LogEntry(change_message=json.dumps(parts)).get_change_message())


def _of_values(changed: dict[str, Any]) -> str:
    """Return what changed in the row of a form, or, with its name, in a row inside the form."""
    values = "; ".join(map(from_to, changed["values"]))
    if "name" not in changed:
        return values
    known = {"kind": capfirst(gettext(changed["name"])), "object": changed["object"]}
    return gettext("%(kind)s “%(object)s”: %(values)s") % {**known, "values": values}


def _of_held_prices(wanted: Wanted) -> Iterator[Line]:
    rows = HeldPrice.objects.select_related("symbol").defer("wire")
    for each in wanted.of_feed(HeldPrice, "at", rows):
        words = gettext("%(price)s from %(provider)s held back: %(reason)s")
        known = {"price": held_prices.price(each), "reason": held_prices.reason(each)}
        text = words % {**known, "provider": provider_title(each.provider)}
        outcome = held_prices.outcome(each)
        yield Line(each.at, FEED, text, HeldPrice, each.pk, each.symbol.code, outcome)


def _of_splits(wanted: Wanted) -> Iterator[Line]:
    rows = Split.objects.select_related("symbol").filter(confirmed_at__isnull=False)
    for each in wanted.of_feed(Split, "confirmed_at", rows.exclude(price="")):
        words = gettext("Split %(split)s of %(day)s confirmed by the price %(price)s")
        known = {"split": each, "day": date_format(each.day, "DATE_FORMAT")}
        text = words % {**known, "price": held_prices.in_own_digits(each.price)}
        yield Line(each.confirmed_at, FEED, text, Split, each.symbol_id, each.symbol.code)


def _of_overrides(wanted: Wanted) -> Iterator[Line]:
    rows = Override.objects.select_related("symbol").filter(ends__lte=timezone.now())
    for each in wanted.of_feed(Override, "ends", rows):
        text = gettext("Override ended: %(override)s") % {"override": of_override(each)}
        yield Line(each.ends, FEED, text, Override, each.pk, each.symbol.code)


def _of_lists(wanted: Wanted) -> Iterator[Line]:
    """Yield the newest reading of each provider's list of instruments."""
    if wanted.symbols is not None:
        return
    rows = InstrumentList.objects.filter(tried_at__isnull=False)
    for each in wanted.of_feed(InstrumentList, "tried_at", rows):
        name = provider_title(each.provider)
        count = number_format(each.count, force_grouping=True)
        text = gettext("List of instruments read: %(count)s in it") % {"count": count}
        if each.error:
            text = gettext("List of instruments not read: %(error)s") % {"error": each.error}
        yield Line(each.tried_at, FEED, text, InstrumentList, each.pk, name)


SOURCES: tuple[Callable[[Wanted], Iterator[Line]], ...] = (
    *(_of_forms, _of_entries, _of_held_prices, _of_splits, _of_overrides, _of_lists),
)
