"""What sources answer about codes, and what their lists have about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import get_language, gettext

from quotes import conf, formats
from quotes.doctor.requests import Failed, request
from quotes.models import Instrument, InstrumentList, Symbol
from quotes.providers import REGISTRY, Provider, provider_class
from quotes.providers import Instrument as Requested
from quotes.quote import Quote
from quotes.shown import provider_title

PATIENCE = 3.0  # seconds for all sources together: a form does not wait longer

Codes = Mapping[str, str]  # by provider


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source answered about a code: a quote, a reason why it has none, or no answer."""

    provider: str
    code: str
    quote: Quote | None = None
    unknown: str = ""
    failure: str = ""
    requested: bool = True
    name: str = ""  # in the list of the provider

    @property
    def text(self) -> str:
        """The answer as a sentence."""
        named = {"provider": provider_title(self.provider), "code": self.code}
        if self.failure:
            words = gettext("%(provider)s did not answer, so %(code)s was not checked: %(failure)s")
            return words % {**named, "failure": self.failure}
        if self.quote is None or not price(self.quote):
            return gettext("%(provider)s has no price for %(code)s.") % named
        code = f"{self.code} ({self.name})" if self.name else self.code
        named |= {"code": code, "price": price(self.quote)}
        return gettext("%(provider)s: %(code)s is %(price)s") % named


def price(quote: Quote) -> str:
    """Return the price of a quote with all its digits, and its currency; "" for no price."""
    if not quote.last:  # sources send 0 for no price
        return ""
    digits = max(0, -int(quote.last.normalize().as_tuple().exponent))
    return f"{formats.number(quote.last, digits, get_language() or 'en')} {quote.currency}"


def answers_about(symbol: Symbol, codes: Codes) -> dict[str, Answer]:
    """Return what the sources of this site answer about codes, or what their lists have."""
    [answers] = answers_about_all([(symbol, codes)], PATIENCE)
    return answers


def answers_about_all(
    pairs: Sequence[tuple[Symbol, Codes]], patience: float
) -> list[dict[str, Answer]]:
    """Return the same for several symbols, with one request for all codes of a source."""
    codes = {code for _, codes in pairs for code in codes.values()}
    rows = {(row.provider, row.code): row for row in Instrument.objects.filter(code__in=codes)}
    due = requests_for(pairs, rows)

    async def quotes(provider: Provider) -> dict[str, Answer]:
        requested = due[provider.name]
        found = {each.symbol: each for each in await provider.quotes([*requested.values()])}
        return {
            symbol: answer_from(provider, each.code, found.get(symbol))
            for symbol, each in requested.items()
        }

    answers = request(due, quotes, patience) if due else {}
    return [
        {
            name: answer_of(name, code, answers.get(name, {}), symbol, rows.get((name, code)))
            for name, code in of_symbol.items()
        }
        for symbol, of_symbol in pairs
    ]


def requests_for(
    pairs: Sequence[tuple[Symbol, Codes]], rows: Mapping[tuple[str, str], Instrument]
) -> dict[str, dict[str, Requested]]:
    """Return what to request from each source of this site, by symbol."""
    due: dict[str, dict[str, Requested]] = {}
    for symbol, codes in pairs:
        for name, code in codes.items():
            if name in conf.get("PROVIDERS") and not provider_class(name).invented:
                one = wanted(symbol, code, rows.get((name, code)))
                due.setdefault(name, {})[symbol.code] = one
    return due


def answer_of(
    name: str,
    code: str,
    answers: Failed | Mapping[str, Answer],
    symbol: Symbol,
    row: Instrument | None,
) -> Answer:
    """Return the answer of a source about the code of a symbol, if the source has one."""
    if isinstance(answers, Failed):
        return in_list(Answer(name, code, failure=str(answers)), row)
    return in_list(answers.get(symbol.code) or Answer(name, code, requested=False), row)


def answer_from(provider: Provider, code: str, quote: Quote | None) -> Answer:
    """Return the quote of a source, or why it has none."""
    if quote or not provider.standing.lacks(code):
        return Answer(provider.name, code, quote)
    return Answer(provider.name, code, unknown=provider.standing.why(code))


def wanted(symbol: Symbol, code: str, row: Instrument | None) -> Requested:
    """Return what to request from a source: in the currency of its list, if it has only one."""
    states_it = row and not provider_class(row.provider).any_currency
    return Requested(
        symbol=symbol.code,
        code=code,
        kind=symbol.kind,
        exchange=symbol.exchange,
        currency=row.currency if row and states_it else symbol.currency,
        tick_size=symbol.tick_size,
    )


def in_list(answer: Answer, row: Instrument | None) -> Answer:
    """Return an answer with what the list of its provider knows about the code."""
    if row or answer.quote or answer.unknown:
        return replace(answer, name=row.name if row and row.name != row.code else "")
    state = InstrumentList.objects.filter(provider=answer.provider).first()
    if state is None or state.read_at is None:
        return answer
    day = date_format(timezone.localtime(state.read_at), "SHORT_DATE_FORMAT")
    return replace(answer, unknown=gettext("it is not in the list of %(day)s") % {"day": day})


def currency_of(answer: Answer) -> str:
    """Return the currency in which a source has the prices of a code, or "" if it is not known."""
    if answer.quote:
        return answer.quote.currency
    row = Instrument.objects.filter(provider=answer.provider, code=answer.code).first()
    known = row and answer.provider in REGISTRY and not provider_class(answer.provider).any_currency
    return row.currency if row and known else ""
