"""Overrides in the admin: a fixed price, a halt or a note, for some time."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.actions import delete_selected
from django.db import transaction
from django.db.models import DecimalField, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from quotes.admin.labels import label
from quotes.admin.meanwhile import MeanwhileForm
from quotes.admin.moving import MovingList
from quotes.admin.places import SymbolSelect
from quotes.admin.symbols import PlainDecimalField
from quotes.models import Override
from quotes.staff.words import digits_of, price_of


class OverrideForm(MeanwhileForm):
    """An override. The two fields of each of its times have a label, which Django leaves out."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "price" in self.fields and self.instance.price is not None:
            price: Any = self.fields["price"]
            price.digits = digits_of(self.instance)
        for name in {"begins", "ends"} & self.fields.keys():  # a viewer gets none of them
            field: Any = self.fields[name]
            for widget, part in zip(field.widget.widgets, (_("Date"), _("Time")), strict=True):
                label(widget, f"{capfirst(field.label)}: {part}")


class NowFilter(admin.SimpleListFilter):
    """The overrides that pages show now."""

    title = _("shown now")
    parameter_name = "now"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the one choice beside all overrides."""
        return [("1", _("shown now"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Override]) -> QuerySet[Override]:
        """Return these overrides if they were chosen."""
        now = timezone.now()
        chosen = self.value() == "1"
        return queryset.filter(begins__lte=now, ends__gt=now) if chosen else queryset


@admin.register(Override)
class OverrideAdmin(MovingList):
    """What pages show of symbols for some time, in place of the price or beside it."""

    empty_text = _(
        "No override was set. With one, pages show a fixed price, “Halted” or a note for a symbol "
        "until it ends."
    )
    list_display = ("symbol", "shown", "label", "begins", "ends", "phase", "now")
    list_display_links = ("symbol", "shown")
    list_filter = (NowFilter, "kind")
    list_select_related = ("symbol__last_quote",)
    search_fields = ("symbol__code", "label")
    search_help_text = _("Symbol or label")
    shows_times = True
    autocomplete_fields = ("symbol",)
    form = OverrideForm
    fields = ("symbol", "kind", "price", "label", "begins", "ends")
    formfield_overrides: ClassVar = {DecimalField: {"form_class": PlainDecimalField}}
    actions = ("end_now", delete_selected)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Return the field of the symbol with our search."""
        options["widget"] = SymbolSelect(db_field, self.admin_site)
        return super().formfield_for_foreignkey(db_field, request, **options)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the address fills in: not the times, for which Django takes only dates."""
        given = super().get_changeform_initial_data(request)
        return {name: value for name, value in given.items() if name not in ("begins", "ends")}

    @admin.display(description=_("kind"), ordering="kind")
    def shown(self, override: Override) -> str:
        """Return the kind, and a fixed price with the currency of its symbol."""
        if override.price is None:
            return override.get_kind_display()
        price = price_of(override)
        return f"{override.get_kind_display()} {price} {override.symbol.currency}"

    @admin.display(description=_("on pages"))
    def phase(self, override: Override) -> str:
        """Return whether pages show it now."""
        now = timezone.now()
        if override.ends <= now:
            return gettext("ended")
        return gettext("shown now") if override.begins <= now else gettext("begins later")

    @admin.action(description=_("End now"), permissions=["change"])
    def end_now(self, request: HttpRequest, chosen: QuerySet[Override]) -> None:
        """End those that pages show now."""
        now = timezone.now()
        with transaction.atomic():
            ended = list(chosen.filter(begins__lt=now, ends__gt=now))
            for override in ended:
                override.ends = now
                override.save(update_fields=["ends"])
                self.log_change(request, override, [{"changed": {"fields": ["ends"]}}])
        text = ngettext("%d override ended.", "%d overrides ended.", len(ended))
        self.message_user(request, text % len(ended))
