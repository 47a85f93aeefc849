"""Held prices in the admin, which nobody changes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from quotes.models import HeldPrice


@admin.register(HeldPrice)
class HeldPriceAdmin(admin.ModelAdmin):
    """Prices that were held back. They can't be changed here."""

    change_list_template = "quotes/admin/change_list.html"
    list_display = (
        "moment", "symbol", "outcome", "last", "before", "book", "provider", "currency"
    )  # fmt: skip
    list_filter = ("outcome", "provider")
    search_fields = ("symbol__code",)
    searched = _("symbol")
    list_select_related = ("symbol",)
    date_hierarchy = "at"
    empty_value_display = "–"

    @admin.display(description=_("time"), ordering="at")
    def moment(self, held: HeldPrice) -> str:
        """Return the time to the second, which Django leaves out."""
        at = timezone.localtime(held.at)
        return f"{date_format(at, 'SHORT_DATE_FORMAT')} {at:%H:%M:%S}"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: only the feed adds held prices."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: nobody edits the record of held prices."""
        return False
