"""Symbols in the admin."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.db.models import DecimalField, Prefetch, QuerySet
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.http import content_disposition_header
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes import catalogue, conf, sessions
from quotes.admin.aliases import AliasInline
from quotes.admin.attention import AttentionFilter, on_no_board
from quotes.admin.bulk import ChangesInBulk
from quotes.admin.checking import check_page
from quotes.admin.code_field import CodeField
from quotes.admin.codes import CodeRows, ProviderSymbolInline, given_codes
from quotes.admin.contradictions import fixed, without_hours
from quotes.admin.filling import on_board
from quotes.admin.find import FindsSymbols
from quotes.admin.loading import LoadedView, LoadView
from quotes.admin.meanwhile import MeanwhileForm
from quotes.admin.merging import MergeView
from quotes.admin.moving import MovingList
from quotes.admin.places import BoardsInline
from quotes.admin.splits import SplitInline
from quotes.feed.chains import load_chain
from quotes.models import Board, HistoryEntry, ProviderSymbol, Symbol
from quotes.models.history import record, user_of
from quotes.providers import REGISTRY
from quotes.staff import filling, renaming
from quotes.staff.state import NOT_FOUND
from quotes.staff.words import in_full


class PlainDecimalField(forms.DecimalField):
    """A number without the zeros that its column adds."""

    digits = 0  # decimals that it has at least

    def prepare_value(self, value: Any) -> Any:
        """Return a stored 0.010000000000 as 0.01."""
        return in_full(value, self.digits) if isinstance(value, Decimal) else value


class SymbolForm(MeanwhileForm):
    """A symbol, with what its exchange is for."""

    class Meta:
        field_classes: ClassVar = {"code": CodeField}
        help_texts: ClassVar = {
            "exchange": _(
                "It decides the market hours: NASDAQ, LSE, XETRA. If you leave this field empty, "
                "the price is fetched at all hours."
            ),
            "code": _(
                "The code in pages and addresses: BTC-USD, AAPL, ^GSPC. If you change it, the "
                "former code still leads to the symbol, and its history stays."
            ),
        }

    def clean_code(self) -> str:
        """Return the code; raise ValidationError if it, or a former one, is that of another one."""
        code: str = self.cleaned_data["code"]
        renaming.check(code, self.instance if self.instance.pk else None)
        return code


class BoardFilter(admin.RelatedFieldListFilter):
    """The symbols that are on a board now, whatever fills it, or on none."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Symbol]) -> QuerySet[Symbol]:
        """Return the symbols of the chosen board."""
        if self.lookup_val_isnull:
            return on_no_board(queryset)
        board = Board.objects.filter(pk__in=self.lookup_val or ()).first()
        return on_board(queryset, board) if board else queryset


