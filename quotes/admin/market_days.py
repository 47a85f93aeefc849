"""Market days in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from quotes.admin.lists import ListAdmin
from quotes.models import MarketDay


@admin.register(MarketDay)
class MarketDayAdmin(ListAdmin):
    """Days on which a market has other hours than in the calendar."""

    empty_text = _(
        "All markets keep the hours of the calendar. Add a day on which a market is closed or has "
        "other hours."
    )
    list_display = ("day", "venue", "hours")
    list_filter = ("venue",)
    date_hierarchy = "day"
    fields = ("venue", "day", ("opens", "closes"))

    @admin.display(description=_("hours"))
    def hours(self, day: MarketDay) -> str:
        """Return its regular hours on the clock of the exchange."""
        if day.opens is None or day.closes is None:
            return gettext("closed all day")
        return f"{day.opens:%H:%M} – {day.closes:%H:%M}"
