"""The state of the prices for operators: the feed, its providers, and symbols without a price."""

from __future__ import annotations

from collections.abc import Iterator
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
from quotes.models import FeedLease, Symbol
from quotes.shown import provider_title

WITHOUT_PRICE = {"active__exact": 1, "last_quote__isnull": True}  # filters of the list of symbols


class Verdict(NamedTuple):
    """A sentence about the state, and where an operator sees more."""

    text: str
    good: bool = True
    link: str = ""


def verdicts() -> Iterator[Verdict]:
    """Return one sentence each about the feed, its providers, and symbols without a price."""
    yield feed()
    yield from providers()
    yield prices()


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
        named = {"title": gettext(provider_title(name)), "since": written(since)}
        yield Verdict(text % named, good=False)
    if live and live.beat.heard_at and not live.store.stopped_at and not failing:
        yield Verdict(gettext("All providers work"))


def prices() -> Verdict:
    """Return a sentence about the active symbols without a price, with a link to their list."""
    active, missing = Q(active=True), Q(**WITHOUT_PRICE)
    found = Symbol.objects.aggregate(
        symbols=Count("pk", filter=active), missing=Count("pk", filter=missing)
    )
    if not found["symbols"]:
        return Verdict(gettext("No symbol is active"), good=False)
    if not found["missing"]:
        return Verdict(gettext("All symbols have a price"))
    text = ngettext("%(n)s symbol has no price", "%(n)s symbols have no price", found["missing"])
    link = reverse("admin:quotes_symbol_changelist", query=WITHOUT_PRICE)
    count = number_format(found["missing"], force_grouping=True)
    return Verdict(text % {"n": count}, good=False, link=link)


def written(at: datetime) -> str:
    """Return a time of today, or another day with the time."""
    return formats.clock_or_day(at, timezone.now())
