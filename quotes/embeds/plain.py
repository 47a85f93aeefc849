"""A quote as text that does not move: for titles, attributes, mail and feeds."""

from __future__ import annotations

from contextlib import suppress
from html import unescape
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext

from quotes import formats
from quotes.conf import forms, renamed
from quotes.providers import REGISTRY, provider_class
from quotes.shown import Shown
from quotes.store import State

FIELDS = (
    *("last", "bid", "ask", "open", "high", "low", "reference", "value"),
    *("change", "change_percent", "arrow", "direction", "since", "volume", "currency", "unit"),
    *("clock", "datetime", "source", "simulated", "code", "name"),
)


def value(state: State, field: str, language: str) -> str:
    """Return one value of a quote as text without HTML; raise ValueError for an unknown field."""
    if field not in FIELDS:
        raise ValueError(f"Unknown field {field!r}, must be one of: {', '.join(FIELDS)}")
    if field in ("code", "name"):
        return str(getattr(state.symbol, field))
    if field == "simulated":
        return gettext("simulated") if Shown(state, language).simulated else ""
    return unescape(formats.whole(getattr(Shown(state, language), field)))


def unknown(code: str) -> str:
    """Return the text in place of a symbol that is not active."""
    if not code:
        return gettext("No symbol given")
    return gettext("Unknown symbol: %(code)s") % {"code": code}


def piece(state: State, language: str, link: str, *, text: bool) -> str:
    """Return all that a quote must state away from its site: price, change, time and source."""
    shown = Shown(state, language)
    quote = shown.quote
    provider = quote.provider if quote else ""
    context: dict[str, Any] = {name: value(state, name, language) for name in FIELDS} | {
        "quote": quote,
        # the source may stand before the delay
        "delay": ", ".join(filter(None, (shown.label, shown.asides[-1] if shown.late else ""))),
        "attribution": provider_class(provider).attribution if provider in REGISTRY else "",
        "link": link,
    }
    template = renamed.template(f"quotes/static_quote.{'txt' if text else 'html'}")
    rendered: str = template.render(context).strip()
    return rendered


def absolute(path: str, base: object, request: HttpRequest | None) -> str:
    """Return the address of a page for other sites: below `base`, or the host of the request.

    Return "" without either. Raise ValueError if `base` is not an origin of web pages.
    """
    if not base:
        return "" if request is None else request.build_absolute_uri(path)
    with suppress(ValueError):
        origin = forms.origin(str(base).removesuffix("/"))
        if origin.scheme in forms.DEFAULT_PORTS:
            return f"{origin}{path}"
    raise ValueError(f"base is {base!r}, must be an origin, for example https://site.example")
