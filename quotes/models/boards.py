"""Boards, the rules of those that fill themselves, and the places of symbols on the others."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes import kinds
from quotes.codes import validate_text
from quotes.models.symbols import Symbol

MAX_RANKED = 100  # symbols of a board with the largest rises, falls or turnovers


class Board(models.Model):
    """A page that shows symbols: a list that is arranged by hand, or those that match a rule."""

    class Filling(models.TextChoices):
        LIST = "list", _("a list that you arrange by hand")
        ALL = "all", _("all symbols that meet the conditions")
        RISES = "rises", _("the largest rises among symbols that meet the conditions")
        FALLS = "falls", _("the largest falls among symbols that meet the conditions")
        TRADED = "traded", _("the largest turnovers among symbols that meet the conditions")

    class Order(models.TextChoices):
        CODE = "code", _("by symbol")
        NAME = "name", _("by name")

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
    filling = models.CharField(_("shows"), max_length=10, choices=Filling, default=Filling.LIST)
    kinds = models.JSONField(
        _("kinds"), default=list, blank=True, help_text=_("Without one, symbols of all kinds.")
    )
    exchange = models.CharField(_("exchange"), max_length=30, blank=True)
    currency = models.CharField(
        _("currency"),
        max_length=10,
        blank=True,
        help_text=_(
            "The largest turnovers need one. A turnover is the last price times the volume."
        ),
    )
    source = models.SlugField(
        _("preferred provider"),
        max_length=20,
        blank=True,
        help_text=_(
            "The first provider of a symbol. If it fails, the symbol stays on the board with the "
            "prices of its next provider."
        ),
    )
    number = models.PositiveSmallIntegerField(
        _("number of symbols"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_RANKED)],
        help_text=_(
            "Of the largest rises, falls or turnovers: from 1 to 100. They are chosen again every "
            "10 seconds."
        ),
    )
    order = models.CharField(
        _("order"),
        max_length=10,
        choices=Order,
        default=Order.CODE,
        help_text=_(
            "Of all symbols that meet the conditions. The largest rises, falls or turnovers come "
            "first on their boards."
        ),
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

    @property
    def fills_itself(self) -> bool:
        """Whether a rule decides which symbols are on it."""
        return self.filling != self.Filling.LIST

    def last_position(self) -> int:
        """Return the position of the last symbol that was placed on it; 0 without any."""
        return self.places.aggregate(last=models.Max("position"))["last"] or 0

    def clean(self) -> None:
        """Raise ValidationError for a rule that lacks something, or has too much."""
        errors: dict[str, Any] = {}
        ranked = self.filling not in (self.Filling.LIST, self.Filling.ALL)
        if ranked and self.number is None:
            errors["number"] = _("Enter how many symbols the board shows: from 1 to 100.")
        if self.filling == self.Filling.ALL and self.number is not None:
            errors["number"] = _(
                "A board of all symbols has no number. Remove it, or choose the largest rises, "
                "falls or turnovers."
            )
        if self.filling == self.Filling.TRADED:
            if not self.currency:
                errors["currency"] = _(
                    "Choose a currency: turnovers in two currencies can't be compared."
                )
            if self.kinds and not any(kinds.of(each).has_turnover for each in self.kinds):
                errors["kinds"] = _(
                    "Only crypto, stocks and ETFs have a turnover. Choose one of them, or no kind."
                )
        if errors:
            raise ValidationError(errors)


class BoardSymbol(models.Model):
    """The position of a symbol on a board."""

    board = models.ForeignKey(
        Board,
        models.CASCADE,
        related_name="places",
        verbose_name=_("board"),
        limit_choices_to={"filling": Board.Filling.LIST},
    )
    symbol = models.ForeignKey(
        Symbol, models.CASCADE, related_name="places", verbose_name=_("symbol")
    )
    position = models.PositiveIntegerField(
        _("position"),
        default=None,
        blank=True,
        help_text=_(
            "A symbol with a lower position comes first. Without a position, it is the last one."
        ),
    )

    class Meta:
        ordering = ("position", "pk")
        verbose_name = _("place on a board")
        verbose_name_plural = _("places on boards")
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

    def save(self, *args: Any, **options: Any) -> None:
        """Save the place; without a position, it follows all others of its board."""
        if self.position is None:
            others = BoardSymbol.objects.filter(board=self.board_id)
            self.position = (others.aggregate(last=models.Max("position"))["last"] or 0) + 1
        super().save(*args, **options)
