"""Models: symbols and boards, their newest quotes and candles, and the state of the feed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.signals import pre_delete
from django.dispatch import receiver
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import cached_property
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes import kinds, sessions
from quotes.codes import MAX_CODE, code_of, comparable, validate_code, validate_text
from quotes.fields import ExactField, SecondsField
from quotes.quote import Quote
from quotes.quote.wire import from_wire


def venue_choices() -> list[tuple[str, str]]:
    """Return the venues of the calendar with the names of their first exchanges."""
    named = ((venue, ", ".join(names[:3])) for venue, names in sessions.VENUES.items())
    return sorted(named, key=lambda each: each[1])


positive = MinValueValidator(Decimal("0.000000000001"))
# SQLite keeps 15 digits: it would round a number of the largest size up to one that can't be read
no_larger_tick = MaxValueValidator(Decimal(10_000_000))
at_least_one, no_more_shares = MinValueValidator(1), MaxValueValidator(100_000)
no_larger_price = MaxValueValidator(Decimal(100_000_000_000))


class Symbol(models.Model):
    """An instrument with a price, such as a share, a currency pair or an index."""

    class Kind(models.TextChoices):
        CRYPTO = "crypto", _("Crypto")
        STOCK = "stock", _("Stock")
        ETF = "etf", _("ETF")
        INDEX = "index", _("Index")
        FUND = "fund", _("Fund")
        BOND = "bond", _("Bond")
        CURRENCY = "currency", _("Currency pair")
        FUTURE = "future", _("Future")

    code = models.CharField(
        _("symbol"),
        max_length=MAX_CODE,
        unique=True,
        validators=[validate_code],
        help_text=_("The code in pages and addresses: BTC-USD, AAPL, ^GSPC."),
    )
    name = models.CharField(_("name"), max_length=100, validators=[validate_text])
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    exchange = models.CharField(
        _("exchange"), max_length=30, blank=True, validators=[validate_text]
    )
    currency = models.CharField(
        _("currency"),
        max_length=10,
        validators=[
            RegexValidator(
                r"^[A-Z0-9]{2,10}\Z",
                _(
                    "“%(value)s” is not a valid currency: use a code like USD, EUR or USDT, "
                    "and GBP for prices in pence."
                ),
            )
        ],
        help_text=_("The currency of the prices: USD, EUR, USDT."),
    )
    tick_size = models.DecimalField(
        _("tick size"),
        max_digits=20,
        decimal_places=12,
        null=True,
        blank=True,
        validators=[positive, no_larger_tick],
        help_text=_(
            "The smallest step of the price. It sets how many decimals are shown. "
            "If you leave this field empty, the provider's tick size is used."
        ),
    )
    start = models.DecimalField(
        _("start price"),
        max_digits=24,
        decimal_places=12,
        null=True,
        blank=True,
        validators=[positive, no_larger_price],
        help_text=_(
            "The price around which the simulated market moves. Real providers do not use it."
        ),
    )
    stale_after = models.PositiveIntegerField(
        _("stale after"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_(
            "Seconds after which the price is shown as stale while the market is open. "
            "If you leave this field empty, the setting STALE_AFTER applies."
        ),
    )
    active = models.BooleanField(
        _("active"),
        default=True,
        help_text=_(
            "If not active, the symbol disappears from all pages and its price is no longer "
            "fetched."
        ),
    )

    # when the feed switched it off, and the answers of its providers
    not_found_at = models.DateTimeField(_("not found"), null=True, blank=True, editable=False)
    not_found = models.TextField(_("reason"), blank=True, editable=False)

    class Meta:
        ordering = ("code",)
        verbose_name = _("symbol")
        verbose_name_plural = _("symbols")

    def __str__(self) -> str:
        return self.code

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **given: Any) -> None:
        """Save the symbol. If it is active, forget that its providers did not find it."""
        if self.active and self.not_found_at:
            self.not_found_at, self.not_found = None, ""
            if update_fields is not None:
                update_fields = {*update_fields, "not_found_at", "not_found"}
        super().save(*args, update_fields=update_fields, **given)

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("quotes:symbol", args=[self.code])

    def clean(self) -> None:
        """Write the code in the one form of Unicode in which it is found."""
        self.code = code_of(self.code)

    @property
    def traded_at(self) -> str:
        """The exchange that pages name: none for crypto, which is traded on many."""
        return "" if self.kind == self.Kind.CRYPTO else self.exchange

    def digits_near(self, price: Decimal) -> int | None:
        """Return the number of decimals of its prices near this one, by its tick size or its kind.

        Return None if neither decides it.
        """
        return self.kind_of.digits(price) if self.digits is None else self.digits

    @cached_property
    def digits(self) -> int | None:
        """The number of decimals of its prices, by its tick size; None if that is not known."""
        if self.tick_size is None:
            return None
        exponent = self.tick_size.normalize().as_tuple().exponent
        return max(0, -int(exponent))

    @cached_property
    def searched(self) -> str:
        """Its code, name and exchange, a line each, as searches compare them."""
        return "\n".join(map(comparable, (self.code, self.name, self.exchange)))

    @property
    def split_days(self) -> list[tuple[date, str]]:
        """The days of its splits, and each split: 4:1."""
        return [(each.day, str(each)) for each in self.splits.all()]

    @cached_property
    def kind_of(self) -> kinds.Kind:
        """Everything that its kind decides."""
        return kinds.of(self.kind)


@receiver(pre_delete, sender=Symbol)
def lock_deleted_symbol(instance: Symbol, using: str, **kwargs: Any) -> None:
    """Lock a symbol that is being deleted, until the transaction ends.

    Otherwise the feed could store a quote after the symbol's quotes are deleted, and before it is
    deleted itself. Then the transaction would fail.
    """
    Symbol.objects.using(using).select_for_update().filter(pk=instance.pk).first()


class Alias(models.Model):
    """A former code of a symbol: addresses, tags and files with it mean the symbol."""

    code = models.CharField(
        _("former code"),
        max_length=MAX_CODE,
        unique=True,
        validators=[validate_code],
        help_text=_("Addresses, tags and files with this code lead to the symbol."),
        error_messages={"unique": _("This is already a former code of a symbol.")},
    )
    symbol = models.ForeignKey(
        Symbol, models.CASCADE, related_name="aliases", verbose_name=_("symbol")
    )
    until = models.DateField(
        _("until"), null=True, blank=True, help_text=_("The first day without this code.")
    )

    class Meta:
        ordering = ("code",)
        verbose_name = _("former code")
        verbose_name_plural = _("former codes")

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        """Raise ValidationError if a symbol has this code now."""
        self.code = code_of(self.code)
        if Symbol.objects.filter(code=self.code).exists():
            taken = _(
                "“%(code)s” is the code of a symbol, so it can't lead to another one. Rename or "
                "merge that symbol first."
            )
            raise ValidationError({"code": ValidationError(taken, params={"code": self.code})})


class ProviderSymbol(models.Model):
    """The code that a provider uses for a symbol."""

    symbol = models.ForeignKey(
        Symbol, models.CASCADE, related_name="provider_symbols", verbose_name=_("symbol")
    )
    provider = models.SlugField(_("provider"), max_length=20, help_text=_("coinbase, kraken, …"))
    code = models.CharField(
        _("code"),
        max_length=MAX_CODE,
        validators=[validate_text],
        help_text=_("The provider's name for the symbol: XXBTZUSD."),
    )
    position = models.PositiveSmallIntegerField(
        _("position"),
        null=True,
        blank=True,
        help_text=_(
            "The provider with position 1 is used first for this symbol. If it fails, the "
            "provider with position 2 is used. Providers without a position follow, in the order "
            "of QUOTES_PROVIDERS."
        ),
    )

    class Meta:
        ordering = ("symbol", "provider")
        verbose_name = _("provider code")
        verbose_name_plural = _("provider codes")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["symbol", "provider"],
                name="one_code_per_symbol_and_provider",
                violation_error_message=_("This symbol already has a code for that provider."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.code}"


class Split(models.Model):
    """A split of a share: from a day on, some new shares are what fewer or more were before."""

    symbol = models.ForeignKey(
        Symbol, models.CASCADE, related_name="splits", verbose_name=_("symbol")
    )
    day = models.DateField(
        _("day"), help_text=_("The first day on which new shares are traded, at the exchange.")
    )
    new = models.PositiveIntegerField(
        _("new shares"),
        validators=[at_least_one, no_more_shares],
        help_text=_("4 if one share became four; 1 if ten shares became one."),
    )
    old = models.PositiveIntegerField(
        _("old shares"),
        default=1,
        validators=[at_least_one, no_more_shares],
        help_text=_("1 if one share became four; 10 if ten shares became one."),
    )

    class Meta:
        ordering = ("day",)
        verbose_name = _("split")
        verbose_name_plural = _("splits")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["symbol", "day"],
                name="one_split_a_day",
                violation_error_message=_("This symbol already has a split on that day."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.new}:{self.old}"

    def clean(self) -> None:
        """Raise ValidationError for a split that leaves the number of shares as it was."""
        if self.new and self.new == self.old:
            equal = _("Both numbers are equal. Give those of the split, such as 4 and 1.")
            raise ValidationError({"new": equal})


class Board(models.Model):
    """A page that shows symbols in its own order."""

    slug = models.SlugField(
        _("slug"),
        max_length=50,
        unique=True,
        help_text=_("Part of the address, as in /boards/crypto/."),
    )
    title = models.CharField(_("title"), max_length=100, validators=[validate_text])
    position = models.PositiveIntegerField(
        _("position"), default=0, help_text=_("Boards are sorted by position, then by title.")
    )
    symbols = models.ManyToManyField(
        Symbol, through="BoardSymbol", related_name="boards", verbose_name=_("symbols")
    )

    class Meta:
        ordering = ("position", "title")
        verbose_name = _("board")
        verbose_name_plural = _("boards")

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("quotes:board", args=[self.slug])


class BoardSymbol(models.Model):
    """The position of a symbol on a board."""

    board = models.ForeignKey(Board, models.CASCADE, related_name="places", verbose_name=_("board"))
    symbol = models.ForeignKey(
        Symbol, models.CASCADE, related_name="places", verbose_name=_("symbol")
    )
    position = models.PositiveIntegerField(_("position"), default=0)

    class Meta:
        ordering = ("position", "pk")
        verbose_name = _("symbol on the board")
        verbose_name_plural = _("symbols on the board")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["board", "symbol"],
                name="once_on_a_board",
                violation_error_message=_("This symbol is already on the board."),
            )
        ]

    def __str__(self) -> str:
        placed = {"symbol": self.symbol, "board": self.board}
        return gettext("%(symbol)s on %(board)s") % placed


class LastQuote(models.Model):
    """The newest quote of a symbol that the feed stored.

    It is stored in its wire format (`quotes.quote.wire`), because SQLite's decimals lose digits.
    """

    symbol = models.OneToOneField(
        Symbol, models.CASCADE, primary_key=True, related_name="last_quote"
    )
    epoch = models.PositiveBigIntegerField()  # number of the feed's run
    batch = models.PositiveBigIntegerField()  # number of the batch in that run
    wire = models.JSONField()

    class Meta:
        verbose_name = _("last quote")
        verbose_name_plural = _("last quotes")

    def __str__(self) -> str:
        return str(self.quote.last)

    @property
    def quote(self) -> Quote:
        """The stored quote."""
        return from_wire(self.wire)


class Override(models.Model):
    """What pages show of a symbol for some time in place of its price, or beside it."""

    class Kind(models.TextChoices):
        PRICE = "price", _("fixed price")
        HALTED = "halted", _("halted")
        NOTE = "note", _("note")

    symbol = models.ForeignKey(
        Symbol, models.CASCADE, related_name="overrides", verbose_name=_("symbol")
    )
    kind = models.CharField(
        _("kind"),
        max_length=10,
        choices=Kind,
        help_text=_(
            "A fixed price is shown in place of the price. “Halted” and a note leave the price as "
            "it is."
        ),
    )
    price = models.DecimalField(
        _("price"),
        max_digits=24,
        decimal_places=12,
        null=True,
        blank=True,
        validators=[positive, no_larger_price],
        help_text=_("The fixed price, in the currency of the symbol."),
    )
    label = models.CharField(
        _("label"),
        max_length=30,
        blank=True,
        validators=[validate_text],
        help_text=_("Pages show this text beside the price: “Takeover at 54.20”."),
    )
    begins = models.DateTimeField(_("begins"), default=timezone.now)
    ends = models.DateTimeField(
        _("ends"), help_text=_("From this moment on, pages show the price of the source again.")
    )

    class Meta:
        ordering = ("-ends",)
        verbose_name = _("override")
        verbose_name_plural = _("overrides")

    def __str__(self) -> str:
        return f"{self.symbol}: {self.label or self.get_kind_display()}"

    def clean(self) -> None:
        """Raise ValidationError if its fields do not fit together, or to another override."""
        fixed = self.kind == self.Kind.PRICE
        if fixed and self.price is None:
            raise ValidationError({"price": _("Give the price that pages show.")})
        if not fixed and self.price is not None:
            raise ValidationError(
                {"price": _("Only a fixed price has a price. Choose that kind, or empty this.")}
            )
        if self.kind == self.Kind.NOTE and not self.label:
            raise ValidationError({"label": _("Give the text of the note.")})
        if not (self.begins and self.ends and self.symbol_id):
            return
        if self.ends <= self.begins:
            raise ValidationError({"ends": _("This time must be later than the beginning.")})
        others = Override.objects.filter(
            symbol=self.symbol, begins__lt=self.ends, ends__gt=self.begins
        )
        if other := others.exclude(pk=self.pk).first():
            message = _(
                "The symbol already has an override in this time, from %(begins)s to %(ends)s. "
                "Change or end that one first."
            )
            times = (timezone.localtime(each) for each in (other.begins, other.ends))
            begins, ends = (date_format(each, "DATETIME_FORMAT") for each in times)
            raise ValidationError(message, params={"begins": begins, "ends": ends})

    @classmethod
    def by_code(cls) -> dict[str, list[Override]]:
        """Return the overrides that have not ended, by the codes of their symbols."""
        found: dict[str, list[Override]] = {}
        for each in cls.objects.filter(ends__gt=timezone.now()).select_related("symbol"):
            found.setdefault(each.symbol.code, []).append(each)
        return found


class MarketDay(models.Model):
    """A day on which a market has other hours than in the calendar of the release."""

    venue = models.CharField(_("exchange"), max_length=10, choices=venue_choices)
    day = models.DateField(_("day"), help_text=_("The date at the exchange."))
    opens = models.TimeField(
        _("opens"),
        null=True,
        blank=True,
        help_text=_(
            "On the clock of the exchange. If you leave both times empty, it is closed all day."
        ),
    )
    closes = models.TimeField(_("closes"), null=True, blank=True)

    class Meta:
        ordering = ("day", "venue")
        verbose_name = _("market day")
        verbose_name_plural = _("market days")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["venue", "day"], name="one_market_day")
        ]

    def __str__(self) -> str:
        return f"{self.get_venue_display()}, {self.day}"

    def clean(self) -> None:
        """Raise ValidationError for hours that are not those of a day, or an unknown year."""
        if (self.opens is None) != (self.closes is None):
            missing = "opens" if self.opens is None else "closes"
            raise ValidationError({missing: _("Give both times, or none if it is closed all day.")})
        if self.opens and self.closes and self.opens >= self.closes:
            raise ValidationError({"closes": _("This time must be later than the opening.")})
        if self.day and self.venue in sessions.VENUES:
            first, last = sessions.years(self.venue)
            if not first <= self.day.year <= last:
                raise ValidationError(
                    {
                        "day": _("The calendar knows this exchange from %(first)d to %(last)d.")
                        % {"first": first, "last": last}
                    }
                )

    @classmethod
    def corrections(cls) -> sessions.Corrections:
        """Return the hours of all these days for `sessions.correct`."""
        return {
            (each.venue, each.day): (each.opens, each.closes)
            if each.opens and each.closes
            else None
            for each in cls.objects.all()
        }


class FeedLease(models.Model):
    """The one row that names the process that runs the feed, and the epoch of that feed."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    epoch = models.PositiveBigIntegerField(default=0)
    holder = models.CharField(max_length=100, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    batch = models.PositiveBigIntegerField(default=0)  # the newest batch with stored quotes
    deployment = models.CharField(max_length=64, blank=True, default="")
    # of symbols and boards so far
    changes = models.PositiveBigIntegerField(default=0, db_column="listings")

    class Meta:
        verbose_name = _("feed lease")
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(id=1), name="one_feed_lease")
        ]

    def __str__(self) -> str:
        return f"epoch {self.epoch}, {self.holder or 'no holder'}"


