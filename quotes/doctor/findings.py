"""What a check found, in words, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, field

OK, WARNING, FAILED = STATUSES = ("ok", "warning", "FAILED")  # from good to bad


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that a check found."""

    words: str
    status: str = OK  # one of STATUSES
    to_do: str = ""  # what helps, where it is not ok


@dataclass(slots=True)
class Finding:
    """All that one check found: as bad as the worst of its remarks."""

    name: str
    remarks: list[Remark] = field(default_factory=list)
    seconds: float = 0.0  # that the check took

    @property
    def status(self) -> str:
        """The worst status of all remarks."""
        return max((each.status for each in self.remarks), key=STATUSES.index, default=OK)

    def by_weight(self) -> list[Remark]:
        """Return the remarks with the worst first; of those alike, the earlier first."""
        return sorted(self.remarks, key=lambda each: -STATUSES.index(each.status))

    def say(self, words: str) -> None:
        """Remark something that is as it should be."""
        self.remarks.append(Remark(words))

    def warn(self, words: str, to_do: str = "") -> None:
        """Remark something that an operator should know, though quotes still come."""
        self.remarks.append(Remark(words, WARNING, to_do))

    def fail(self, words: str, to_do: str = "") -> None:
        """Remark something for want of which quotes do not come."""
        self.remarks.append(Remark(words, FAILED, to_do))


def span(seconds: float) -> str:
    """Word a length of time: 0.4 s, 42 s, 3 min, 5 h, 3 days."""
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.1f}".removesuffix(".0") + " s" if seconds < 10 else f"{seconds:.0f} s"


def first_line(error: BaseException) -> str:
    """Word an error on one line; drivers tell whole stories."""
    told = [line.strip() for line in str(error).splitlines() if line.strip()]
    return told[0] if told else type(error).__name__
