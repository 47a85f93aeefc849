"""Lists of the admin whose rows show the newest price of a symbol, which moves."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from quotes import conf, formats
from quotes.addresses import Address
from quotes.admin.lists import ListAdmin
from quotes.admin.newest import newest
from quotes.live import Live, current
from quotes.models import Symbol
from quotes.quote import utc_now
from quotes.shown import BLANK, Shown
from quotes.watch import Edition


class MovingList(ListAdmin):
    """A list with the newest price of the symbol of each row: `last` and `state`, or both as `now`.

    The symbols must be read together with their last quotes.
    """

    change_list_template = "quotes/admin/moving_list.html"

    def symbol_of(self, row: Any) -> Symbol:
        """Return the symbol of a row."""
        symbol: Symbol = row.symbol
        return symbol

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Return the list, whose prices move."""
        response = super().changelist_view(request, *args, **kwargs)
        context = getattr(response, "context_data", None) or {}
        if (live := current()) and "cl" in context:
            symbols = map(self.symbol_of, context["cl"].result_list)
            codes = dict.fromkeys(each.code for each in symbols if moving(each))
            some = tuple(codes)[: conf.get("MAX_SYMBOLS")]
            context["address"] = Address(price=some, language=edition().language)
            context["pulse"] = live.fragments.signs.pulse(edition(), "opening")
            context["notes"] = live.fragments.notes(context["address"].watch(live.listed))
        return response

    @admin.display(description=_("last"))
    def last(self, row: Any) -> str:
        """Return the newest price as pages show it."""
        symbol = self.symbol_of(row)
        if live := moving(symbol):
            return live.fragments.place("price", symbol.code, edition())
        shown = shown_of(symbol)
        return format_html("{} {}", shown.last, shown.unit) if shown.quote else BLANK

    @admin.display(description=_("state"), empty_value="")
    def state(self, row: Any) -> str:
        """Return the source of a price that moves; the age of one that does not."""
        symbol = self.symbol_of(row)
        shown = shown_of(symbol)
        if shown.quote is None:
            return ""
        if moving(symbol):  # its age is beside it while it is stale
            return shown.source
        text = formats.age((utc_now() - shown.quote.time).total_seconds(), shown.language)
        return format_html('<span class="{}">{}</span>', "stale" if shown.state.stale else "", text)

    @admin.display(description=_("price now"))
    def now(self, row: Any) -> str:
        """Return the newest price, and its source or its age."""
        return format_html('{} <span class="state">{}</span>', self.last(row), self.state(row))


def shown_of(symbol: Any) -> Shown:
    """Return the newest state of a symbol, which is kept for the other columns of its row."""
    if not hasattr(symbol, "shown"):
        symbol.shown = newest(symbol)
    shown: Shown = symbol.shown
    return shown


def moving(symbol: Symbol) -> Live | None:
    """Return the live parts of this process if they have a price of an active symbol."""
    live = current()
    state = live.store.states.get(symbol.code) if live and symbol.active else None
    return live if state and state.quote else None


def edition() -> Edition:
    """Return how prices are written in the admin: in the language of the request."""
    return Edition(formats.language_of_texts(get_language() or "en"))
