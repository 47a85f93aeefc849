"""Rows that are read as one value are those that are read one by one."""

from __future__ import annotations

import pytest
from django.db.models import TextField
from django.db.models.functions import Cast

from quotes.models import LastQuote, Symbol
from quotes.models.statements import at_once

pytestmark = pytest.mark.django_db
COLUMNS = ("pk", "code", "name", "active", "not_found_at")


@pytest.fixture
def rows() -> list[Symbol]:
    names = ("", 'A "quoted" name', "Österreich \\ 日本", "x" * 200)
    return [Symbol.objects.create(code=f"S{n}", name=name) for n, name in enumerate(names)]


def test_values_are_those_of_the_rows(rows: list[Symbol]):
    read = at_once(Symbol.objects.all(), *COLUMNS)
    assert sorted(map(tuple, read)) == sorted(Symbol.objects.values_list(*COLUMNS))


def test_filters_orders_and_limits_stay(rows: list[Symbol]):
    assert at_once(Symbol.objects.filter(code__in=["S1", "S9"]), "code") == [["S1"]]
    newest = Symbol.objects.order_by("-pk")[:2]
    assert sorted(at_once(newest, "code")) == [["S2"], ["S3"]]


def test_columns_of_other_tables_can_be_read(rows: list[Symbol]):
    LastQuote.objects.create(symbol=rows[0], epoch=2**53 + 1, batch=7, wire=["1", None])
    read = at_once(LastQuote.objects.all(), "symbol__code", "epoch", Cast("wire", TextField()))
    assert read == [["S0", 2**53 + 1, '["1", null]']]


def test_no_rows_are_an_empty_list():
    assert at_once(Symbol.objects.all(), "code") == []
    assert at_once(Symbol.objects.none(), "code") == []
