"""Django's error reports, as pages and as mails, without the secrets of the settings."""

from __future__ import annotations

import pprint
from typing import Any

from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

NO_SECRETS = {"PASSWORD_HASHERS", "AUTH_PASSWORD_VALIDATORS"}  # names of classes
ONE_LINE = 1_000_000  # characters: pprint breaks longer texts, and with them the secrets in them


class AllSettings(SafeExceptionReporterFilter):
    """Reads all settings as Django does, without warnings about its own deprecated ones."""

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        """Return the value as it is."""
        return value


class Reporter(ExceptionReporter):
    """Hides the keys, passwords and addresses' secrets of all settings, wherever they appear.

    In the settings of a site:  DEFAULT_EXCEPTION_REPORTER = "quotes.management.reports.Reporter"

    Django hides the values of settings and headers with certain names. This hides their text in
    local variables, in messages and under any name, too.
    """

    def __init__(self, *args: Any, **given: Any) -> None:
        from quotes.doctor.secrecy import Secrecy  # noqa: PLC0415  needs Django set up

        super().__init__(*args, **given)
        values = AllSettings().get_safe_settings()
        self.secrecy = Secrecy({name: values[name] for name in values.keys() - NO_SECRETS})

    def get_traceback_data(self) -> dict[str, Any]:
        """Return what a report shows."""
        shown = super().get_traceback_data()
        for part in ("settings", "request_meta"):
            shown[part] = {name: self._public(value) for name, value in shown[part].items()}
        return shown

    def get_traceback_frames(self) -> list[dict[str, Any]]:
        """Return the frames; hide secrets before Django cuts long values."""
        frames: list[dict[str, Any]] = super().get_traceback_frames()
        for frame in frames:
            frame["vars"] = [(name, self._public(value)) for name, value in frame.get("vars", [])]
        return frames

    def get_traceback_html(self) -> SafeString:
        """Return the report as a page."""
        return SafeString(self.secrecy.public(super().get_traceback_html()))

    def get_traceback_text(self) -> SafeString:
        """Return the report as text."""
        return SafeString(self.secrecy.public(super().get_traceback_text()))

    def _public(self, value: Any) -> Any:
        """Return a value, or its text if that has a secret in it."""
        try:
            text = pprint.pformat(value, width=ONE_LINE)
        except Exception:  # Django shows it in the same way
            return value
        public = self.secrecy.public(text)
        return value if public == text else Shown(public)


class Shown:
    """A text in place of a value."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        """Return the text without quotes."""
        return self.text
