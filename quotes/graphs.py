"""The charts of symbol pages: what a visitor chooses, the table of their bars, and CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from decimal import Decimal
from io import StringIO
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.translation import gettext, gettext_noop

from quotes import formats
from quotes.boards import Listed
from quotes.charts.bars import Bar, percent_change
from quotes.charts.comparison import Comparison
from quotes.charts.drawing import MAX_SERIES
from quotes.charts.forms import FIRST, KINDS, SCALES, Form
from quotes.charts.frame import Frame
from quotes.charts.ranges import RANGES
from quotes.codes import MAX_CODE, code_of
from quotes.models import Symbol
from quotes.shown.charts import TITLES, ChartTexts

LABELS = {
    "1d": gettext_noop("1D"), "5d": gettext_noop("5D"), "1m": gettext_noop("1M"),
    "6m": gettext_noop("6M"), "ytd": gettext_noop("YTD"), "1y": gettext_noop("1Y"),
    "5y": gettext_noop("5Y"), "all": gettext_noop("All"),
}  # fmt: skip
WORDS = {
    "line": gettext_noop("Line"), "candles": gettext_noop("Candles"),
    "linear": gettext_noop("Linear"), "log": gettext_noop("Logarithmic"),
}  # fmt: skip
MAX_NEAR = 3  # symbols that a typed text may mean, and that a page names
BAR = ("open", "high", "low", "close", "volume")


class Choice:
    """The chart that a query string selects, and its errors."""

    def __init__(self, params: QueryDict, code: str, listed: Listed) -> None:
        self.code, self.listed, self.errors = code, listed, list[str]()
        self.typed = self.wrong = ""  # a text that added no symbol, and the reason
        self.near: list[str] = []  # codes that it may mean
        self.form = Form(
            self._one_of(RANGES, params.get("range", ""), gettext("range")) or FIRST,
            self._one_of(KINDS, params.get("kind", ""), gettext("kind of chart")),
            self._one_of(SCALES, params.get("scale", ""), gettext("scale")),
            self._others(",".join(params.getlist("with"))),
        )

    @property
    def codes(self) -> tuple[str, ...]:
        """The symbols of the chart."""
        return (self.code, *self.form.others)

    def add(
        self, typed: str, found: Iterable[str], near: Iterable[str] = (), *, first: bool = False
    ) -> None:
        """Add the symbol that a typed text means, or note what is wrong with the text.

        It means the only one that is `found`, or the first of these; those that are `near` may
        be meant.
        """
        found = list(found)
        others = [code for code in found if code not in self.codes]
        code = self.listed.current(code_of(typed))
        if code not in self.listed.symbols:
            code = others[0] if others and (first or len(others) == 1) else ""
            code = code or (found[0] if found and not others else "")
        self.wrong = self._wrong(code, typed)
        if self.wrong:
            self.typed = typed
            self.near = [each for each in others or near if each not in self.codes][:MAX_NEAR]
        else:
            self.form = self.form._replace(others=(*self.form.others, code))

    def _wrong(self, code: str, typed: str) -> str:
        if not code:
            return gettext("There is no symbol “%(code)s”.") % {"code": typed}
        if code in self.codes:
            return gettext("%(code)s is already in the chart.") % {"code": code}
        return self._too_many() if len(self.codes) >= MAX_SERIES else ""

    def _too_many(self) -> str:
        return gettext("At most %(n)d symbols can be compared.") % {"n": MAX_SERIES}

    def _one_of(self, known: Iterable[str], given: str, what: str) -> str:
        if given and given not in known:
            words = gettext("There is no %(what)s “%(given)s”. Choose one of: %(known)s.")
            listed = ", ".join(known)
            self.errors.append(words % {"what": what, "given": given[:MAX_CODE], "known": listed})
        return given if given in known else ""

    def _others(self, given: str) -> tuple[str, ...]:
        typed = (code for each in given.split(",") if (code := code_of(each)))
        codes = dict.fromkeys(map(self.listed.current, typed))
        codes.pop(self.code, None)
        words = gettext("There is no symbol “%(code)s”.")
        unknown = [code for code in codes if code not in self.listed.symbols]
        self.errors += [words % {"code": code[:MAX_CODE]} for code in unknown[:MAX_SERIES]]
        known = tuple(code for code in codes if code in self.listed.symbols)
        if len(known) >= MAX_SERIES:
            self.errors.append(self._too_many())
        return known[: MAX_SERIES - 1]

    def link(self, **changes: Any) -> str:
        """Return the query string with some changes, without defaults: `?range=1y`, or `?`."""
        return "?" + urlencode(self.pairs(**changes))

    def adding(self, code: str) -> str:
        """Return the query string that adds a symbol, as the form does."""
        return "?" + urlencode([*self.pairs(), ("add", code)])

    def pairs(self, **changes: Any) -> list[tuple[str, str]]:
        """Return the names and values of the query string with some changes, without defaults."""
        form = self.form._replace(**changes)
        pairs = {
            "range": "" if form.range == FIRST else form.range,
            "kind": form.kind,
            "scale": form.scale,
            "with": ",".join(form.others),
        }
        return [(name, value) for name, value in pairs.items() if value]

    def context(self, *, steep: bool = False) -> dict[str, Any]:
        """Return the links to other charts of these prices."""
        form = self.form
        scale = SCALES[form.is_logarithmic(steep=steep)]
        kind = form.kind or RANGES[form.range].kind
        return {
            "errors": self.errors,
            "ranges": [
                (gettext(label), gettext(TITLES[name]), self.link(range=name), name == form.range)
                for name, label in LABELS.items()
            ],
            "kinds": [(gettext(WORDS[k]), self.link(kind=k), k == kind) for k in KINDS],
            "scales": [(gettext(WORDS[s]), self.link(scale=s), s == scale) for s in SCALES],
            "others": [
                (code, self.link(others=tuple(c for c in form.others if c != code)))
                for code in form.others
            ],
            "more": len(form.others) < MAX_SERIES - 1,
            "typed": self.typed,
            "wrong": self.wrong,
            "query": self.link(),
            "pairs": self.pairs(),
        }


Rows = list[tuple[str, Sequence[str]]]  # a time, and its values


def table(symbol: Symbol, frame: Frame, language: str) -> Rows:
    """Return the values of the bars of a chart as rows of a table, the newest first.

    They are close, change since the bar before, volume, open, high and low.
    """
    texts = ChartTexts(language, symbol.digits_near(frame.bars[-1].close))
    rows: Rows = []
    before: Decimal | None = None
    for bar in (placed.bar for placed in frame.placed):
        change = percent_change(bar.close, before)
        values = (
            texts.price(bar.close),
            "" if change is None else formats.percent(change, language),
            "" if bar.volume is None else formats.compact(bar.volume, language),
            *map(texts.price, bar[1:4]),
        )
        when = texts.when(bar.start.astimezone(frame.drawn_zone), frame.drawn_step)
        rows.append((when, values))
        before = bar.close
    return rows[::-1]


def compared(comparison: Comparison, language: str) -> Rows:
    """Return the changes of the symbols of a comparison as rows of a table, the newest first."""
    texts = ChartTexts(language, None)
    return [
        (comparison.when(start), [*map(texts.changed, changes)])
        for start, changes in reversed(comparison.rows)
    ]


def file_name(codes: Iterable[str], form: Form) -> str:
    """Return the name of a file with the bars of a chart."""
    return "-".join([*codes, form.range]).replace("/", "-") + ".csv"


def as_csv(symbol: Symbol, bars: Iterable[Bar]) -> str:
    """Return the stored bars of a symbol as a file: times in UTC, prices with all digits."""
    rows = ([symbol.code, symbol.currency, *_plain(bar)] for bar in bars)
    return _file([("symbol", "currency", "start", *BAR), *rows])


def closes_as_csv(symbols: Sequence[Symbol], bars: Sequence[Sequence[Bar]]) -> str:
    """Return the closes of several symbols as a file, at the times of the first one."""
    names = [f"{each.code} ({each.currency})" if each.currency else each.code for each in symbols]
    closes = [{bar.start: f"{bar.close:f}" for bar in each} for each in bars]
    rows = ([start.isoformat(), *(each.get(start, "") for each in closes)] for start in closes[0])
    return _file([("start", *names), *rows])


def _plain(bar: Bar) -> list[str]:
    values = ("" if each is None else f"{each:f}" for each in bar[1:])
    return [bar.start.isoformat(), *values]


def _file(rows: Iterable[Sequence[str]]) -> str:
    file = StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()
