"""The page that finds a new symbol by what an operator knows of it, and fills its form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.core.exceptions import PermissionDenied
from django.db.models import Case, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.text import get_text_list
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from quotes import conf, formats
from quotes.admin.codes import plain
from quotes.admin.newest import newest
from quotes.admin.previews import Preview, previews
from quotes.codes import code_of
from quotes.doctor.requests import Failed, listed_by
from quotes.doctor.requests import request as request_from
from quotes.instruments import lists, search
from quotes.instruments.lists import RefusedList, keeps_a_list
from quotes.instruments.search import Candidate, code_at
from quotes.models import InstrumentList, Symbol
from quotes.providers import REGISTRY
from quotes.shown import provider_title

PATIENCE = 20.0  # seconds for all lists
MOST_LISTED = 5  # symbols of the catalogue below the candidates
FORM, FIND = "admin:quotes_symbol_add", "admin:quotes_symbol_find"


class Offer(NamedTuple):
    """A candidate, with the address of the form that it fills."""

    candidate: Candidate
    link: str
    sources: list[tuple[str, str]]  # the title of each source, and its code
    kind: str
    price: str  # of the symbol in the catalogue, or else of a source
    path: str  # of a line of its last 30 days


class FindsSymbols(admin.ModelAdmin):
    """The admin of symbols, in which a search is used in place of an empty form."""

    def get_urls(self) -> list[Any]:
        """Add the addresses of the search and of its lists."""
        view = self.admin_site.admin_view
        return [
            path("find/", view(self.find_view), name="quotes_symbol_find"),
            path("find/lists/", view(require_POST(self.lists_view)), name="quotes_symbol_lists"),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Return the form, or lead to the search if nothing is known of the symbol yet."""
        knows = IS_POPUP_VAR in request.GET or "code" in request.GET
        if request.method == "GET" and not knows and self.has_add_permission(request):
            return HttpResponseRedirect(reverse(FIND))
        context = {} if IS_POPUP_VAR in request.GET else {"find_url": reverse(FIND)}
        return super().add_view(request, form_url, {**context, **(extra_context or {})})

    def find_view(self, request: HttpRequest) -> HttpResponse:
        """Show the candidates for what the operator typed."""
        self._may_add(request)
        text, names = request.GET.get("q", "").strip(), with_a_list()
        found, known = search.find(text, names), list(states(names))
        shown = previews(found.candidates) if request.GET.get("prices") else {}
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": gettext("Add a symbol"),
            "text": text,
            "max_length": search.MAX_LENGTH,
            "offers": [
                offer(each, shown.get(code_at(each.rows[0]), Preview()))
                for each in found.candidates
            ],
            "priced": "prices" in request.GET,
            "more": found.more,
            "listed": self._in_catalogue(request, text, found.candidates),
            "most_listed": MOST_LISTED,
            "lists": known,
            "any_read": any(state.read_at for _, state in known),
            "sources": get_text_list(list(map(provider_title, names)), gettext("and")),
            "known": get_text_list(list(map(provider_title, all_with_a_list())), gettext("and")),
            "by_hand": f"{reverse(FORM)}?{urlencode({'code': code_of(text)})}",
        }
        return TemplateResponse(request, "quotes/admin/find.html", context)

    def lists_view(self, request: HttpRequest) -> HttpResponse:
        """Read the lists of all providers of this site now."""
        self._may_add(request)
        for name, answer in request_from(with_a_list(), listed_by, PATIENCE).items():
            named = {"provider": provider_title(name)}
            try:
                if isinstance(answer, Failed):
                    raise answer
                named["count"] = number_format(lists.store(name, answer), force_grouping=True)
            except (Failed, RefusedList) as error:
                lists.failed(name, str(error))
                text = gettext("The list of %(provider)s was not read: %(error)s")
                self.message_user(request, text % {**named, "error": error}, messages.WARNING)
            else:
                text = gettext("The list of %(provider)s was read: %(count)s instruments.")
                self.message_user(request, text % named, messages.SUCCESS)
        query = urlencode({"q": text}) if (text := request.POST.get("q", "")) else ""
        return HttpResponseRedirect(f"{reverse(FIND)}?{query}")

    def _in_catalogue(
        self, request: HttpRequest, text: str, candidates: Sequence[Candidate]
    ) -> list[Symbol]:
        """Return the first symbols that the list of symbols finds, without those of candidates."""
        if not (wanted := plain(text)):
            return []
        found, _ = self.get_search_results(request, Symbol.objects.all(), wanted)
        same = Symbol.objects.filter(code=code_of(wanted))
        others = (found | same).exclude(pk__in=[e.listed.pk for e in candidates if e.listed])
        same_first = Case(When(code=code_of(wanted), then=0), default=1)
        return list(others.distinct().order_by(same_first, "code")[: MOST_LISTED + 1])

    def _may_add(self, request: HttpRequest) -> None:
        if not self.has_add_permission(request):
            raise PermissionDenied


def with_a_list() -> list[str]:
    """Return the providers of this site that have a list, in their order."""
    return [name for name in conf.get("PROVIDERS") if keeps_a_list(name)]


def all_with_a_list() -> list[str]:
    """Return all providers that have a list."""
    return [name for name in REGISTRY if keeps_a_list(name)]


def states(names: Sequence[str]) -> Iterator[tuple[str, InstrumentList]]:
    """Yield the titles of providers, each with what is known about its list."""
    known = InstrumentList.objects.in_bulk(names)
    for name in names:
        yield provider_title(name), known.get(name) or InstrumentList(provider=name)


def offer(candidate: Candidate, preview: Preview) -> Offer:
    """Return a candidate as the page shows it, with the price of a source if it is not listed."""
    price = preview.price
    if candidate.listed:
        shown = newest(candidate.listed)
        price = format_html("{} {}", shown.last, shown.unit) if shown.quote else ""
    sources = [(provider_title(row.provider), row.code) for row in candidate.rows]
    link = f"{reverse(FORM)}?{urlencode(values(candidate))}"
    return Offer(
        candidate, link, sources, str(Symbol.Kind(candidate.kind).label), price, preview.path
    )


def values(candidate: Candidate) -> dict[str, str]:
    """Return what a candidate fills into the form: fields, and codes by provider."""
    size = candidate.tick_size
    codes = {row.provider: row.code for row in candidate.rows}
    is_american = candidate.kind in ("stock", "etf") and candidate.currency == "USD"
    if is_american and "yahoo" in conf.get("PROVIDERS"):  # it has no list, and this rule
        codes["yahoo"] = candidate.symbol.replace(".", "-")
    return {
        "code": candidate.symbol,
        "name": candidate.name,
        "kind": candidate.kind,
        "exchange": candidate.exchange,
        "currency": candidate.currency,
        "tick_size": "" if size is None else formats.plain(size.normalize()),
        **codes,
    }
