"""What contradicts a symbol before it is saved: its sources, its exchange, and other symbols."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from hashlib import sha256
from typing import Any, NamedTuple

from django.db.models import Value
from django.db.models.functions import Replace
from django.http import QueryDict
from django.urls import reverse
from django.utils.translation import gettext

from quotes import sessions
from quotes.admin.answers import Answer, Codes, answers_about, currency_of
from quotes.instruments.terms import key
from quotes.models import Instrument, ProviderSymbol, Symbol
from quotes.providers import REGISTRY, provider_class
from quotes.shown import provider_title

SEPARATORS = "-./ _"  # between the parts of a code
ACCEPTED = "accepted"  # the name of the box that accepts contradictions
MAX_NAMED = 3  # exchanges with a similar name
SIMILAR = 0.6  # of 1: NASDAK is NASDAQ
ROW = re.compile(r"provider_symbols-[0-9]+-provider")


class Fix(NamedTuple):
    """One click that resolves a contradiction: a field of the form to change, or a link."""

    label: str
    change: str = ""  # "currency=EUR"
    link: str = ""


class Contradiction(NamedTuple):
    """A sentence about what contradicts a symbol, and how to resolve it."""

    text: str
    fixes: Sequence[Fix] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was found about a symbol and its codes."""

    answers: Sequence[Answer] = ()
    contradictions: Sequence[Contradiction] = ()

    @property
    def seal(self) -> str:
        """A text that changes with the contradictions, so that new ones are not accepted unseen."""
        return sha256("\n".join(each.text for each in self.contradictions).encode()).hexdigest()

    def without(self, changes: Collection[str]) -> Findings:
        """Return the same without the fixes that would make these changes."""
        kept = [
            each._replace(fixes=[fix for fix in each.fixes if fix.change not in changes])
            for each in self.contradictions
        ]
        return replace(self, contradictions=kept)

    @property
    def failures(self) -> list[Answer]:
        """The sources that did not answer."""
        return [each for each in self.answers if each.failure]


def fixed(data: QueryDict, change: str) -> QueryDict:
    """Return the values of a form with the change of a fix: a field, or the code of a provider."""
    data, (name, _, value) = data.copy(), change.partition("=")
    if name in ("exchange", "currency"):
        data[name] = value
    for row in [each.removesuffix("provider") for each in data if ROW.fullmatch(each)]:
        if data[f"{row}provider"] != name:
            continue
        if value:
            data[f"{row}code"] = value
        elif data.get(f"{row}id"):
            data[f"{row}DELETE"] = "on"
        else:
            data[f"{row}provider"] = data[f"{row}code"] = data[f"{row}position"] = ""
    return data


def findings(symbol: Symbol, codes: Codes, changed: Callable[[str], bool]) -> Findings:
    """Request prices of a symbol from its sources, and compare it with all that is known.

    Only what the operator changed is compared: a symbol that was saved so may be saved again.
    """
    answers = answers_about(symbol, codes)
    found = [
        *(of_symbol(symbol) if changed("code") else ()),
        *(of_exchange(symbol) if changed("exchange") or changed("kind") else ()),
        *(each for answer in answers.values() for each in of_answer(symbol, answer)),
        *of_codes(symbol, codes),
    ]
    answered = [
        each for each in answers.values() if each.requested and (each.failure or not each.unknown)
    ]
    return Findings(answered, found)


def of_symbol(symbol: Symbol) -> Iterator[Contradiction]:
    """Yield the symbol that has the same code in another spelling."""
    spelled: Any = "code"
    for separator in SEPARATORS:
        spelled = Replace(spelled, Value(separator), Value(""))
    same = Symbol.objects.alias(plain=spelled).filter(plain=key(symbol.code))
    for other in same.exclude(code=symbol.code).exclude(pk=symbol.pk)[:1]:
        text = gettext("“%(code)s” is already here, as “%(other)s”.")
        named = {"code": symbol.code, "other": other.code}
        yield Contradiction(text % named, [to_symbol(other)])