class Change(models.Model):
    """Something that changed, for processes that read only what did.

    `FeedLease.changes` counts the changes. A number without a row means that much changed.
    """

    class What(models.TextChoices):
        SYMBOL = "symbol"
        BOARD = "board"
        HOURS = "hours"  # of markets

    number = models.PositiveBigIntegerField(db_index=True)
    what = models.CharField(max_length=6, choices=What)
    key = models.BigIntegerField()  # of the symbol or board; 0 for hours

    class Meta:
        verbose_name = _("change")

    def __str__(self) -> str:
        return f"{self.number}: {self.what} {self.key}"


class HeldPrice(models.Model):
    """A quote that the feed held back because of its price, or published without bid and ask."""

    class Outcome(models.TextChoices):
        WAITS = "waits", _("waiting for confirmation")
        CONFIRMED = "confirmed", _("confirmed")
        DROPPED = "dropped", _("dropped")
        NO_PRICE = "no_price", _("no price")
        CROSSED = "crossed", _("bid above ask")

    symbol = models.ForeignKey(
        Symbol, models.CASCADE, related_name="held_prices", verbose_name=_("symbol")
    )
    at = models.DateTimeField(_("time"))  # when it was received, UTC
    provider = models.SlugField(_("provider"), max_length=20)
    last = models.CharField(_("price"), max_length=64)  # every digit, as text
    before = models.CharField(_("previous price"), max_length=64, blank=True)
    book = models.CharField(_("bid / ask"), max_length=64, blank=True)  # if they were left out
    currency = models.CharField(_("currency"), max_length=10)
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome)

    class Meta:
        ordering = ("-at",)
        verbose_name = _("held price")
        verbose_name_plural = _("held prices")
        constraints: ClassVar = [models.UniqueConstraint(fields=["symbol", "at"], name="held_once")]

    def __str__(self) -> str:
        return f"{self.symbol} {self.last}"


