"""The action of the admin that compares symbols with their providers again, some at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext

from quotes.admin.answers import Answer, answers_about_all, price
from quotes.admin.contradictions import of_answer
from quotes.codes import MAX_CODE
from quotes.models import Symbol
from quotes.staff.words import list_of

AT_ONCE = 20  # symbols: some sources need a request for each
PATIENCE = 10.0  # seconds for all sources together
MAX_FAULTY = 500  # symbols that the pages keep


class Checked(NamedTuple):
    """A symbol, and sentences about what was found."""

    symbol: Symbol
    texts: list[str]


def check_page(model_admin: Any, request: HttpRequest, symbols: QuerySet[Symbol]) -> HttpResponse:
    """Check the next symbols, and show what was found and how many are left."""
    after = request.POST.get("after", "").replace("\0", "")[:MAX_CODE]
    ordered = symbols.order_by("code")
    checked = check(ordered.filter(code__gt=after)[:AT_ONCE])
    before = ordered.filter(code__lte=after).count() if after else 0
    total, done = ordered.count(), before + len(checked)
    keys = request.POST.getlist(ACTION_CHECKBOX_NAME)
    faulty = request.POST.getlist("faulty")[:MAX_FAULTY]
    found = [each for each in checked if each.texts]
    context = {
        **model_admin.admin_site.each_context(request),
        "title": gettext("Check with the providers"),
        "opts": Symbol._meta,
        "media": model_admin.media,
        "selected": [
            ("action", "check_again"),
            ("select_across", request.POST.get("select_across", "0")),
            ("after", checked[-1].symbol.code if checked else after),
            *((ACTION_CHECKBOX_NAME, key) for key in keys),
            *(("faulty", code) for code in (*faulty, *(each.symbol.code for each in found))),
        ],
        "done": done,
        "total": total,
        "next": min(AT_ONCE, total - done),
        "found": found,
        "earlier": list_of(faulty),
    }
    return render(request, "quotes/admin/check.html", context)


def check(symbols: QuerySet[Symbol]) -> list[Checked]:
    """Request prices of symbols from their providers, and return what is found."""
    some = list(symbols)
    pairs = [
        (symbol, {row.provider: row.code for row in symbol.provider_symbols.all()})
        for symbol in some
    ]
    answers = answers_about_all(pairs, PATIENCE)
    return [
        Checked(*each) for each in zip(some, map(list, map(faults, some, answers)), strict=True)
    ]


def faults(symbol: Symbol, answers: Mapping[str, Answer]) -> Iterator[str]:
    """Yield sentences about what the answers show to be wrong."""
    if not any(each.requested for each in answers.values()):
        yield gettext("No provider of this site with real prices has a code for it.")
    for answer in answers.values():
        found = [] if answer.failure else [each.text for each in of_answer(symbol, answer)]
        yield from found
        has_price = answer.quote is not None and price(answer.quote)
        if answer.requested and not found and not has_price:
            yield answer.text
