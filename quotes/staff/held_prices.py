"""Held prices in words: the price, why it was held back, and what became of it."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from django.utils import timezone
from django.utils.translation import get_language, gettext

from quotes import formats
from quotes.models import HeldPrice

MAX_TEXT = HeldPrice._meta.get_field("last").max_length or 0  # of the book, too


def price(held: HeldPrice) -> str:
    """Return the held price with all digits and its currency."""
    return f"{in_own_digits(held.last)} {held.currency}"


def reason(held: HeldPrice) -> str:
    """Return why it was held back, and the last price; or what was left out of it."""
    before = {"before": in_own_digits(held.before)}
    if held.outcome == HeldPrice.Outcome.CROSSED:
        whole = len(held.book) < MAX_TEXT
        book = " / ".join(map(in_own_digits, held.book.split(" / "))) if whole else held.book
        return gettext("bid above ask: %(book)s, both left out") % {"book": book}
    if held.outcome == HeldPrice.Outcome.NO_PRICE:
        return gettext("not a valid price, after %(before)s") % before
    if held.outcome == HeldPrice.Outcome.SPLIT:
        return gettext("split %(split)s, after %(before)s") % {"split": held.split, **before}
    return "; ".join(filter(None, (jump(held), other_than_split(held))))


def jump(held: HeldPrice) -> str:
    """Return that a price jumped, and further than which limit."""
    limit, before = number_of(held.limit), {"before": in_own_digits(held.before)}
    if not limit:
        return gettext("jump from %(before)s") % before
    number = in_own_digits(f"{(limit * 100).normalize():f}")
    percent = formats.notation(get_language() or "en").percent.format(number)
    words = gettext("jump of more than %(limit)s from %(before)s")
    return words % {"limit": percent, **before}


def other_than_split(held: HeldPrice) -> str:
    """Return the price that a split would give, if there is a split; else an empty text."""
    before = number_of(held.before)
    if not held.split or not before:
        return ""
    new, old = map(int, held.split.split(":"))
    price = before * old / new
    text = formats.number(price, formats.significant(price, 2), get_language() or "en")
    words = gettext("the split %(split)s would give about %(price)s")
    return words % {"split": held.split, "price": text}


def outcome(held: HeldPrice) -> str:
    """Return what became of a held price, with the decision of an operator about it."""
    words = str(held.get_outcome_display())
    if not held.decided_at:
        return words
    now = timezone.now()
    known = {
        "outcome": words,
        "decision": held.get_decision_display(),
        "who": held.decided_by,
        "at": formats.clock_or_day(held.decided_at, now),
        "until": formats.clock_or_day(held.until or now, now),
    }
    lasts = bool(held.until and held.until > now)
    match held.outcome, held.decision:
        case HeldPrice.Outcome.ACCEPTED, _any:
            text = gettext("accepted by %(who)s, %(at)s")
        case HeldPrice.Outcome.REJECTED, HeldPrice.Decision.REJECT if lasts:
            text = gettext("rejected by %(who)s until %(until)s")
        case HeldPrice.Outcome.REJECTED, _ if not lasts:
            text = gettext("rejected by %(who)s, ended %(until)s")
        case ((HeldPrice.Outcome.WAITS | HeldPrice.Outcome.REJECTED), _):
            text = gettext("%(outcome)s; “%(decision)s” by %(who)s, %(at)s, waits for the feed")
        case _:
            text = gettext("%(outcome)s; “%(decision)s” by %(who)s, %(at)s, came too late")
    return text % known


def number_of(text: str) -> Decimal | None:
    """Return a stored number; None if there is none, or if it may have been cut."""
    try:
        return Decimal(text) if len(text) < MAX_TEXT else None
    except InvalidOperation:
        return None


def in_own_digits(text: str) -> str:
    """Return a stored number in the operator's language, or a dash if there is none.

    A text of the full length stays as it is, because it may have been cut.
    """
    value = number_of(text)
    if value is None:
        return text or "–"
    exponent = value.as_tuple().exponent
    digits = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    return formats.number(value, digits, get_language() or "en")