class ProviderUse(models.Model):
    """The number of requests that a provider got in a month, kept for the time after a restart."""

    provider = models.SlugField(primary_key=True, max_length=20)
    month = models.CharField(max_length=7)  # "2026-11", UTC
    requests = models.PositiveBigIntegerField()

    class Meta:
        verbose_name = _("provider usage")

    def __str__(self) -> str:
        return f"{self.provider} {self.month}: {self.requests}"


def with_its_symbol(collector: Any, field: Any, rows: Any, using: str) -> None:
    """Delete rows with their symbol in one statement.

    With CASCADE the admin would read thousands of candles and list each of them.
    """
    collector.fast_deletes.append(rows)


with_its_symbol.lazy_sub_objs = True  # type: ignore[attr-defined]  # without it Django reads them


class Candle(models.Model):
    """Open, high, low, close and volume of a period.

    Only `quotes.candles.archive` writes candles.
    """

    pk = models.CompositePrimaryKey("symbol", "step", "start")
    symbol = models.ForeignKey(
        Symbol, with_its_symbol, related_name="candles", db_index=False, verbose_name=_("symbol")
    )
    step = models.PositiveIntegerField()  # seconds
    start = SecondsField()  # UTC; for a day, 00:00 UTC of its date at the exchange
    opened = models.BigIntegerField()  # time of its first quote, in microseconds after start
    open = ExactField()
    high = ExactField()
    low = ExactField()
    close = ExactField()
    closed = models.BigIntegerField()  # time of its last quote, in microseconds after start
    volume = ExactField(null=True)  # units of the base, or shares; None if it is not known
    counter = ExactField(null=True)  # the session's volume so far, as its provider counts it
    provider = models.CharField(max_length=20)  # its close is from this provider
    mixed = models.BooleanField(default=False)  # whether it contains quotes of other providers
    epoch = models.PositiveBigIntegerField()  # number of the feed's run

    class Meta:
        verbose_name = _("candle")
        verbose_name_plural = _("candles")

    def __str__(self) -> str:
        return f"{self.step} s from {self.start:%Y-%m-%d %H:%M}: {self.close}"


