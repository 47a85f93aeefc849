"""Actions of the admin that change many symbols: a preview, and one write."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from quotes import conf
from quotes.admin.codes import choices
from quotes.codes import validate_text
from quotes.models import Board, BulkChange, Symbol
from quotes.staff.bulk import (
    Action,
    Changing,
    Chosen,
    Order,
    Placing,
    Plan,
    Refused,
    Switch,
    Undo,
    carry_out,
)
from quotes.staff.words import list_of

MAX_SHOWN = 50  # symbols of a preview
SEALED = "seal"  # the field of a preview that the next request confirms


class ReasonForm(forms.Form):
    """Why symbols are switched off."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=200,
        validators=[validate_text],
        help_text=_("The form and the history of each symbol show it. Visitors do not see it."),
    )


class PlacingForm(forms.Form):
    """The board on which symbols are put, or from which they are removed."""

    board = forms.ModelChoiceField(
        Board.objects.filter(filling=Board.Filling.LIST),
        label=_("Board"),
        help_text=_("A board that fills itself is not offered."),
    )


class OrderForm(forms.Form):
    """The providers that come first."""

    first = forms.ChoiceField(label=_("First"), required=False)
    second = forms.ChoiceField(
        label=_("Second"),
        required=False,
        help_text=_("It has no effect on symbols without a code for it."),
    )
    third = forms.ChoiceField(label=_("Third"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        default = _("Order of the settings: %(names)s")
        named = default % {"names": ", ".join(conf.get("PROVIDERS"))}
        for name, empty in (("first", named), ("second", "---------"), ("third", "---------")):
            field: Any = self.fields[name]
            field.choices = [("", empty), *choices().items()]

    def clean(self) -> dict[str, Any]:
        """Refuse a provider that is chosen twice, and a second one without a first one."""
        given = [self.cleaned_data.get(name, "") for name in self.fields]
        chosen = [name for name in given if name]
        if len(chosen) != len(set(chosen)):
            raise forms.ValidationError(_("Choose each provider only once."))
        if chosen and not given[0]:
            self.add_error("first", _("Choose a first provider, or none at all."))
        return {"providers": chosen}


@dataclass(frozen=True)
class BulkAction:
    """An action in the list of symbols: its form, and how values of the form become a choice."""

    action: Action
    choose: Callable[..., Chosen]
    form: type[forms.Form] = forms.Form
    permission: str = "change"

    def in_list(self) -> Callable[..., HttpResponse]:
        """Return the action for Django's list."""

        @admin.action(description=self.action.label, permissions=[self.permission])
        def run(model_admin: Any, request: HttpRequest, symbols: Any) -> HttpResponse:
            return ActionPage(model_admin, request, symbols, self).answer()

        run.__name__ = self.action.value
        return run


def board_action(action: Action) -> BulkAction:
    """Return an action with a board."""
    return BulkAction(action, lambda board: Placing(action, board), PlacingForm, "place")


ACTIONS = (
    BulkAction(Action.SWITCH_ON, lambda: Switch(active=True)),
    BulkAction(
        Action.SWITCH_OFF, lambda reason="": Switch(active=False, reason=reason), ReasonForm
    ),
    board_action(Action.PUT),
    board_action(Action.MOVE),
    board_action(Action.REMOVE),
    BulkAction(Action.ORDER, Order, OrderForm, "order"),
)
PERMISSIONS = {each.action: each.permission for each in ACTIONS}


class ActionPage:
    """The page that shows what an action would change, and carries it out when it is confirmed."""

    def __init__(
        self, model_admin: Any, request: HttpRequest, symbols: Any, wanted: BulkAction
    ) -> None:
        self.model_admin, self.request, self.wanted = model_admin, request, wanted
        self.symbols: QuerySet[Symbol] = symbols
        self.form = wanted.form(request.POST if "look" in request.POST or self.confirms else None)
        for field in list(self.form.fields.values())[:1]:
            field.widget.attrs["autofocus"] = True

    @property
    def confirms(self) -> bool:
        """Whether the request confirms a preview."""
        return "carry_out" in self.request.POST

    def answer(self) -> HttpResponse:
        """Return the preview, or carry it out and return to the list."""
        if not self.form.is_valid():
            # a preview needs no reason yet; all other forms decide the new states
            known = self.wanted.form in (forms.Form, ReasonForm)
            return self._page(Plan.of(self.wanted.choose(), self.symbols) if known else None)
        chosen = self.wanted.choose(**self.form.cleaned_data)
        if not self.confirms:
            return self._page(Plan.of(chosen, self.symbols))
        try:
            seal = self.request.POST.get(SEALED, "")
            done = carry_out(chosen, self.symbols, seal, self.request.user)
        except Refused as refusal:
            return self._page(Plan.of(chosen, self.symbols), str(refusal))
        self.model_admin.message_user(self.request, success(done), messages.SUCCESS)
        return redirect(self.request.get_full_path())

    def _page(self, plan: Plan | None, refusal: str = "") -> HttpResponse:
        shown = plan.changing[:MAX_SHOWN] if plan else []
        context = {
            **self.model_admin.admin_site.each_context(self.request),
            "title": self.wanted.action.label,
            "opts": Symbol._meta,
            "media": self.model_admin.media + self.form.media,
            "form": self.form,
            "selected": [
                ("action", self.wanted.action.value),
                ("select_across", self.request.POST.get("select_across", "0")),
                *((ACTION_CHECKBOX_NAME, key) for key in self._keys()),
            ],
            "plan": plan,
            "label": gettext(plan.aspect.label) if plan else "",
            "shown": rows(plan, shown) if plan else [],
            "left_out": len(plan.changing) - len(shown) if plan else 0,
            "impossible": impossible(plan) if plan else [],
            "refusal": refusal,
        }
        return render(self.request, "quotes/admin/bulk.html", context)

    def _keys(self) -> list[str]:
        """Return the keys of the chosen rows; with all of a search, Django needs one of them."""
        keys = self.request.POST.getlist(ACTION_CHECKBOX_NAME)
        return keys[:1] if self.request.POST.get("select_across") == "1" else keys


def rows(plan: Plan | Undo, changing: Iterable[Changing]) -> list[tuple[str, str, str]]:
    """Return the code and the states of symbols in words."""
    text = plan.aspect.text
    return [(each.code, text(each.before), text(each.after)) for each in changing]


def impossible(plan: Plan) -> list[tuple[str, int, str]]:
    """Return each reason why symbols can't be changed, with their number and their codes."""
    return [(reason, len(codes), list_of(codes)) for reason, codes in plan.impossible.items()]


def success(done: BulkChange) -> SafeString:
    """Return what was changed, with a link to its undo."""
    if not done.count:
        return format_html("{}", gettext("Nothing was changed."))
    text = ngettext("%d symbol changed", "%d symbols changed", done.count) % done.count
    link = reverse("admin:quotes_bulkchange_undo", args=[done.pk])
    return format_html('{} ({}). <a href="{}">{}</a>', text, done, link, gettext("Undo"))


class ChangesInBulk(admin.ModelAdmin):
    """A list of symbols with our actions. Its actions need the rights to do the same one by one."""

    bulk_actions: ClassVar = tuple(each.in_list() for each in ACTIONS)

    def has_place_permission(self, request: HttpRequest) -> bool:
        """Return whether somebody may put symbols on boards and remove them."""
        return self._may(request, "change_symbol", "add_boardsymbol", "delete_boardsymbol")

    def has_order_permission(self, request: HttpRequest) -> bool:
        """Return whether somebody may order the providers of symbols."""
        return self._may(request, "change_symbol", "change_providersymbol")

    def _may(self, request: HttpRequest, *rights: str) -> bool:
        user: Any = request.user
        return bool(user.has_perms([f"quotes.{right}" for right in rights]))
