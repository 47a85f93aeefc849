"""Merging two symbols: one takes over all that the other has, and the other becomes an alias."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, models, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from quotes.live import changes
from quotes.models import Alias, BoardSymbol, CandleSpan, Symbol
from quotes.staff.renaming import name_quote


@dataclass(frozen=True)
class Part:
    """The rows of one table that belong to the symbol that is merged."""

    model: type[models.Model]
    field: str  # of the symbol
    source: Symbol
    target: Symbol

    @property
    def title(self) -> str:
        """The name of its rows."""
        return str(self.model._meta.verbose_name_plural)

    @cached_property
    def moved(self) -> int:
        """The number of rows that the target takes over."""
        return self._movable().count()

    @cached_property
    def left(self) -> int:
        """The number of rows that are deleted, because the target has its own in their place."""
        return self._rows().count() - self.moved

    def move(self) -> None:
        """Let the target take over the rows."""
        self._movable().update(**{self.field: self.target})

    def _rows(self) -> QuerySet[Any]:
        return self.model._base_manager.filter(**{self.field: self.source})

    def _movable(self) -> QuerySet[Any]:
        """Return the rows that are not the same as a row of the target."""
        rows = self._rows()
        for names in _unique_beside(self.model, self.field):
            same = {name: OuterRef(name) for name in names}
            twin = self.model._base_manager.filter(**{self.field: self.target}, **same)
            rows = rows.exclude(Exists(twin))
        return rows


@dataclass(frozen=True)
class Merger:
    """What a merge does: the parts that move, of every table that refers to a symbol."""

    source: Symbol
    target: Symbol

    def check(self) -> None:
        """Raise ValidationError for symbols that can't be merged."""
        named = {"source": self.source.code, "target": self.target.code}
        if self.source.pk == self.target.pk:
            raise ValidationError(
                _("“%(source)s” can't be merged into itself. Choose another symbol."), params=named
            )
        if self.source.currency != self.target.currency:
            raise ValidationError(
                _(
                    "“%(source)s” has prices in %(from)s and “%(target)s” in %(to)s. Only symbols "
                    "with the same currency can be merged, because their candles are joined."
                ),
                params=named | {"from": self.source.currency, "to": self.target.currency},
            )

    @cached_property
    def parts(self) -> list[Part]:
        """The tables with rows of the merged symbol."""
        parts = [Part(*each, self.source, self.target) for each in _references()]
        return [part for part in parts if part.moved or part.left]

    @transaction.atomic
    def run(self) -> None:
        """Move all parts, delete the merged symbol, and make its code an alias of the target."""
        pair = (self.source, self.target)
        rows = Symbol.objects.select_for_update().filter(pk__in=[each.pk for each in pair])
        now = {each.pk: each for each in rows.order_by("pk")}
        for each in pair:
            if each.pk not in now:
                gone = _("“%(code)s” no longer exists: another person merged or deleted it.")
                raise ValidationError(gone, params={"code": each.code})
        Merger(*(now[each.pk] for each in pair))._run()

    def _run(self) -> None:
        self.check()
        if self.target.provider_symbols.exists():  # its own order comes first
            self.source.provider_symbols.update(position=None)
        for model, field in _references():
            Part(model, field, self.source, self.target).move()
        for place in self.target.places.all():  # a move sends no signals
            changes.changed(BoardSymbol, place, DEFAULT_DB_ALIAS)
        code = self.source.code
        self.source.delete()
        Alias.objects.create(code=code, symbol=self.target)
        name_quote(self.target)


def _references() -> Iterator[tuple[type[models.Model], str]]:
    """Yield the models with a field that refers to a symbol, also those of other apps."""
    for relation in Symbol._meta.get_fields(include_hidden=True):
        is_reference = relation.auto_created and (relation.one_to_many or relation.one_to_one)
        # a span counts only with the providers of its own symbol: the target's are requested again
        if is_reference and not relation.concrete and relation.related_model is not CandleSpan:
            yield relation.related_model, relation.field.name  # type: ignore[misc, union-attr]


def _unique_beside(model: type[models.Model], field: str) -> Iterator[tuple[str, ...]]:
    """Yield the names of the fields that are unique together with a field of a model."""
    options: Any = model._meta
    if options.get_field(field).unique:
        yield ()
    key = getattr(options.pk, "field_names", ())  # of a composite key
    constraints = [each.fields for each in options.total_unique_constraints]
    together = [key, *constraints, *options.unique_together]
    for names in together:
        if field in names:
            yield tuple(name for name in names if name != field)
