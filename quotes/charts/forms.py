"""Forms: which chart of a symbol is meant, as addresses write it: `1y.candles.log`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from quotes.charts.ranges import RANGES

KINDS = ("line", "candles")
SCALES = ("linear", "log")
FIRST = "1d"  # the range that is shown first


class Form(NamedTuple):
    """The range, kind and scale of a chart, and the symbols that it is compared with."""

    range: str = FIRST  # a key of RANGES
    kind: str = ""  # one of KINDS, or "" for that of the range
    scale: str = ""  # one of SCALES, or "" for that of the prices
    others: tuple[str, ...] = ()  # codes

    @classmethod
    def read(cls, options: str, others: Iterable[str] = ()) -> Form:
        """Read what `options` wrote; words that are not known are ignored."""
        words = options.split(".")
        return cls(
            next((word for word in words if word in RANGES), FIRST),
            next((word for word in words if word in KINDS), ""),
            next((word for word in words if word in SCALES), ""),
            tuple(others),
        )

    def is_logarithmic(self, *, steep: bool) -> bool:
        """Return whether its scale is logarithmic; `steep` prices are, over all years."""
        return self.scale == "log" or (steep and not self.scale and self.range == "all")

    @property
    def options(self) -> str:
        """Range, kind and scale as one text."""
        return ".".join(filter(None, self[:3]))
