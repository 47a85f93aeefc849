"""The provider codes of a symbol, as rows of its form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes import conf
from quotes.admin.contradictions import ACCEPTED, Findings, findings
from quotes.admin.labels import LabelledInlineRows
from quotes.admin.meanwhile import MeanwhileForm
from quotes.models import ProviderSymbol, Symbol
from quotes.providers import REGISTRY


def given_codes(query: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the codes in the address of a form, as rows of it: coinbase=BTC-USD."""
    codes = {name: plain(query.get(name, "")) for name in REGISTRY}
    return [{"provider": name, "code": code} for name, code in codes.items() if code]


def plain(text: str) -> str:
    """Return a text of an address without null characters, which PostgreSQL does not accept."""
    return text.replace("\0", "")


def choices() -> dict[str, str]:
    """Return the known providers with their labels, those of this site first."""
    on = sorted(conf.get("PROVIDERS"))
    off = sorted(REGISTRY.keys() - on)
    return dict(zip(on, on, strict=True)) | {
        name: gettext("%(name)s (off)") % {"name": name} for name in off
    }


class ProviderSymbolForm(MeanwhileForm):
    """A symbol's code for one of the known providers, to which a site may add its own."""

    provider = forms.ChoiceField(
        label=_("provider"),
        error_messages={
            "invalid_choice": _("Unknown provider “%(value)s”: choose a provider from the list.")
        },
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = choices()
        kept = self.instance.provider
        if kept and kept not in names:  # shown as it is, until an operator corrects it
            names[kept] = _("%(name)s – unknown provider") % {"name": kept}
        field: Any = self.fields["provider"]
        field.choices = [("", "---------"), *names.items()]


class CodeRows(LabelledInlineRows):
    """The provider codes of a symbol, which are named by both, and compared with their sources."""

    findings = Findings()

    def clean(self) -> None:
        """Refuse what contradicts the symbol, unless the operator accepts just that."""
        super().clean()
        if any(self.errors) or not (self.instance.code and self.instance.currency):
            return  # these are corrected first
        stored: Any = Symbol.objects.filter(pk=self.instance.pk).first()

        def changed(name: str) -> bool:
            return stored is None or getattr(stored, name) != getattr(self.instance, name)

        rows = [each for each in self.forms if each not in self.deleted_forms]
        all_changed = changed("currency") or changed("kind")
        codes = {
            row.cleaned_data["provider"]: row.cleaned_data["code"]
            for row in rows
            if row.cleaned_data.get("code") and (all_changed or row.has_changed())
        }
        stays = [] if self.can_delete else [row.instance.provider for row in self.initial_forms]
        found = findings(self.instance, codes, changed)
        self.findings = found.without([f"{provider}=" for provider in stays])
        if self.findings.contradictions and self.data.get(ACCEPTED) != self.findings.seal:
            raise forms.ValidationError(
                gettext("Not saved: the top of this form shows what contradicts the symbol.")
            )

    def look_at(self, query: Mapping[str, str]) -> None:
        """Compare what the address of a new form fills in."""
        known = ("code", "kind", "exchange", "currency")
        symbol = Symbol(**{name: plain(query.get(name, "")) for name in known})
        codes = {each["provider"]: each["code"] for each in given_codes(query)}
        if symbol.code:
            self.findings = findings(symbol, codes, lambda name: True)

    def row(self, instance: ProviderSymbol) -> str:
        """Return the symbol and the provider."""
        named = {"symbol": instance.symbol, "provider": instance.provider}
        return gettext("%(symbol)s at %(provider)s") % named


class ProviderSymbolInline(admin.TabularInline):
    """The provider codes of a symbol."""

    model = ProviderSymbol
    form = ProviderSymbolForm
    formset = CodeRows
    template = "quotes/admin/tabular.html"
    extra = 1

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        """Return the number of empty rows, and of those that the address of the form fills."""
        return self.extra + (0 if obj else len(given_codes(request.GET)))

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderSymbol]:
        """Read the codes together with their symbol."""
        return super().get_queryset(request).select_related("symbol")
