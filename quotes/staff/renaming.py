"""Renaming a symbol: it gets another code, and keeps its history and its former addresses."""

from __future__ import annotations

from datetime import date

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from quotes import conf
from quotes.feed.chains import load_chain
from quotes.models import Alias, LastQuote, ProviderSymbol, Symbol
from quotes.quote.wire import FIELDS

CODE = FIELDS.index("symbol")  # the place of the code in a stored quote


def check(code: str, symbol: Symbol | None = None) -> None:
    """Raise ValidationError if a symbol, or a new one, can't have a code that another one has."""
    alias = Alias.objects.filter(code=code).exclude(symbol=symbol).select_related("symbol").first()
    if alias:
        former = _(
            "“%(code)s” is a former code of “%(symbol)s”. Choose another one, or first delete the "
            "former code in the form of “%(symbol)s”."
        )
        raise ValidationError(former, params={"code": code, "symbol": alias.symbol.code})
    if symbol and Symbol.objects.filter(code=code).exclude(pk=symbol.pk).exists():
        living = _(
            "“%(code)s” is the code of another symbol. Choose another one, or merge “%(symbol)s” "
            "into “%(code)s”."
        )
        raise ValidationError(living, params={"code": code, "symbol": symbol.code})


@transaction.atomic
def rename(symbol: Symbol, code: str, until: date | None = None) -> None:
    """Give a symbol another code. With the old one, addresses, tags and files still mean it.

    Its providers get the codes that they got before, also those that were not entered. Raise
    ValidationError if another symbol has the code.
    """
    symbol = Symbol.objects.select_for_update().get(pk=symbol.pk)  # as it is now
    if code == symbol.code:
        return
    check(code, symbol)
    for name, instrument in load_chain(symbol, conf.get("PROVIDERS")).items():
        known = {"code": instrument.code}
        ProviderSymbol.objects.get_or_create(symbol=symbol, provider=name, defaults=known)
    Alias.objects.filter(code=code).delete()  # the symbol had this code before
    Alias.objects.create(code=symbol.code, symbol=symbol, until=until)
    symbol.code = code
    symbol.save(update_fields=["code"])
    name_quote(symbol)


def name_quote(symbol: Symbol) -> None:
    """Write the code of a symbol into its last quote."""
    for row in LastQuote.objects.filter(symbol=symbol):
        row.wire[CODE] = symbol.code
        row.save(update_fields=["wire"])
