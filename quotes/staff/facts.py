"""What the history keeps in the language of no user, in the words of its reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.text import capfirst
from django.utils.translation import gettext

from quotes.models import HeldPrice
from quotes.staff.words import as_text, list_of

Fact = dict[str, dict[str, Any]]  # one of FACTS, with what its sentence names


def from_to(change: Any) -> str:
    """Return the label of a field with its values before and after, or a fact in words."""
    if isinstance(change, dict):
        return fact_in_words(change)
    label, before, after = change
    known = {"before": as_text(before), "after": as_text(after)}
    words = gettext("%(field)s: from “%(before)s” to “%(after)s”")
    return words % {"field": capfirst(_in_own_language(label)), **known}


def _in_own_language(label: str) -> str:
    """Translate the name of a field, to which a form gave a capital letter."""
    found = gettext(label)
    return found if found != label else gettext(label[:1].lower() + label[1:])


def is_fact(part: dict[str, Any]) -> bool:
    """Return whether a part of an entry is a fact of ours, and not of Django."""
    return bool(part.keys() & FACTS.keys())


def fact_in_words(fact: Fact) -> str:
    """Return what was done."""
    [(kind, given)] = fact.items()
    return FACTS[kind](**given)


def _placed(**codes: Any) -> str:
    sentences = {
        "added": gettext("Added: %(codes)s."),
        "moved": gettext("Moved: %(codes)s."),
        "removed": gettext("Removed: %(codes)s."),
    }
    found = {kind: codes[kind] for kind in sentences if kind in codes}
    return " ".join(sentences[kind] % {"codes": list_of(*each)} for kind, each in found.items())


def _merged(source: str, target: str) -> str:
    text = gettext("“%(source)s” was merged into “%(target)s”, and its code now leads there.")
    return text % {"source": source, "target": target}


def _decided(decision: str, price: str, provider: str) -> str:
    text = gettext("“%(decision)s” for the held price %(price)s of %(provider)s.")
    label = capfirst(HeldPrice.Decision(decision).label)
    return text % {"decision": label, "price": price, "provider": provider}


FACTS: dict[str, Callable[..., str]] = {
    "placed": _placed,  # codes on a board: few of them, and their number
    "merged": _merged,
    "decided": _decided,
}
