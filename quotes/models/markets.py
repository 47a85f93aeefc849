"""Market days: hours that differ from the calendar."""

from __future__ import annotations

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from quotes import sessions


def venue_choices() -> list[tuple[str, str]]:
    """Return the venues of the calendar with the names of their first exchanges."""
    named = ((venue, ", ".join(names[:3])) for venue, names in sessions.VENUES.items())
    return sorted(named, key=lambda each: each[1])


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
            raise ValidationError(
                {missing: _("Enter both times, or none if it is closed all day.")}
            )
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
