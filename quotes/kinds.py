"""The kinds of instruments: their hours, limits, prices and the base of their changes."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

ALL_DAY = "24/7"  # in place of a venue: open at any time
NO_HOURS = ""  # in place of a venue: the price is computed once a day, so it has no session
PRICED_DAILY = 5 * 86_400  # seconds: from a price before a long weekend to the one after it


class Kind(NamedTuple):
    """What all instruments of a kind have in common."""

    stale_after: int  # seconds, the default of STALE_AFTER
    max_jump: float  # as a fraction of the price, the default of MAX_JUMP
    venue: str | None = None  # with the hours of the market; None: the symbol's exchange has them
    extended: bool = True  # whether it has prices before and after regular hours
    reference: str = "prev_close"  # its change is usually measured from this price
    signed: bool = False  # whether its price may be below 0
    counts_volume: bool = True  # whether a volume of 0 is a number, not an unknown one
    # seconds from the end of trading to its last prices; None: as the venue's
    settles_in: int | None = None
    figures: int | None = None  # significant figures of a price without a tick size
    points: bool = False  # whether its price is a number of points, not of money
    has_turnover: bool = False  # whether its volume times its price is an amount of money
    fraction: int | None = None  # 256 if prices may be multiples of 1/256, as those of Treasuries

    def is_price(self, number: Decimal) -> bool:
        """Return whether a number can be a price. 0 never is: sources send it for no price."""
        return number > 0 or (self.signed and number < 0)

    def digits(self, price: Decimal) -> int | None:
        """Return the number of decimals of prices near this one; None if the kind has no rule."""
        if self.figures is None or not price:
            return None
        return max(2, self.figures - 1 - price.adjusted())

    def price(self, number: Decimal | None) -> Decimal | None:
        """Return a number if it can be a price, or None."""
        return number if number is not None and self.is_price(number) else None


# By convention, currency pairs have five significant figures, and a sixth for tenths of a pip.
KINDS = {
    "crypto": Kind(60, 0.3, venue=ALL_DAY, reference="rolling_24h", has_turnover=True),
    "stock": Kind(900, 0.3, has_turnover=True),
    "etf": Kind(900, 0.2, has_turnover=True),
    # Nasdaq publishes index values until 17:16.
    "index": Kind(900, 0.1, extended=False, counts_volume=False, settles_in=7200, points=True),
    "fund": Kind(PRICED_DAILY, 0.1, venue=NO_HOURS, extended=False, counts_volume=False),
    "bond": Kind(PRICED_DAILY, 0.1, extended=False, counts_volume=False, fraction=256),
    "currency": Kind(300, 0.05, venue="FX", extended=False, counts_volume=False, figures=6),
    "future": Kind(900, 0.2, extended=False, signed=True, fraction=256),
}


def of(name: str) -> Kind:
    """Return the kind with this name. An unknown one is treated as a stock."""
    return KINDS.get(name, KINDS["stock"])
