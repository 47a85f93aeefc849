"""Boards in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes.admin.arranging import ArrangeView, may
from quotes.admin.lists import ListAdmin
from quotes.models import Board


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
    fields = ("title", "slug", "position")
    prepopulated_fields = {"slug": ("title",)}
    change_form_template = "quotes/admin/board_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Board]:
        """Read the boards with their numbers of symbols."""
        boards: QuerySet[Board] = super().get_queryset(request)
        return boards.annotate(places_count=Count("places"))

    @admin.display(description=_("symbols"), ordering="places_count")
    def size(self, board: Any) -> SafeString:
        """Return the number of the board's symbols, which leads to them."""
        count = number_format(board.places_count, force_grouping=True)
        label = gettext("%(count)s symbols on %(board)s") % {"count": count, "board": board}
        link = '<a href="{}" aria-label="{}">{}</a>'
        return format_html(
            link, reverse("admin:quotes_board_symbols", args=[board.pk]), label, count
        )

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
