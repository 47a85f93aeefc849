"""The form of a board with its rule: a preview, and a question before places are deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.db.models import QuerySet
from django.utils.text import capfirst
from django.utils.translation import get_language, gettext, ngettext
from django.utils.translation import gettext_lazy as _

from quotes import conf, formats
from quotes.admin.meanwhile import MeanwhileForm
from quotes.models import Board, Symbol
from quotes.providers import REGISTRY
from quotes.rules import rule_of
from quotes.shown import BLANK, Shown, provider_title
from quotes.staff import filling
from quotes.store import State

SHOWN = 10  # symbols of a preview
CONDITIONS = ("kinds", "exchange", "currency", "source")


class BoardForm(MeanwhileForm):
    """A board with its rule. With a button, it shows what the rule finds, and saves nothing."""

    may_delete_places = True  # whether its user may turn a list into a rule

    kinds = forms.MultipleChoiceField(
        label=_("Kinds"),
        required=False,
        choices=Symbol.Kind.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text=Board._meta.get_field("kinds").help_text,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.losing = 0  # places that would be deleted: the user must confirm it
        for name in {"filling", "order"} & self.fields.keys():
            self.fields[name].required = False  # a program that sends none of them changes nothing
        for name in ("exchange", "currency"):
            values = Symbol.objects.order_by(name).values_list(name, flat=True).distinct()
            wrong = gettext("No symbol has “%(value)s”. Choose one from the list.")
            self._choose(name, {each: each for each in values if each}, wrong)
        names = dict.fromkeys((*conf.get("PROVIDERS"), *sorted(REGISTRY)))
        wrong = gettext("There is no provider “%(value)s”. Choose one from the list.")
        self._choose("source", {each: provider_title(each) for each in names}, wrong)

    def _choose(self, name: str, choices: dict[str, str], wrong: str) -> None:
        """Let a field be empty, one of these values, or what it is now."""
        if name not in self.fields:
            return
        now, model_field = getattr(self.instance, name), cast("Any", Board._meta.get_field(name))
        known = choices if now in choices or not now else {now: now} | choices
        self.fields[name] = forms.ChoiceField(
            label=capfirst(model_field.verbose_name),
            help_text=model_field.help_text,
            required=False,
            choices=[("", gettext("all")), *known.items()],
            error_messages={"invalid_choice": wrong},
            show_hidden_initial=self.fields[name].show_hidden_initial,
        )

    @property
    def previews(self) -> bool:
        """Whether its user wants to see what the rule finds."""
        return "_preview" in self.data

    def is_valid(self) -> bool:
        """Return whether it can be saved: not if its user wants to look first."""
        return super().is_valid() and not self.previews

    def clean(self) -> dict[str, Any] | None:
        """Refuse conditions that have no effect."""
        cleaned = super().clean()
        chosen = self.cleaned_data.get("filling") or self.instance.filling
        if chosen == Board.Filling.LIST and "filling" not in self.changed_data:
            entered = [n for n in CONDITIONS if n in self.changed_data and self.cleaned_data.get(n)]
            if entered:
                words = gettext(
                    "A list that you arrange by hand has no conditions. Choose what the board "
                    "shows by a rule, or remove the conditions below."
                )
                self.add_error("filling", words)
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.instance.fills_itself and not self.previews and not self.errors:
            self._ask()

    def _ask(self) -> None:
        was_list = self.instance.pk and self.initial.get("filling") == Board.Filling.LIST
        count = self.instance.places.count() if was_list else 0
        if not count or (self.may_delete_places and self.data.get("lose") == str(count)):
            return
        if self.may_delete_places:
            self.losing = count
            words = ngettext(
                "%(count)d symbol that was placed by hand would be removed from this board.",
                "%(count)d symbols that were placed by hand would be removed from this board.",
                count,
            )
        else:
            words = gettext(
                "This would remove %(count)d symbols from the board, which you may not do. Ask "
                "somebody who may remove symbols from boards."
            )
        self.add_error("filling", words % {"count": count})


@dataclass(frozen=True, slots=True)
class RulePreview:
    """What the rule of a board finds now."""

    board: Board
    states: list[State]

    @classmethod
    def of(cls, form: Any) -> RulePreview | None:
        """Return what the rule in a form finds; None without a rule, or with an invalid one."""
        board: Board = form.instance
        is_wrong = form.is_bound and form.errors and not form.losing
        rule = None if is_wrong else rule_of(board)
        return cls(board, filling.found_by(rule)) if rule else None

    @property
    def measure(self) -> str:
        """The heading of the values that a ranked board compares."""
        if self.board.filling in (Board.Filling.RISES, Board.Filling.FALLS):
            return gettext("% Change")
        if self.board.filling == Board.Filling.TRADED:
            return gettext("Turnover")
        return ""

    @property
    def rows(self) -> list[tuple[Symbol, str]]:
        """The first symbols, with the values that are compared."""
        return [(state.symbol, self._value(state)) for state in self.states[:SHOWN]]

    @property
    def has_stale(self) -> bool:
        """Whether a ranked board has stale prices, which come after all others."""
        return bool(self.measure) and any(state.stale for state in self.states)

    @property
    def left_out(self) -> int:
        """The number of the other symbols."""
        return max(0, len(self.states) - SHOWN)

    def _value(self, state: State) -> str:
        language = formats.language_of_texts(get_language() or "en")
        if self.board.filling == Board.Filling.TRADED:
            turnover = state.turnover
            return BLANK if turnover is None else formats.compact(turnover, language)
        return Shown(state, language).change_percent if self.measure else ""


def on_board(symbols: QuerySet[Symbol], board: Board) -> QuerySet[Symbol]:
    """Return the symbols that are on a board now, whatever fills it."""
    rule = rule_of(board)
    if rule is None:
        return symbols.filter(places__board=board)
    return symbols.filter(code__in=[state.symbol.code for state in filling.found_by(rule)])
