"""The splits of a symbol, as rows of its form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes.admin.labels import LabelledInlineRows
from quotes.feed.splits import is_over
from quotes.models import Split
from quotes.staff.held_prices import in_own_digits


class SplitForm(forms.ModelForm):
    """A split. If its day or its ratio changes, another price must confirm it."""

    def save(self, commit: bool = True) -> Any:
        """Save the split."""
        if {"day", "new", "old"} & set(self.changed_data):
            self.instance.confirmed_at, self.instance.price = None, ""
        return super().save(commit)


class SplitInline(admin.TabularInline):
    """The splits of a symbol, which its charts mark and which explain a jump of its price."""

    model = Split
    form = SplitForm
    formset = LabelledInlineRows
    template = "quotes/admin/tabular.html"
    extra = 0
    readonly_fields = ("seen",)

    @admin.display(description=_("state"))
    def seen(self, split: Split) -> str:
        """Return whether a price has confirmed it."""
        if split.confirmed_at:
            at = date_format(timezone.localtime(split.confirmed_at), "DATETIME_FORMAT")
            words = gettext("confirmed at %(at)s by the price %(price)s")
            return words % {"at": at, "price": in_own_digits(split.price)}
        if not split.pk:
            return ""
        market = (split.day, split.symbol.exchange, split.symbol.kind)
        if split.entered_at is None or is_over(*market, split.entered_at):
            return gettext("entered after its day")
        over = is_over(*market, timezone.now())
        return gettext("not seen") if over else gettext("waits for its price")
