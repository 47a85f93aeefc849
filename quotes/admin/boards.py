"""Boards in the admin."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Count, Max, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from quotes.admin.arranging import ArrangeView, may
from quotes.admin.filling import BoardForm, RulePreview
from quotes.admin.lists import ListAdmin
from quotes.models import Board
from quotes.rules import rule_of
from quotes.staff import filling


@admin.register(Board)
class BoardAdmin(ListAdmin):
    """Boards, their order, and the way to their symbols."""

    empty_text = _(
        "There are no boards yet. A board is a page that shows symbols in its own order."
    )
    list_display = ("title", "slug", "position", "size")
    list_editable = ("position",)
    search_fields = ("title", "slug")
    search_help_text = _("Title or slug")
    form = BoardForm
    prepopulated_fields = {"slug": ("title",)}
    radio_fields: ClassVar = {"filling": admin.VERTICAL}
    readonly_fields = ("rule",)
    change_form_template = "quotes/admin/board_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Board]:
        """Read the boards with their numbers of symbols."""
        boards: QuerySet[Board] = super().get_queryset(request)
        return boards.annotate(places_count=Count("places"))

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Let a new board be the last one."""
        last = Board.objects.aggregate(last=Max("position"))["last"]
        given = super().get_changeform_initial_data(request)
        return {"position": 0 if last is None else last + 1, **given}

    def get_fieldsets(self, request: HttpRequest, obj: Board | None = None) -> Any:
        """Return the fields of a board and of its rule, or the rule in words for a viewer."""
        own = (None, {"fields": ("title", "slug", "position")})
        edits = self.has_change_permission(request, obj) if obj else True
        rule = ("filling", "number", "kinds", "exchange", "currency", "source", "order")
        words = _("The conditions below have no effect on a list that you arrange by hand.")
        parts = {"fields": rule, "description": words} if edits else {"fields": ("rule",)}
        return [own, (_("Symbols"), parts)]

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Return the form, which knows what its user may do with places."""
        form: Any = super().get_form(request, *args, **kwargs)
        form.may_delete_places = may(request, "delete")
        return form

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Return the page of the form, with what its rule finds."""
        context["preview"] = RulePreview.of(context["adminform"].form)
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Board, form: Any, change: bool) -> None:
        """Save a board. Between a list and a rule, its places are made or removed."""
        before = Board.objects.filter(pk=obj.pk).first() if change else None
        super().save_model(request, obj, form, change)
        rule = rule_of(before) if before else None
        if rule and not obj.fills_itself:
            count = filling.keep(obj, rule)
            words = ngettext(
                "The board keeps the %(count)d symbol that it has now. Arrange it at “Symbols”.",
                "The board keeps the %(count)d symbols that it has now. Arrange them at “Symbols”.",
                count,
            )
            self.message_user(request, words % {"count": count}, messages.SUCCESS)
        elif obj.fills_itself:
            obj.places.all().delete()

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Return the list, with the number of symbols of each board that fills itself."""
        listed: Any = super().get_changelist_instance(request)
        ruled = [(board, rule) for board in listed.result_list if (rule := rule_of(board))]
        known = filling.now() if ruled else None
        for board, rule in ruled:
            board.places_count = len(filling.found_by(rule, known))
        return listed

    @admin.display(description=_("rule"))
    def rule(self, board: Board) -> str:
        """Return how a board is filled."""
        return "; ".join(": ".join(each) for each in filling.in_words(board))

    @admin.display(description=_("symbols"), ordering="places_count")
    def size(self, board: Any) -> SafeString:
        """Return the number of the board's symbols, which leads to them."""
        count = number_format(board.places_count, force_grouping=True)
        label = gettext("%(count)s symbols on %(board)s") % {"count": count, "board": board}
        link = '<a href="{}" aria-label="{}">{}</a>{}'
        page = reverse("admin:quotes_board_symbols", args=[board.pk])
        by_itself = format_html("<br>{}", gettext("fills itself")) if board.fills_itself else ""
        return format_html(link, page, label, count, by_itself)

    def get_urls(self) -> list[Any]:
        """Return the addresses of Django's pages, and of the page of a board's symbols."""
        view = self.admin_site.admin_view(ArrangeView.as_view(model_admin=self))
        own = [path("<int:pk>/symbols/", view, name="quotes_board_symbols")]
        return own + super().get_urls()

    def response_post_save_add(self, request: HttpRequest, obj: Board) -> Any:
        """Lead from a new board to its symbols."""
        if may(request, "view"):
            return redirect("admin:quotes_board_symbols", obj.pk)
        return super().response_post_save_add(request, obj)