def of_exchange(symbol: Symbol) -> Iterator[Contradiction]:
    """Yield an exchange without hours."""
    if sessions.knows(symbol.exchange, symbol.kind):
        return
    near = get_close_matches(symbol.exchange.upper(), sessions.VENUE_OF, MAX_NAMED, SIMILAR)
    near = list({sessions.VENUE_OF[name]: name for name in reversed(near)}.values())
    yield Contradiction(
        without_hours(symbol),
        [
            *(save_with("exchange", name) for name in near),
            Fix(gettext("Save without an exchange"), "exchange="),
        ],
    )


def without_hours(symbol: Symbol) -> str:
    """Return that the hours of a symbol's exchange are not known."""
    text = gettext(
        "The hours of the exchange “%(exchange)s” are not known. If it has another name in the "
        "calendar, use that one."
    )
    return text % {"exchange": symbol.exchange}


def of_answer(symbol: Symbol, answer: Answer) -> Iterator[Contradiction]:
    """Yield a code that its source does not know, or that it prices in another currency."""
    if answer.unknown:
        yield unknown_code(symbol, answer)
    elif symbol.currency and (currency := currency_of(answer)) not in ("", symbol.currency):
        text = gettext("%(provider)s has the prices of “%(code)s” in %(found)s, not in %(given)s.")
        named = {"provider": provider_title(answer.provider), "code": answer.code}
        named |= {"found": currency, "given": symbol.currency}
        fixes = [save_with("currency", currency), save_without(answer.provider)]
        yield Contradiction(text % named, fixes)


def unknown_code(symbol: Symbol, answer: Answer) -> Contradiction:
    """Return that a source does not know a code, with those that its list has for the symbol."""
    text = gettext("%(provider)s does not know the code “%(code)s”: %(reason)s.")
    named = {"provider": provider_title(answer.provider), "code": answer.code}
    # by the symbol alone: with the provider, SQLite would read the whole list of the provider
    rows = Instrument.objects.filter(symbol=symbol.code).values_list("provider", "code")
    near = [save_with(name, code) for name, code in rows if name == answer.provider]
    fixes = [*near[:MAX_NAMED], save_without(answer.provider)]
    return Contradiction(text % {**named, "reason": answer.unknown}, fixes)


def of_codes(symbol: Symbol, codes: Codes) -> Iterator[Contradiction]:
    """Yield the codes that another symbol has."""
    rows = ProviderSymbol.objects.filter(code__in=codes.values()).select_related("symbol")
    for row in rows.exclude(symbol=symbol.pk):
        if codes.get(row.provider) != row.code or has_own_price(symbol, row):
            continue
        text = gettext("The code “%(code)s” of %(provider)s belongs to “%(other)s”.")
        named = {"code": row.code, "other": row.symbol.code}
        named["provider"] = provider_title(row.provider)
        fixes = [to_symbol(row.symbol), save_without(row.provider)]
        yield Contradiction(text % named, fixes)


def has_own_price(symbol: Symbol, row: ProviderSymbol) -> bool:
    """Return whether a symbol may share a code, because its currency decides the price, too."""
    return symbol.currency != row.symbol.currency and (
        row.provider in REGISTRY and provider_class(row.provider).any_currency
    )


def to_symbol(other: Symbol) -> Fix:
    """Return the link to another symbol."""
    link = reverse("admin:quotes_symbol_change", args=[other.pk])
    return Fix(gettext("Open %(code)s") % {"code": other.code}, link=link)


def save_with(name: str, value: str) -> Fix:
    """Return the change of a field, or of the code of a provider."""
    return Fix(gettext("Save with %(value)s") % {"value": value}, f"{name}={value}")


def save_without(provider: str) -> Fix:
    """Return the removal of a code."""
    label = gettext("Save without %(provider)s") % {"provider": provider_title(provider)}
    return Fix(label, f"{provider}=")
