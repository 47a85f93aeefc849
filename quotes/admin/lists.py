"""The lists and forms of the admin: what all of them share, and those that nobody edits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin
from django.db import IntegrityError, connection
from django.db.models import DecimalField
from django.http import HttpRequest, HttpResponse
from django.utils.formats import number_format

from quotes.admin.deleting import taken_along
from quotes.admin.first_error import first_error
from quotes.admin.history import KeepsHistory
from quotes.admin.labels import LabelledRows
from quotes.admin.meanwhile import MeanwhileForm
from quotes.admin.parameters import key_of
from quotes.models.locks import lock
from quotes.staff.words import decimals

MAX_SEARCH = 100  # characters


def as_read(field: Any, empty: Any) -> Callable[[Any], str]:
    """Return what the form shows of a number to a user who may not change it."""

    @admin.display(description=field.verbose_name)
    def shown(row: Any) -> str:
        value = getattr(row, field.name)
        return str(empty if value is None else number_format(value, decimals(value)))

    shown.__name__ = field.name  # to which Django adds the help text
    return shown


class ListForm(MeanwhileForm):
    """What can be edited of a row in its list."""


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

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields; a user who may not change them reads numbers without added zeros."""
        fieldsets = super().get_fieldsets(request, obj)
        if not obj or self.has_change_permission(request, obj):
            return fieldsets
        return [
            (title, {**options, "fields": [self._as_read(name) for name in options["fields"]]})
            for title, options in fieldsets
        ]

    def _as_read(self, name: Any) -> Any:
        field = next((each for each in self.opts.fields if each.name == name), None)
        if not isinstance(field, DecimalField):
            return name
        return as_read(field, self.get_empty_value_display())

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        """Return a row; another save of it waits for the end of the transaction."""
        if connection.in_atomic_block:
            list(lock(self.model._default_manager.filter(pk=key_of(object_id))))
        return super().get_object(request, object_id, from_field)

    def get_changelist_form(self, request: HttpRequest, **options: Any) -> Any:
        """Return the form of a row in the list."""
        return super().get_changelist_form(request, form=ListForm, **options)

    def get_changelist_formset(self, request: HttpRequest, **options: Any) -> Any:
        """Return the formset of the list, with labels."""
        return super().get_changelist_formset(request, formset=LabelledRows, **options)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save a row; from a list, only what was edited there."""
        if isinstance(form, ListForm):
            obj.save(update_fields=form.changed_data)
        else:
            super().save_model(request, obj, form, change)

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
