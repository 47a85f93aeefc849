"""The state of the prices for operators: the feed, its sources, and symbols without a price."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.db.models import Count
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from quotes import formats
from quotes.live import current
from quotes.models import FeedLease, Symbol
from quotes.shown import provider_title

WITHOUT_PRICE = "?active__exact=1&last_quote__isnull=True"


class Remark(NamedTuple):
    """A sentence about the state, and where an operator sees more."""

    text: str
    good: bool = True
    link: str = ""


def remarks() -> Iterator[Remark]:
    """Return one sentence each about the feed, its sources, and symbols without a price."""
    yield feed()
    yield from sources()
    yield prices()


def feed() -> Remark:
    """Return whether this process hears the feed, or whether one runs at all."""
    live = current()
    if live and (at := live.store.stopped_at):  # read once: the event loop may set it to None
        return Remark(gettext("Prices stopped at %(at)s") % {"at": written(at)}, good=False)
    if FeedLease.objects.filter(expires_at__gt=Now()).exists():
        return Remark(gettext("The feed runs"))
    return Remark(gettext("No feed runs: “manage.py doctor” reports why"), good=False)


def sources() -> Iterator[Remark]:
    """Return the sources that fail, or that none does.

    A process that does not hear the feed does not know whether all sources work.
    """
    live = current()
    failing = sorted(live.store.outages.items()) if live else []
    for name, since in failing:
        text = gettext("Prices from %(title)s unavailable since %(since)s")
        named = {"title": gettext(provider_title(name)), "since": written(since)}
        yield Remark(text % named, good=False)
    if live and live.beat.heard_at and not live.store.stopped_at and not failing:
        yield Remark(gettext("All sources work"))


def prices() -> Remark:
    """Return how many active symbols have no price, with the list of them."""
    active = Symbol.objects.filter(active=True)
    found = active.aggregate(symbols=Count("pk"), priced=Count("last_quote"))
    missing = found["symbols"] - found["priced"]
    if not found["symbols"]:
        return Remark(gettext("No symbol is active"), good=False)
    if not missing:
        return Remark(gettext("All symbols have a price"))
    text = ngettext("%(n)d symbol has no price", "%(n)d symbols have no price", missing)
    link = reverse("admin:quotes_symbol_changelist") + WITHOUT_PRICE
    return Remark(text % {"n": missing}, good=False, link=link)


def written(at: datetime) -> str:
    """Return a time of today, or another day with the time."""
    return formats.clock_or_day(at, timezone.now())
