"""Held prices in the admin, which nobody changes."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from quotes import formats
from quotes.admin.lists import ListAdmin
from quotes.models import HeldPrice

MAX_TEXT = HeldPrice._meta.get_field("last").max_length or 0  # of the book, too
NUMBERS = ("held_last", "previous", "bid_and_ask")
COLUMNS = ("moment", "symbol", "outcome", *NUMBERS, "provider", "currency")


@admin.register(HeldPrice)
class HeldPriceAdmin(ListAdmin):
    """Prices that were held back. They can't be changed here."""

    empty_text = _(
        "No price has been held back. The feed holds back a price that jumps further than MAX_JUMP "
        "allows until a second one confirms it, and records it here."
    )
    list_display = fields = readonly_fields = COLUMNS
    list_filter = ("outcome", "provider")
    search_fields = ("symbol__code",)
    search_help_text = _("symbol")
    list_select_related = ("symbol",)
    date_hierarchy = "at"

    @admin.display(description=_("time"), ordering="at")
    def moment(self, held: HeldPrice) -> str:
        """Return the time to the second, which Django leaves out."""
        at = timezone.localtime(held.at)
        return f"{date_format(at, 'SHORT_DATE_FORMAT')} {at:%H:%M:%S}"

    @admin.display(description=_("price"))
    def held_last(self, held: HeldPrice) -> str:  # as `last`, Django would show the field
        """Return the held price with all digits."""
        return in_own_digits(held.last)

    @admin.display(description=_("previous price"))
    def previous(self, held: HeldPrice) -> str:
        """Return the price before it."""
        return in_own_digits(held.before)

    @admin.display(description=_("bid / ask"))
    def bid_and_ask(self, held: HeldPrice) -> str:
        """Return bid and ask if they were left out."""
        whole = len(held.book) < MAX_TEXT
        return " / ".join(map(in_own_digits, held.book.split(" / "))) if whole else held.book

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: only the feed adds held prices."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: nobody edits the record of held prices."""
        return False


def in_own_digits(text: str) -> str:
    """Return a stored number in the operator's language, or a dash if there is none.

    A text of the full length stays as it is, because it may have been cut.
    """
    if len(text) >= MAX_TEXT:
        return text
    try:
        value = Decimal(text)
    except InvalidOperation:
        return text or "–"
    exponent = value.as_tuple().exponent
    digits = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    return formats.number(value, digits, get_language() or "en")