class NotFoundFilter(admin.SimpleListFilter):
    """The symbols that were switched off because none of their providers has them."""

    title = _("not found")
    parameter_name = "not_found"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the one choice beside all symbols."""
        return [("1", _("switched off because not found"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Symbol]) -> QuerySet[Symbol]:
        """Return these symbols if they were chosen."""
        return queryset.filter(**NOT_FOUND) if self.value() == "1" else queryset


@admin.register(Symbol)
class SymbolAdmin(ChangesInBulk, FindsSymbols, MovingList):
    """Symbols, which can be searched, filtered and switched on and off."""

    empty_text = _(
        "There are no symbols yet. Add them one by one, or load many at once: with “Load from a "
        "file”, or with “manage.py loadcatalogue”."
    )
    list_display = ("code", "active", "name", "kind", "last", "state", "sources")
    list_display_links = ("code", "name")
    change_list_template = "quotes/admin/symbol_list.html"
    list_filter = (
        AttentionFilter,
        "active",
        NotFoundFilter,
        "kind",
        ("boards", BoardFilter),
        "currency",
        "exchange",
    )
    list_editable = ("active",)
    search_fields = ("code", "name", "aliases__code", "provider_symbols__code")
    search_help_text = _("Symbol, name, former code or a provider's code")
    list_per_page = 50
    empty_value_display = _("none")  # among the filters: no board, no exchange
    form = SymbolForm
    change_form_template = "quotes/admin/symbol_form.html"
    formfield_overrides: ClassVar = {DecimalField: {"form_class": PlainDecimalField}}
    actions = (
        *ChangesInBulk.bulk_actions,
        "check_again",
        "save_as_csv",
        "save_as_json",
        delete_selected,  # last: nobody is to choose it by mistake
    )
    readonly_fields = ("found_by_none", "why_off")
    inlines = (ProviderSymbolInline, BoardsInline, SplitInline, AliasInline)
    fieldsets = (
        (None, {"fields": ("code", "name", "kind", "exchange", "currency", "active")}),
        (_("Prices"), {"fields": ("tick_size", "stale_after", "start")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Symbol]:
        """Read the symbols together with their codes and last quotes."""
        codes = Prefetch("provider_symbols", ProviderSymbol.objects.order_by("provider"))
        return super().get_queryset(request).select_related("last_quote").prefetch_related(codes)

    def get_formset_kwargs(
        self, request: HttpRequest, obj: Any, inline: Any, prefix: str
    ) -> dict[str, Any]:
        """Fill in the codes that the address of the form has."""
        options: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        if isinstance(inline, ProviderSymbolInline) and request.method == "GET" and not obj.pk:
            options["initial"] = given_codes(request.GET)
        return options

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Return the form, or save it; with a fix, change it before."""
        if change := request.POST.get("_fix"):
            request.POST = fixed(request.POST, change)  # type: ignore[assignment]
        return super().changeform_view(request, *args, **kwargs)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Return the page of the form, with what contradicts the symbol."""
        for rows in (each.formset for each in context["inline_admin_formsets"]):
            if isinstance(rows, CodeRows):
                if request.method == "GET" and not rows.instance.pk:
                    rows.look_at(request.GET)
                context["findings"] = rows.findings
        return super().render_change_form(request, context, *args, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields; the first one of a symbol that was switched off states why."""
        first, *others = super().get_fieldsets(request, obj)
        why = (
            "found_by_none" if obj and obj.not_found_at else "why_off" if obj and obj.reason else ""
        )
        if not why:
            return [first, *others]
        return [(first[0], {"fields": (why, *first[1]["fields"])}), *others]

    @admin.display(description=_("not found"))
    def found_by_none(self, symbol: Symbol) -> str:
        """Return when and why a symbol was switched off, and what to do."""
        words = gettext(
            "Switched off on %(day)s, because none of its providers has it. Correct its codes "
            "below, and check “Active” to switch it on again."
        )
        return format_html("{}<br>{}", words % {"day": day_not_found(symbol)}, symbol.not_found)

    @admin.display(description=_("switched off"))
    def why_off(self, symbol: Symbol) -> str:
        """Return why an operator switched a symbol off."""
        return symbol.reason

    def get_urls(self) -> list[URLPattern]:
        """Return the addresses of Django's pages, and of those to merge a symbol or load a file."""
        merge = self.admin_site.admin_view(MergeView.as_view(model_admin=self))
        # a load commits by itself, also in a site with a transaction for each request
        load, loaded = (
            non_atomic_requests(self.admin_site.admin_view(view.as_view(model_admin=self)))
            for view in (LoadView, LoadedView)
        )
        own = [
            path("<int:pk>/merge/", merge, name="quotes_symbol_merge"),
            path("load/", load, name="quotes_symbol_load"),
            path("load/<int:pk>/", loaded, name="quotes_symbol_loaded"),
        ]
        return own + super().get_urls()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save a symbol. If its code changed, keep the former one as an alias."""
        if change and "code" in form.changed_data:
            renaming.rename(obj, obj.code)
            now = gettext(
                "“%(former)s” now leads to “%(code)s”. Its providers get the same codes as before."
            )
            former = form.initial["code"]
            self.message_user(request, now % {"former": former, "code": obj.code})
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the codes and places, and warn of a symbol that visitors won't see move."""
        super().save_related(request, form, formsets, change)
        for answer in [
            a for each in formsets if isinstance(each, CodeRows) for a in each.findings.failures
        ]:
            self.message_user(request, answer.text, messages.WARNING)
        for hint in hints(form.instance) if formsets else ():  # not for each row of a list
            self.message_user(request, hint, messages.WARNING)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Record the deletion of one symbol as Django does, and that of several as one change."""
        if len(queryset) == 1:
            return super().log_deletions(request, queryset)
        what = HistoryEntry.What.DELETED
        rows = (HistoryEntry.of(each, what=what) for each in queryset)
        return record(user_of(request.user), rows, HistoryEntry(what=what))

    @admin.display(description=_("last"))
    def last(self, symbol: Symbol) -> str:
        """Return the newest price as pages show it, or that no provider has the symbol."""
        if symbol.not_found_at:
            since = gettext("not found on %(day)s") % {"day": day_not_found(symbol)}
            return format_html('<span class="stale" title="{}">{}</span>', symbol.not_found, since)
        return super().last(symbol)

    def symbol_of(self, row: Any) -> Symbol:
        """Return the symbol itself, which is the row."""
        symbol: Symbol = row
        return symbol

    @admin.display(description=_("providers"))
    def sources(self, symbol: Symbol) -> str:
        """Return the number of the symbol's codes for the known providers, with a list of them."""
        rows = [each for each in symbol.provider_symbols.all() if each.provider in REGISTRY]
        listed = ", ".join(f"{row.provider} {row.code}" for row in rows)
        count = '<span title="{}">{}</span> <span class="visually-hidden">{}</span>'
        return format_html(count, listed, len(rows), listed)

    @admin.action(description=_("Check with the providers"), permissions=["change"])
    def check_again(self, request: HttpRequest, chosen: QuerySet[Symbol]) -> HttpResponse:
        """Compare the chosen symbols with their sources, some on each page."""
        return check_page(self, request, chosen)

    @admin.action(description=_("Save as CSV"), permissions=["view"])
    def save_as_csv(self, request: HttpRequest, chosen: QuerySet[Symbol]) -> HttpResponse:
        """Return the chosen symbols as a file that `loadcatalogue` can load."""
        content = catalogue.csv_of(chosen).encode("utf-8-sig")  # else Excel takes it for another
        return as_file(content, "csv", "text/csv; charset=utf-8")

    @admin.action(description=_("Save as JSON"), permissions=["view"])
    def save_as_json(self, request: HttpRequest, chosen: QuerySet[Symbol]) -> HttpResponse:
        """Return the same as a list of objects."""
        return as_file(catalogue.json_of(chosen).encode(), "json", "application/json")


