"""The admin: symbols with their provider codes, boards, and held prices."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, Max, Prefetch, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext
from django.utils.translation import gettext_lazy as _

from quotes import conf, formats, sessions
from quotes.live import current
from quotes.models import Board, BoardSymbol, HeldPrice, MarketDay, ProviderSymbol, Symbol
from quotes.providers import REGISTRY, provider_class


class ProviderSymbolForm(forms.ModelForm):
    """A symbol's code for one of the known providers, to which a site may add its own."""

    provider = forms.ChoiceField(
        label=_("provider"),
        error_messages={
            "invalid_choice": _("Unknown provider “%(value)s”: choose a provider from the list.")
        },
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = {name: name for name in sorted(REGISTRY)}
        kept = self.instance.provider
        if kept and kept not in names:  # shown as it is, until an operator corrects it
            names[kept] = _("%(name)s – unknown provider") % {"name": kept}
        field: Any = self.fields["provider"]
        field.choices = [("", "---------"), *names.items()]


class ProviderSymbolInline(admin.TabularInline):
    """The provider codes of a symbol."""

    model = ProviderSymbol
    form = ProviderSymbolForm
    extra = 1


class PlacedSymbol(forms.TextInput):
    """A symbol that is already on the board, as text: it can't be changed."""

    def __init__(self, symbol: Symbol) -> None:
        super().__init__()
        self.symbol = symbol

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Return the symbol's code and name, with its key in a hidden input."""
        kept = '<input type="hidden" name="{}" value="{}">{} <span class="help">{}</span>'
        return format_html(kept, name, value, self.symbol.code, self.symbol.name)


class PlaceForm(forms.ModelForm):
    """The position of a symbol on a board, which is the last one unless it is given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance.pk:
            self.fields["position"].required = False
            self.fields["position"].initial = None
        elif "symbol" in self.fields:
            self.fields["symbol"].widget = PlacedSymbol(self.instance.symbol)

    def save(self, commit: bool = True) -> Any:
        """Save the place; a new one without a position follows the others of its board."""
        if self.cleaned_data["position"] is None:
            highest = self.instance.board.places.aggregate(highest=Max("position"))["highest"]
            self.instance.position = (highest or 0) + 1
        return super().save(commit)


class PlaceInline(admin.TabularInline):
    """The boards of a symbol."""

    model = BoardSymbol
    form = PlaceForm
    extra = 1
    verbose_name = _("board")
    verbose_name_plural = _("boards")


class SymbolInline(admin.TabularInline):
    """A board's symbols in order."""

    model = BoardSymbol
    form = PlaceForm
    extra = 3
    max_num = 10_000  # Django's own limit is 1,000
    autocomplete_fields = ("symbol",)
    ordering = ("position", "pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[BoardSymbol]:
        """Read the places together with their symbols and boards."""
        return super().get_queryset(request).select_related("symbol", "board")


@admin.register(Symbol)
class SymbolAdmin(admin.ModelAdmin):
    """Symbols, which can be searched, filtered and switched on and off."""

    list_display = ("code", "active", "name", "last", "codes", "kind")
    list_display_links = ("code", "name")
    list_filter = ("active", "kind", "boards", "currency", "exchange")
    list_editable = ("active",)
    search_fields = ("code", "name", "provider_symbols__code")
    search_help_text = _("Symbol, name or a provider's code")
    list_per_page = 100
    actions = ("switch_on", "switch_off")
    inlines = (ProviderSymbolInline, PlaceInline)
    fieldsets = (
        (None, {"fields": ("code", "name", "kind", "exchange", "currency", "active")}),
        (_("Prices"), {"fields": ("tick_size", "stale_after", "start")}),
    )

    class Media:
        css: ClassVar = {"all": ("quotes/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Symbol]:
        """Read the symbols together with their codes and last quotes."""
        codes = Prefetch("provider_symbols", ProviderSymbol.objects.order_by("provider"))
        return super().get_queryset(request).select_related("last_quote").prefetch_related(codes)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the codes and places, and warn of a symbol that visitors won't see move."""
        super().save_related(request, form, formsets, change)
        for hint in hints(form.instance) if formsets else ():  # not for each row of a list
            self.message_user(request, hint, messages.WARNING)

    @admin.display(description=_("last"))
    def last(self, symbol: Symbol) -> str:
        """Return the newest price in this process, or else in the database."""
        live = current()
        state = live.store.states.get(symbol.code) if live else None
        quote = state.quote if state else None
        if quote is None and hasattr(symbol, "last_quote"):
            with suppress(ValueError):  # another release wrote it
                quote = symbol.last_quote.quote
        if quote is None:
            return "—"
        digits = formats.price_digits(quote.last, symbol.digits_near(quote.last))
        price = formats.number(quote.last, digits, get_language() or "en")
        return f"{price} {quote.currency}"

    @admin.display(description=_("codes"))
    def codes(self, symbol: Symbol) -> str:
        """Return the number of the symbol's codes for the known providers, with a list of them."""
        rows = [each for each in symbol.provider_symbols.all() if each.provider in REGISTRY]
        listed = ", ".join(f"{row.provider} {row.code}" for row in rows)
        return format_html('<span title="{}">{}</span>', listed, len(rows))

    @admin.action(description=_("Switch on"), permissions=["change"])
    def switch_on(self, request: HttpRequest, chosen: QuerySet[Symbol]) -> None:
        """Switch the chosen symbols on."""
        self._switch(request, chosen, active=True)

    @admin.action(description=_("Switch off"), permissions=["change"])
    def switch_off(self, request: HttpRequest, chosen: QuerySet[Symbol]) -> None:
        """Switch the chosen symbols off."""
        self._switch(request, chosen, active=False)

    def _switch(self, request: HttpRequest, chosen: QuerySet[Symbol], *, active: bool) -> None:
        with transaction.atomic():
            for symbol in chosen:
                symbol.active = active
                symbol.save(update_fields=["active"])
                self.log_change(request, symbol, [{"changed": {"fields": ["active"]}}])
        on = ngettext("%d symbol switched on.", "%d symbols switched on.", len(chosen))
        off = ngettext("%d symbol switched off.", "%d symbols switched off.", len(chosen))
        self.message_user(request, (on if active else off) % len(chosen))


def hints(symbol: Symbol) -> list[str]:
    """Return what an active symbol lacks to have a price, and to be found by visitors."""
    if not symbol.active:
        return []
    found, named, code = [], conf.get("PROVIDERS"), {"code": symbol.code}
    with_code = set(symbol.provider_symbols.values_list("provider", flat=True))
    if not any(name in with_code or not provider_class(name).needs_code for name in named):
        lacks = gettext(
            "“%(code)s” has no price, because it has no code for a provider of this site "
            "(%(providers)s). Add one."
        )
        found.append(lacks % {**code, "providers": ", ".join(named)})
    if not sessions.knows(symbol.exchange, symbol.kind):
        unknown = gettext(
            "The hours of the exchange “%(exchange)s” are not known. If it has another name in the "
            "calendar, use that one."
        )
        found.append(unknown % {"exchange": symbol.exchange})
    if not symbol.places.exists():
        found.append(
            gettext("“%(code)s” is on no board. Add one, so that visitors find it.") % code
        )
    return found


@admin.register(Board)
class BoardAdmin(admin.ModelAdmin):
    """Boards with their symbols, and the order of both."""

    list_display = ("title", "slug", "position", "size")
    list_editable = ("position",)
    search_fields = ("title", "slug")
    prepopulated_fields = {"slug": ("title",)}
    inlines = (SymbolInline,)

    class Media:
        css: ClassVar = {"all": ("quotes/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Board]:
        """Read the boards with their numbers of symbols."""
        boards: QuerySet[Board] = super().get_queryset(request)
        return boards.annotate(places_count=Count("places"))

    @admin.display(description=_("symbols"), ordering="places_count")
    def size(self, board: Any) -> int:
        """Return the number of the board's symbols."""
        count: int = board.places_count
        return count

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Number the places from 1 again, so that the next edit can move one between others."""
        super().save_related(request, form, formsets, change)
        places = list(form.instance.places.order_by("position", "pk"))
        for number, place in enumerate(places, start=1):
            place.position = number
        BoardSymbol.objects.bulk_update(places, ["position"])


@admin.register(MarketDay)
class MarketDayAdmin(admin.ModelAdmin):
    """Days on which a market has other hours than in the calendar."""

    list_display = ("day", "venue", "hours")
    list_filter = ("venue",)
    date_hierarchy = "day"
    fields = ("venue", "day", ("opens", "closes"))

    @admin.display(description=_("hours"))
    def hours(self, day: MarketDay) -> str:
        """Return its regular hours on the clock of the exchange."""
        if day.opens is None or day.closes is None:
            return gettext("closed all day")
        return f"{day.opens:%H:%M} – {day.closes:%H:%M}"


@admin.register(HeldPrice)
class HeldPriceAdmin(admin.ModelAdmin):
    """Prices that were held back. They can't be changed here."""

    list_display = (
        "moment", "symbol", "outcome", "last", "before", "book", "provider", "currency"
    )  # fmt: skip
    list_filter = ("outcome", "provider")
    search_fields = ("symbol__code",)
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
