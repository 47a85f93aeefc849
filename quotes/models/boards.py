"""Boards, and the places of symbols on them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes.codes import validate_text
from quotes.models.symbols import Symbol


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

    def save(self, *args: Any, **options: Any) -> None:
        """Save the place; without a position, it follows all others of its board."""
        if self.position is None:
            others = BoardSymbol.objects.filter(board=self.board_id)
            self.position = (others.aggregate(last=models.Max("position"))["last"] or 0) + 1
        super().save(*args, **options)
