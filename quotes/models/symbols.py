"""Symbols: the instruments that pages show, with the codes of their providers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import connections, models
from django.db.models.signals import pre_delete
from django.dispatch import receiver
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from quotes import kinds
from quotes.codes import MAX_CODE, code_of, comparable, validate_code, validate_text

positive = MinValueValidator(Decimal("0.000000000001"))
# SQLite keeps 15 digits: it would round a number of the largest size up to one that can't be read
no_larger_tick = MaxValueValidator(Decimal(10_000_000))
at_least_one, no_more_shares = MinValueValidator(1), MaxValueValidator(100_000)
no_larger_price = MaxValueValidator(Decimal(100_000_000_000))

WHY_OFF = ("not_found_at", "not_found", "reason")  # empty for an active symbol


class Symbol(models.Model):
    """An instrument with a price, such as a share, a currency pair or an index."""

    READ_SPLITS: ClassVar = "read_splits"  # the attribute for a list of splits that were read

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
    # given by the operator that switched it off
    reason = models.CharField(_("reason"), max_length=200, blank=True, default="", editable=False)

    class Meta:
        ordering = ("code",)
        verbose_name = _("symbol")
        verbose_name_plural = _("symbols")

    def __str__(self) -> str:
        return self.code

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **given: Any) -> None:
        """Save the symbol. If it is active, forget why it was switched off."""
        if self.forget_why_off() and update_fields is not None:
            update_fields = {*update_fields, *WHY_OFF}
        super().save(*args, update_fields=update_fields, **given)

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("quotes:symbol", args=[self.code])

    def forget_why_off(self) -> bool:
        """If it is active, forget why it was switched off; return whether something changed."""
        if not self.active or not (self.not_found_at or self.reason):
            return False
        self.not_found_at, self.not_found, self.reason = None, "", ""
        return True

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
        return [(each.day, str(each)) for each in self._splits]

    @property
    def adjustments(self) -> list[tuple[Any, ...]]:
        """All that decides how its splits change what pages show."""
        return [(s.day, s.new, s.old, s.adjusts, s.confirmed_at) for s in self._splits]

    @property
    def _splits(self) -> Iterable[Split]:
        read: Iterable[Split] | None = getattr(self, Symbol.READ_SPLITS, None)
        return self.splits.all() if read is None else read

    @cached_property
    def kind_of(self) -> kinds.Kind:
        """Everything that its kind decides."""
        return kinds.of(self.kind)


@receiver(pre_delete, sender=Symbol)
def lock_deleted_symbol(instance: Symbol, using: str, origin: Any = None, **kwargs: Any) -> None:
    """Lock a symbol that is being deleted, until the transaction ends.

    Otherwise the feed could store a quote after the symbol's quotes are deleted, and before it is
    deleted itself. Then the transaction would fail. All symbols of a query are locked with the
    first one. A database without locks of rows has one writer at a time.
    """
    if not connections[using].features.has_select_for_update or hasattr(origin, "locks_symbols"):
        return
    keys: Any = [instance.pk]
    if isinstance(origin, models.QuerySet) and origin.model is Symbol:
        origin.locks_symbols = True  # type: ignore[attr-defined]
        keys = origin.order_by().values("pk")
    rows = Symbol.objects.using(using).select_for_update().filter(pk__in=keys)
    list(rows.order_by("pk").values_list("pk", flat=True))


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
    adjusts = models.BooleanField(
        _("adjust candles"),
        default=True,
        help_text=_(
            "Once a price has confirmed the split, charts and figures show earlier prices and "
            "volumes as they would be after it. Stored candles stay as they are."
        ),
    )
    entered_at = models.DateTimeField(auto_now_add=True, null=True)
    # when the feed saw a price that is explained by it, and this price
    confirmed_at = models.DateTimeField(null=True, blank=True, editable=False)
    price = models.CharField(max_length=64, blank=True, editable=False)

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
            equal = _("Both numbers are equal. Enter those of the split, such as 4 and 1.")
            raise ValidationError({"new": equal})
