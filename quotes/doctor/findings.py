"""The findings of a check, in plain text, and the remedies for the operator."""

from __future__ import annotations

from dataclasses import dataclass, field

from quotes.quote.texts import one_line

OK, WARNING, FAILED = STATUSES = ("ok", "warning", "FAILED")  # from good to bad


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found."""

    text: str
    status: str = OK  # one of STATUSES
    to_do: str = ""  # how to correct it, unless it is ok


@dataclass(slots=True)
class Report:
    """All findings of one check."""

    name: str
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0  # the duration of the check

    @property
    def status(self) -> str:
        """The worst status of all findings."""
        return max((each.status for each in self.findings), key=STATUSES.index, default=OK)

    def worst_first(self) -> list[Finding]:
        """Return the findings with the worst first; those of equal status keep their order."""
        return sorted(self.findings, key=lambda each: -STATUSES.index(each.status))

    def ok(self, text: str) -> None:
        """Add a finding without a problem."""
        self._add(text)

    def warn(self, text: str, to_do: str = "") -> None:
        """Add a problem that an operator should know, although quotes still arrive."""
        self._add(text, WARNING, to_do)

    def fail(self, text: str, to_do: str = "") -> None:
        """Add a problem that keeps quotes from arriving."""
        self._add(text, FAILED, to_do)

    def _add(self, text: str, status: str = OK, to_do: str = "") -> None:
        self.findings.append(Finding(one_line(text), status, one_line(to_do)))


def span(seconds: float) -> str:
    """Return a length of time as text: 0.4 s, 42 s, 3 min, 5 h, 3 days."""
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.1f}".removesuffix(".0") + " s" if seconds < 10 else f"{seconds:.0f} s"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text: texts of database drivers have many lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
