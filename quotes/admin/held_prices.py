"""Held prices in the admin: operators accept or reject them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import get_language, gettext, ngettext
from django.utils.translation import gettext_lazy as _

from quotes import formats
from quotes.admin.moving import MovingList
from quotes.models import HeldPrice
from quotes.staff import deciding
from quotes.staff.held_prices import number_of, outcome, price, reason

MAX_NAMED = 5  # prices about which a message says why nothing changed
COLUMNS = ("moment", "symbol", "held_last", "difference", "fate", "reason", "provider")


@admin.register(HeldPrice)
class HeldPriceAdmin(MovingList):
    """Prices that were held back. They can be accepted and rejected, but not edited."""

    empty_text = _(
        "No price has been held back. The feed holds back a price that jumps further than MAX_JUMP "
        "allows until a second one confirms it, and records it here."
    )
    fields = readonly_fields = COLUMNS
    list_display = (*COLUMNS, "now")
    list_display_links = ("moment", "symbol")
    list_filter = ("outcome", "provider")
    search_fields = ("symbol__code",)
    search_help_text = _("symbol")
    list_select_related = ("symbol__last_quote",)
    date_hierarchy = "at"
    shows_times = True
    actions = ("accept", "reject", delete_selected)
    change_list_template = "quotes/admin/held_price_list.html"
    change_form_template = "quotes/admin/held_price_form.html"

    @admin.display(description=_("time"), ordering="at")
    def moment(self, held: HeldPrice) -> str:
        """Return the time to the second, which Django leaves out."""
        at = timezone.localtime(held.at)
        return f"{date_format(at, 'SHORT_DATE_FORMAT')} {at:%H:%M:%S}"

    @admin.display(description=_("price"))
    def held_last(self, held: HeldPrice) -> str:  # as `last`, Django would show the field
        """Return the held price with all digits and its currency."""
        return price(held)

    @admin.display(description=_("difference"))
    def difference(self, held: HeldPrice) -> str:
        """Return how far it is from the price before it."""
        last, before = number_of(held.last), number_of(held.before)
        if not last or not before:
            return "–"
        return formats.percent((last - before) / abs(before) * 100, get_language() or "en")

    @admin.display(description=_("held back because"))
    def reason(self, held: HeldPrice) -> str:
        """Return why it was held back, and the last price; or what was left out of it."""
        return reason(held)

    @admin.display(description=_("outcome"), ordering="outcome")
    def fate(self, held: HeldPrice) -> str:
        """Return what became of it, and what an operator decided."""
        return outcome(held)

    @admin.action(description=_("Accept"), permissions=["decide"])
    def accept(self, request: HttpRequest, chosen: QuerySet[HeldPrice]) -> None:
        """Let the feed take these prices."""
        self._decide(request, chosen, HeldPrice.Decision.ACCEPT)

    @admin.action(description=_("Reject"), permissions=["decide"])
    def reject(self, request: HttpRequest, chosen: QuerySet[HeldPrice]) -> None:
        """Let the feed hold these prices back, and those near them, for a day."""
        self._decide(request, chosen, HeldPrice.Decision.REJECT)

    def _decide(self, request: HttpRequest, chosen: QuerySet[HeldPrice], decision: str) -> None:
        keys = [each.pk for each in chosen]
        decided, others = deciding.decide(keys, decision, request.user.get_username())
        label = capfirst(HeldPrice.Decision(decision).label)
        for row in decided:
            fact = {"decision": decision, "price": self.held_last(row), "provider": row.provider}
            self.log_change(request, row.symbol, [{"decided": fact}])
        if decided:
            words = ngettext(
                "“%(decision)s” was sent to the feed for %(n)d price.",
                "“%(decision)s” was sent to the feed for %(n)d prices.",
                len(decided),
            )
            sent = words % {"decision": label, "n": len(decided)}
            self.message_user(request, sent, messages.SUCCESS)
        for row in others[:MAX_NAMED]:
            words = gettext("%(held)s was left as it is: %(outcome)s.")
            text = words % {"held": f"{row.symbol} {self.held_last(row)}", "outcome": outcome(row)}
            self.message_user(request, text, messages.WARNING)
        if (more := len(others) - MAX_NAMED) > 0:
            words = ngettext("%d more was left as it is.", "%d more were left as they are.", more)
            self.message_user(request, words % more, messages.WARNING)

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Return the page of a price, with the decisions that are possible."""
        held: HeldPrice | None = self.get_object(request, object_id)
        decisions = []
        if held and self.has_decide_permission(request):
            decisions = [each for each in HeldPrice.Decision if held.may(each, timezone.now())]
        more = {"decisions": [(each.value, capfirst(each.label)) for each in decisions]}
        return super().change_view(request, object_id, *args, **kwargs | {"extra_context": more})

    def delete_model(self, request: HttpRequest, obj: HeldPrice) -> None:
        """Delete a price; if it was rejected, that ends."""
        deciding.delete([obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[HeldPrice]) -> None:
        """Delete prices; the rejections among them end."""
        deciding.delete(queryset.values_list("pk", flat=True))

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Return whether a user may accept and reject prices."""
        return super().has_change_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: only the feed adds held prices."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: nobody edits the record of held prices."""
        return False
