"""The field for the code of a symbol."""

from __future__ import annotations

from typing import Any

from django import forms

from quotes.codes import code_of


class CodeField(forms.CharField):
    """A code of a symbol, which may be typed with small letters."""

    def to_python(self, value: Any) -> str:
        """Return the code as it is written: with capital letters."""
        return code_of(super().to_python(value) or "")
