"""An operator's decisions about held prices: they are stored, and the feed carries them out."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db import transaction
from django.utils import timezone

from quotes.live import changes
from quotes.models import Change, HeldPrice
from quotes.models.locks import begin_to_write


@transaction.atomic
def decide(
    keys: Collection[int], decision: str, user: str
) -> tuple[list[HeldPrice], list[HeldPrice]]:
    """Store a decision about held prices; return the prices that have it now, and the others.

    The others stay as they are: they are no longer held, or have another decision.
    """
    begin_to_write()
    now = timezone.now()
    rows = HeldPrice.objects.select_for_update(of=("self",)).filter(pk__in=keys)
    found = list(rows.select_related("symbol"))
    decided = [row for row in found if row.may(decision, now)]
    for row in decided:
        row.decision, row.decided_by, row.decided_at = decision, user, now
        changes.notify([(Change.What.SYMBOL, row.symbol_id)])
    HeldPrice.objects.bulk_update(decided, ["decision", "decided_by", "decided_at"])
    return decided, [row for row in found if row not in decided]


@transaction.atomic
def delete(keys: Iterable[int]) -> None:
    """Delete held prices. The feed then ends the rejections among them."""
    begin_to_write()
    rows = HeldPrice.objects.filter(pk__in=list(keys))
    symbols = set(rows.order_by().values_list("symbol", flat=True))
    rows.delete()
    changes.notify([(Change.What.SYMBOL, key) for key in symbols])
