"""The configuration of the Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class QuotesConfig(AppConfig):
    """Live market quotes."""

    name = "quotes"
    verbose_name = _("Quotes")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks and the signals that publish changes of symbols and boards."""
        from quotes.checks import installation, settings  # noqa: F401, PLC0415
        from quotes.conf import renamed  # noqa: PLC0415
        from quotes.live import changes  # noqa: F401, PLC0415

        renamed.loggers()
