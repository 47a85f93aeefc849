"""Values of fields as text, for the history and for errors."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import Model
from django.forms.models import ModelChoiceField
from django.utils import timezone
from django.utils.formats import localize
from django.utils.translation import gettext, pgettext

from quotes import formats


def written(field: forms.Field, value: Any) -> str:
    """Return a value of a field as its form shows it; an empty one has a word of its own."""
    if value in (None, "", []):
        return pgettext("a value", "empty")
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, Decimal):
        return formats.plain(value.normalize())
    if isinstance(field, ModelChoiceField) and not isinstance(value, Model):
        value = field.queryset.filter(pk=value).first() or value  # type: ignore[union-attr]
    elif isinstance(value, list):
        return ", ".join(written(forms.ChoiceField(choices=field.choices), v) for v in value)  # type: ignore[attr-defined]
    elif isinstance(field, forms.ChoiceField):
        value = dict(field.choices).get(value, value)  # type: ignore[arg-type]
    if hasattr(value, "tzinfo") and hasattr(value, "date") and timezone.is_aware(value):
        value = timezone.localtime(value)
    return str(localize(value))
