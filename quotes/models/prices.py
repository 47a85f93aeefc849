"""Prices: the newest of each symbol, those that were held back, and overrides by operators."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from quotes.codes import validate_text
from quotes.models.symbols import Symbol, no_larger_price, positive
from quotes.quote import EARLIEST, Quote
from quotes.quote.wire import from_wire


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


class HeldPrice(models.Model):
    """A quote that the feed held back because of its price, or published without bid and ask."""

    class Outcome(models.TextChoices):
        WAITS = "waits", _("waiting for confirmation")
        CONFIRMED = "confirmed", _("confirmed")
        DROPPED = "dropped", _("dropped")
        ACCEPTED = "accepted", _("accepted by hand")
        REJECTED = "rejected", _("rejected by hand")
        SPLIT = "split", _("accepted as a split")
        NO_PRICE = "no_price", _("no price")
        CROSSED = "crossed", _("bid above ask")

    class Decision(models.TextChoices):
        ACCEPT = "accept", _("accept")
        REJECT = "reject", _("reject")

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
    # the largest change, as a fraction, that needed no confirmation
    limit = models.CharField(max_length=20, blank=True)
    split = models.CharField(max_length=15, blank=True)  # that explains it, or was expected: 4:1
    wire = models.JSONField(null=True, editable=False)  # the quote
    # what an operator decided; the feed reads it, and then the outcome follows
    decision = models.CharField(max_length=10, choices=Decision, blank=True)
    decided_by = models.CharField(max_length=150, blank=True)  # a user name
    decided_at = models.DateTimeField(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)  # of a rejection

    class Meta:
        ordering = ("-at",)
        verbose_name = _("held price")
        verbose_name_plural = _("held prices")
        constraints: ClassVar = [models.UniqueConstraint(fields=["symbol", "at"], name="held_once")]

    def __str__(self) -> str:
        return f"{self.symbol} {self.last}"

    @classmethod
    def undone(cls, now: datetime) -> models.Q:
        """Return the condition of prices that wait, or that are rejected until later than `now`."""
        rejected = models.Q(outcome=cls.Outcome.REJECTED, until__gt=now)
        return models.Q(outcome=cls.Outcome.WAITS) | rejected

    def may(self, decision: str, now: datetime) -> bool:
        """Return whether an operator can decide so: once, but a rejection can be undone."""
        if self.outcome == self.Outcome.WAITS:
            return not self.decision
        rejected = self.decision == self.Decision.REJECT and self.until and self.until > now
        return bool(rejected) and decision == self.Decision.ACCEPT


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
        _("ends"), help_text=_("From this moment on, pages show the price of the provider again.")
    )

    class Meta:
        ordering = ("-ends",)
        verbose_name = _("override")
        verbose_name_plural = _("overrides")

    def __str__(self) -> str:
        return f"{self.symbol}: {self.label or self.get_kind_display()}"

    def clean(self) -> None:
        """Raise ValidationError if its fields do not fit together, or to another override."""
        self._clean_kind()
        self._clean_times()
        if self.begins and self.ends and self.symbol_id:
            self._clean_others()

    def _clean_kind(self) -> None:
        fixed = self.kind == self.Kind.PRICE
        if fixed and self.price is None:
            raise ValidationError({"price": _("Enter the price that pages show.")})
        if not fixed and self.price is not None:
            raise ValidationError(
                {
                    "price": _(
                        "Only a fixed price has a price. Choose that kind, or empty this field."
                    )
                }
            )
        if self.kind == self.Kind.NOTE and not self.label:
            raise ValidationError({"label": _("Enter the text of the note.")})

    def _clean_times(self) -> None:
        if self.begins and self.begins < EARLIEST:
            raise ValidationError(
                {
                    "begins": ValidationError(
                        _("This is in the year %(year)s. Enter a time from the year %(first)s on."),
                        params={"year": self.begins.year, "first": EARLIEST.year},
                    )
                }
            )
        if self.begins and self.ends and self.ends <= self.begins:
            raise ValidationError({"ends": _("This time must be later than the beginning.")})

    def _clean_others(self) -> None:
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
