"""The state of the prices for operators: the feed, its providers, and what needs attention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from django.db.models import Count, Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext

from quotes import formats
from quotes.live import current
from quotes.models import FeedLease, HeldPrice, Symbol
from quotes.shown import provider_title

WITHOUT_PRICE = {"active": True, "last_quote__isnull": True}
NOT_FOUND = {"active": False, "not_found_at__isnull": False}


class Verdict(NamedTuple):
    """A sentence about the state, and where an operator sees more."""

    text: str
    good: bool = True
    link: str = ""


def verdicts() -> Iterator[Verdict]:
    """Return a sentence each about the feed, its providers, symbols, and held prices."""
    yield feed()
    yield from providers()
    yield from prices()
    yield from held()


def feed() -> Verdict:
    """Return a sentence about the feed: prices stopped in this process, one runs, or none does."""
    live = current()
    if live and (at := live.store.stopped_at):  # read once: the event loop may set it to None
        return Verdict(gettext("Prices stopped at %(at)s") % {"at": written(at)}, good=False)
    if FeedLease.objects.filter(expires_at__gt=Now()).exists():
        return Verdict(gettext("The feed runs"))
    return Verdict(gettext("No feed runs. “manage.py doctor” reports why."), good=False)


def providers() -> Iterator[Verdict]:
    """Return a sentence about each provider that fails, or one that all providers work.

    A process that does not hear the feed does not know whether all providers work.
    """
    live = current()
    failing = sorted(live.store.outages.items()) if live else []
    for name, since in failing:
        text = gettext("Prices from %(title)s unavailable since %(since)s")
        named = {"title": provider_title(name), "since": written(since)}
        yield Verdict(text % named, good=False)
    if live and live.beat.heard_at and not live.store.stopped_at and not failing:
        yield Verdict(gettext("All providers work"))


def prices() -> Iterator[Verdict]:
    """Return a sentence about the active symbols without a price, with a link to their list.

    If symbols were switched off because no provider has them, return one about these, too.
    """
    found = Symbol.objects.aggregate(
        symbols=Count("pk", filter=Q(active=True)),
        missing=Count("pk", filter=Q(**WITHOUT_PRICE)),
        lost=Count("pk", filter=Q(**NOT_FOUND)),
    )
    if not found["symbols"]:
        link = reverse("admin:quotes_symbol_changelist")
        yield Verdict(gettext("No symbol is active"), good=False, link=link)
    elif not found["missing"]:
        yield Verdict(gettext("All symbols have a price"))
    else:
        text = ngettext(
            "%(n)s symbol has no price", "%(n)s symbols have no price", found["missing"]
        )
        yield with_list(text, found["missing"], {"needs": "price"})
    if found["lost"]:
        text = ngettext(
            "%(n)s symbol was switched off, because none of its providers has it",
            "%(n)s symbols were switched off, because none of their providers has them",
            found["lost"],
        )
        yield with_list(text, found["lost"], {"not_found": 1})


def held() -> Iterator[Verdict]:
    """Return a sentence about the held prices that wait, with a link to them, if there are any."""
    waiting = HeldPrice.Outcome.WAITS
    if count := HeldPrice.objects.filter(outcome=waiting).count():
        text = ngettext(
            "%(n)s held price waits for confirmation",
            "%(n)s held prices wait for confirmation",
            count,
        )
        yield with_list(text, count, {"outcome__exact": str(waiting)}, "heldprice")


def with_list(
    text: str, count: int, filters: Mapping[str, int | str], model: str = "symbol"
) -> Verdict:
    """Return a sentence about some rows of a model, with a link to their list."""
    link = reverse(f"admin:quotes_{model}_changelist", query=filters)
    return Verdict(text % {"n": number_format(count, force_grouping=True)}, good=False, link=link)


def written(at: datetime) -> str:
    """Return a time of today, or another day with the time, and the time zone."""
    return f"{formats.clock_or_day(at, timezone.now())} {timezone.localtime(at).tzname()}"
