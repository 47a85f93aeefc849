"""Trades of Alpaca: which prices of the day a trade may set.

The consolidated tapes publish this for each sale condition. Tapes A and B are those of the New York
Stock Exchange and of the regional exchanges, tape C is that of Nasdaq. A trade with several
conditions may set only what all of them allow. A condition that is not in a table allows nothing.
https://docs.alpaca.markets/docs/real-time-stock-pricing-data (c and z of a trade),
https://www.ctaplan.com and https://www.utpplan.com (sale conditions)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from quotes.quote.values import utc
from quotes.sessions import is_out_of_hours


class Effect(NamedTuple):
    """Which prices of a day a trade may set."""

    first: bool  # the last price, if the day has none
    last: bool  # the last price
    range: bool  # high and low


ALL, NOT_LAST, NOTHING = (
    Effect(True, True, True),
    Effect(True, False, True),
    Effect(False, False, False),
)
BOTH_TAPES = {
    **dict.fromkeys((" ", "@", "E", "F", "K", "L", "O", "X", "5", "6", "9"), ALL),
    **dict.fromkeys(("P", "Z", "4"), NOT_LAST),  # prior reference, out of sequence, derived
}
CONDITIONS = {  # by tape; other conditions: average price, cash, next day, odd lot, contingent ...
    "A": BOTH_TAPES,
    "B": BOTH_TAPES,
    "C": BOTH_TAPES | dict.fromkeys("ABDSY1", ALL) | {"G": NOT_LAST},
}
EXTENDED = "T"  # outside regular hours; out of sequence it is U, which may set nothing
VOID = ("canceled", "incorrect")  # the update (u) of a trade in REST that no longer counts
MARKET = "XNYS"  # all stocks of Alpaca have these hours


def effect_of(trade: Mapping[str, Any]) -> Effect:
    """Return what a trade of a stock may set, by its conditions and by the hours of its market.

    A trade before or after regular hours may be the last price, but is not part of the day's range.
    """
    given = trade.get("c")
    letters = (
        {each for each in given if isinstance(each, str)} if isinstance(given, list) else set()
    )
    made = utc(trade.get("t"))
    out_of_hours = made is not None and is_out_of_hours(MARKET, "stock", made)
    if EXTENDED in letters and not out_of_hours:
        return NOTHING
    table = CONDITIONS.get(str(trade.get("z")), BOTH_TAPES)
    effects = [ALL, *(table.get(letter, NOTHING) for letter in letters - {EXTENDED})]
    first, last, high_low = (all(each) for each in zip(*effects, strict=True))
    return Effect(first, last, high_low and not out_of_hours)


def is_same(trade: Mapping[str, Any], named: Mapping[str, Any]) -> bool:
    """Return whether a trade is the one that a message names by number, exchange and price.

    The message may lack exchange and price.
    """
    number = named.get("i")
    others = (named.get(each) in (None, trade.get(each)) for each in "xp")
    return number is not None and number == trade.get("i") and all(others)


def original_of(correction: Mapping[str, Any]) -> dict[str, Any]:
    """Return number, exchange and price of the trade that a correction replaces."""
    return {name: correction.get(key) for name, key in (("i", "oi"), ("x", "x"), ("p", "op"))}


def corrected(trade: Mapping[str, Any], correction: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trade with the values of a correction. It keeps its time."""
    return {**trade, **{name: correction.get(f"c{name}") for name in "ipsc"}}
