"""Two editors at once: a form notices what others changed since it was opened.

It carries the values that it was opened with, as Django's hidden initial values.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext

from quotes.staff.history import changed_by
from quotes.staff.words import written


class MeanwhileForm(forms.ModelForm):
    """A form whose save does not undo changes of others unnoticed.

    A field that its user left alone keeps the value that others gave it. One that both changed is
    an error that names the other value; the next save replaces it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            # scripts may send a form without these values; a new row has none
            is_carried = not self.is_bound or self._is_carried(name)
            field.show_hidden_initial = bool(self.instance.pk) and is_carried
            if self.is_bound and is_carried:  # else Django shows those of a date as they were sent
                self._set({self.add_initial_prefix(name): ""}, again=False)

    def clean(self) -> dict[str, Any] | None:
        """Settle the fields that others changed meanwhile."""
        cleaned = super().clean()
        for name, field in self.fields.items():
            if field.show_hidden_initial and not field.disabled:
                self._settle(name, self.cleaned_data if cleaned is None else cleaned)
        return cleaned

    def _settle(self, name: str, cleaned: dict[str, Any]) -> None:
        bound, field = self[name], self.fields[name]
        now = self.get_initial_for_field(field, name)
        opened = self._widget_data_value(field.hidden_widget(), bound.html_initial_name)  # type: ignore[attr-defined]
        if not field.has_changed(now, opened):
            return
        if name not in self.changed_data:
            cleaned[name] = getattr(self.instance, name, now)
        elif field.has_changed(now, bound.data) and name not in self.errors:
            words = gettext(
                "Meanwhile %(who)s changed this to “%(now)s”. Save again to replace that."
            )
            who = changed_by(self.instance, str(field.label)) or gettext("somebody")
            known = {"who": who, "now": written(field, now)}
            self.add_error(name, ValidationError(words, params=known))
            self._carry(name, now)

    def _is_carried(self, name: str) -> bool:
        carried = self.add_initial_prefix(name)
        return carried in self.data or f"{carried}_0" in self.data

    def _carry(self, name: str, value: Any) -> None:
        """Let the form be one that was opened with this value of a field."""
        field, place = self.fields[name], self.add_initial_prefix(name)
        widget, value = field.hidden_widget(), field.prepare_value(value)
        texts = {place: widget.format_value(value)}
        if isinstance(widget, forms.MultiWidget):
            parts = zip(widget.widgets, widget.decompress(value) or (), strict=False)
            texts = {f"{place}_{n}": each.format_value(v) for n, (each, v) in enumerate(parts)}
        self._set(texts)

    def _set(self, texts: dict[str, Any], *, again: bool = True) -> None:
        data = QueryDict(mutable=True)
        data.update(self.data)
        for key, text in texts.items():
            if again or key not in data:
                data.setlist(key, text if isinstance(text, list) else [text or ""])
        self.data = data