def as_file(content: bytes, suffix: str, content_type: str) -> HttpResponse:
    """Return symbols as a file that a browser saves."""
    name = f"symbols-{timezone.localdate():%Y-%m-%d}.{suffix}"
    headers = {"Content-Disposition": content_disposition_header(True, name)}
    return HttpResponse(content, content_type=content_type, headers=headers)


def day_not_found(symbol: Symbol) -> str:
    """Return the day on which a symbol was not found."""
    return date_format(timezone.localtime(symbol.not_found_at), "SHORT_DATE_FORMAT")


def hints(symbol: Symbol) -> list[str]:
    """Return what an active symbol lacks to have a price, and to be found by visitors."""
    if not symbol.active:
        return []
    found: list[str] = []
    named, code = conf.get("PROVIDERS"), {"code": symbol.code}
    if not load_chain(symbol, named):
        lacks = gettext(
            "“%(code)s” has no price, because it has no code for a provider of this site "
            "(%(providers)s)."
        )
        text = lacks % {**code, "providers": ", ".join(named)}
        found.append(with_link(text, symbol, "provider_symbols", gettext("Add a code")))
    if not sessions.knows(symbol.exchange, symbol.kind):
        found.append(without_hours(symbol))
    if not symbol.places.exists() and not filling.with_symbol(symbol):
        text = gettext("“%(code)s” is on no board.") % code
        link = gettext("Add a board, so that visitors find it")
        found.append(with_link(text, symbol, "places", link))
    return found


def with_link(text: str, symbol: Symbol, rows: str, label: str) -> SafeString:
    """Return a sentence with a link to some rows in the form of a symbol."""
    form = reverse("admin:quotes_symbol_change", args=[symbol.pk])
    return format_html('{} <a href="{}#{}-group">{}</a>', text, form, rows, label)
