"""The splits of a symbol, as rows of its form."""

from __future__ import annotations

from datetime import UTC, date
from typing import Any

from django import forms
from django.contrib import admin
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes import sessions
from quotes.admin.labels import LabelledInlineRows
from quotes.admin.meanwhile import MeanwhileForm
from quotes.feed.splits import is_over
from quotes.models import Split, Symbol
from quotes.staff.held_prices import in_own_digits


class SplitForm(MeanwhileForm):
    """A split. If its day or its ratio changes, another price or an operator must confirm it."""

    confirmed = forms.BooleanField(
        label=_("confirmed"),
        required=False,
        help_text=_(
            "Usually, a price confirms a split. If you entered the split after its price, check "
            "this box."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "confirmed" in self.fields:  # a viewer has no fields
            confirmed = self.instance.confirmed_at is not None
            self.initial["confirmed"] = self.fields["confirmed"].disabled = confirmed

    def clean(self) -> dict[str, Any] | None:
        """Refuse to confirm a split before its day."""
        cleaned = super().clean()
        day = self.cleaned_data.get("day")
        if day and "confirmed" in self.changed_data and day > today(self.instance.symbol):
            words = _("The split is on a later day. Confirm it on its day, or correct the day.")
            self.add_error("confirmed", words)
        return cleaned

    def save(self, commit: bool = True) -> Any:
        """Save the split."""
        if {"day", "new", "old"} & set(self.changed_data):
            self.instance.confirmed_at, self.instance.price = None, ""
        if "confirmed" in self.changed_data and self.cleaned_data["confirmed"]:
            self.instance.confirmed_at = timezone.now()
        return super().save(commit)


def today(symbol: Symbol) -> date:
    """Return the date at the exchange of a symbol."""
    return timezone.now().astimezone(sessions.zone(symbol.exchange, symbol.kind) or UTC).date()


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
            local = timezone.localtime(split.confirmed_at)
            at = f"{date_format(local, 'DATETIME_FORMAT')} {local.tzname()}"
            if not split.price:
                return gettext("confirmed by hand at %(at)s") % {"at": at}
            words = gettext("confirmed at %(at)s by the price %(price)s")
            return words % {"at": at, "price": in_own_digits(split.price)}
        if not split.pk:
            return ""
        market = (split.day, split.symbol.exchange, split.symbol.kind)
        if split.entered_at is None or is_over(*market, split.entered_at):
            return gettext("entered after its day")
        over = is_over(*market, timezone.now())
        return gettext("not seen") if over else gettext("waits for its price")
