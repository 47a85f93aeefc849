"""What the tags of one page share: the symbols so far, and what the page already has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest
from django.template import Context

from quotes.boards import load_stored
from quotes.fragments import Fragments
from quotes.live import known_to
from quotes.live.database import read_now

# The part that a tag has in its page, as a class: the notes of a further table are hidden where
# there is a first one, and those of a further price. A page of ours has its own notes and socket.
FIRST, FURTHER, OURS = "quotes-first", "quotes-further", ""


@dataclass(slots=True)
class Page:
    """A page with tags, as far as it has been rendered."""

    has_head: bool = False  # from {% quotes_head %}
    parts: dict[str, str] = field(default_factory=lambda: {"entry": FIRST, "price": FIRST})
    codes: dict[str, list[str]] = field(default_factory=lambda: {"entry": [], "price": []})
    of_database: Fragments | None = None

    def fragments(self, request: HttpRequest | None) -> Fragments:
        """Return the fragments of this process; those of the database if no live parts run."""
        if live := known_to(request):
            return live.fragments
        self.of_database = self.of_database or read_now(_read_database)
        return self.of_database


def page_of(context: Context) -> Page:
    """Return the page of a template, the same for all templates of a request."""
    # an included template may lack the request
    keeps: list[dict[Any, Any]] = [context.render_context.dicts[0]]
    if request := request_of(context):
        keeps.append(vars(request))
    page: Page = next((keep["quotes_page"] for keep in keeps if "quotes_page" in keep), Page())
    for keep in keeps:
        keep["quotes_page"] = page
    return page


def request_of(context: Context) -> HttpRequest | None:
    """Return the request, also of a site whose templates have no variable of this name."""
    request: HttpRequest | None = getattr(context, "request", None) or context.get("request")
    return request


def _read_database() -> Fragments:
    listed, store = load_stored()
    return Fragments(store, listed=lambda: listed)