class CandleSpan(models.Model):
    """The period for which all available candles of a symbol and step are stored."""

    pk = models.CompositePrimaryKey("symbol", "step")
    symbol = models.ForeignKey(Symbol, with_its_symbol, related_name="candle_spans", db_index=False)
    step = models.PositiveIntegerField()  # seconds
    since = SecondsField()  # UTC
    until = SecondsField()  # UTC

    class Meta:
        verbose_name = _("candle span")

    def __str__(self) -> str:
        return f"{self.step} s: {self.since} to {self.until}"


class InstrumentList(models.Model):
    """What is known about the list of a provider: when it was read, or why it was not."""

    provider = models.CharField(primary_key=True, max_length=20)
    read_at = models.DateTimeField(null=True)  # UTC; the stored instruments are of that time
    tried_at = models.DateTimeField(null=True)  # UTC
    count = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=500, blank=True)  # of the last try

    class Meta:
        verbose_name = _("list of instruments")

    def __str__(self) -> str:
        return f"{self.provider}: {self.count}"


class Instrument(models.Model):
    """A row of a provider's list: what an operator may add as a symbol.

    Only `quotes.instruments.lists` writes instruments.
    """

    provider = models.CharField(max_length=20)
    code = models.CharField(max_length=MAX_CODE)
    symbol = models.CharField(max_length=MAX_CODE)  # as we would call it
    name = models.CharField(max_length=100, blank=True)
    kind = models.CharField(max_length=10)
    exchange = models.CharField(max_length=30, blank=True)
    currency = models.CharField(max_length=10)
    tick_size = ExactField(null=True)
    base = models.CharField(max_length=MAX_CODE, blank=True)  # of a pair: what is priced
    isin = models.CharField(max_length=12, blank=True)

    class Meta:
        verbose_name = _("instrument")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "code"], name="one_row_per_code")
        ]
        indexes: ClassVar = [models.Index(fields=["symbol"], name="instruments_of_symbol")]

    def __str__(self) -> str:
        return f"{self.provider}:{self.code}"


class InstrumentTerm(models.Model):
    """A text under which an instrument is found, or the beginning of which is enough."""

    # bytes have the same order in every database; the order of texts depends on its collation
    term = models.BinaryField(max_length=48)
    weight = models.PositiveSmallIntegerField()  # 0: a code, 1: the first word of a name, 2: others
    instrument = models.ForeignKey(Instrument, with_its_symbol, related_name="terms")

    class Meta:
        verbose_name = _("search term")
        indexes: ClassVar = [models.Index(fields=["term", "weight"], name="terms_by_weight")]

    def __str__(self) -> str:
        return bytes(self.term).decode(errors="replace")  # it may be cut
