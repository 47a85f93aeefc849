"""Values of fields, codes and overrides as text, for the history, messages and errors."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import Model
from django.forms.models import ModelChoiceField
from django.utils import timezone
from django.utils.formats import localize
from django.utils.translation import get_language, gettext, pgettext

from quotes import formats
from quotes.models import Override

Values = list[Any]  # of each field: label, value before and value after, as `kept` returns them
MAX_NAMED = 10  # codes in a message; more are counted


def as_text(value: Any) -> str:
    """Return a value that the history keeps in words, those of a list with colons between them."""
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list) and value:
        return ": ".join(map(as_text, value))
    return str(value) if value else pgettext("a value", "empty")


def written(field: forms.Field, value: Any) -> str:
    """Return a value of a field as its form shows it; an empty one has a word of its own."""
    return as_text(kept(field, value))


def kept(field: forms.Field, value: Any) -> str | bool:
    """Return a value as the history keeps it: yes, no and empty in the language of no user."""
    if value in (None, "", []):
        return ""
    if isinstance(value, bool):
        return value
    if isinstance(value, Decimal):
        return in_full(value)
    if isinstance(field, ModelChoiceField) and not isinstance(value, Model):
        value = field.queryset.filter(pk=value).first() or value  # type: ignore[union-attr]
    elif isinstance(value, list):
        return ", ".join(written(forms.ChoiceField(choices=field.choices), v) for v in value)  # type: ignore[attr-defined]
    elif isinstance(field, forms.ChoiceField):
        value = dict(field.choices).get(value, value)  # type: ignore[arg-type]
    if hasattr(value, "tzinfo") and hasattr(value, "date") and timezone.is_aware(value):
        value = timezone.localtime(value)
    return str(localize(value))


def few(codes: Sequence[str]) -> tuple[Sequence[str], int]:
    """Return the codes that a list names, and the number of all."""
    return codes[:MAX_NAMED], len(codes)


def list_of(codes: Sequence[str], count: int = 0) -> str:
    """Return codes as a list; of many, the first ones and the number of the others."""
    named, more = ", ".join(codes[:MAX_NAMED]), (count or len(codes)) - MAX_NAMED
    if more <= 0:
        return named
    return gettext("%(codes)s and %(count)d more") % {"codes": named, "count": more}


def of_override(override: Override) -> str:
    """Return the kind of an override, its price and its label."""
    words = [override.get_kind_display()]
    if override.price is not None:
        words += [price_of(override), override.symbol.currency]
    if override.label:
        words.append(gettext("“%(label)s”") % {"label": override.label})
    return " ".join(words)


def price_of(override: Override) -> str:
    """Return a fixed price with the digits of its symbol, or with more if it has more."""
    price: Any = override.price
    return formats.number(price, digits_of(override), get_language() or "en")


def digits_of(override: Override) -> int:
    """Return the digits of a fixed price: those of its symbol, or more if the price has more."""
    price: Any = override.price
    return max(decimals(price), override.symbol.digits_near(price) or 0)


def decimals(number: Decimal) -> int:
    """Return how many decimals a number has without zeros at its end."""
    return max(0, -int(number.normalize().as_tuple().exponent))


def in_full(number: Decimal, digits: int = 0) -> str:
    """Return a number without zeros at its end, but with at least these decimals."""
    return f"{number:.{max(decimals(number), digits)}f}"
