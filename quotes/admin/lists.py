"""The lists and forms of the admin: what all of them share, and those that nobody edits."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse

from quotes.admin.deleting import taken_along
from quotes.admin.first_error import first_error
from quotes.admin.history import KeepsHistory
from quotes.admin.labels import LabelledRows
from quotes.admin.meanwhile import MeanwhileForm

MAX_SEARCH = 100  # characters


class ListAdmin(KeepsHistory):
    """A model with our list and form. Its `search_help_text` is the label of the search."""

    form = MeanwhileForm
    change_list_template = "quotes/admin/change_list.html"
    change_form_template = "quotes/admin/change_form.html"
    empty_text: Any = ""  # shown while there is no row
    shows_times = False  # whose time zone its list and form then name

    class Media:
        css: ClassVar = {"all": ("quotes/admin.css",)}

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        """Return the rows that a search finds, by its beginning: SQLite refuses long patterns."""
        return super().get_search_results(request, queryset, search_term[:MAX_SEARCH])

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Return the form, or save it."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except IntegrityError:  # another save came between the check of this one and its write
            return super().changeform_view(request, *args, **kwargs)

    def get_changelist_formset(self, request: HttpRequest, **options: Any) -> Any:
        """Return the formset of the list, with labels."""
        return super().get_changelist_formset(request, formset=LabelledRows, **options)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return what a deletion takes along, as a list or, where that is long, as numbers."""
        few = super().get_deleted_objects
        return taken_along(objs, request, self.admin_site) or few(objs, request)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Return the page of a form, with a link to its first error."""
        rows = [each.formset for each in context["inline_admin_formsets"]]
        context["first_error"] = first_error(context["adminform"].form, rows)
        context["shows_times"] = self.shows_times
        return super().render_change_form(request, context, *args, **kwargs)


class ReadOnlyAdmin(ListAdmin):
    """A list of what was done, which nobody edits."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: only what is done adds a row."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: nobody edits the record."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: nobody deletes the record."""
        return False
