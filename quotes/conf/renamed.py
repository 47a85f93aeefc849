"""Old names, which are accepted for one release: a rename is one line here.

The line is removed in the release after that. docs/upgrading.md states both.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from typing import Any

from django.template.loader import get_template, select_template

# old name: new name
SETTINGS: dict[str, str] = {}  # keys of QUOTES
TEMPLATES: dict[str, str] = {}  # "quotes/_old.html"; only those that `template` reads
LOGGERS: dict[str, str] = {}
METRICS: dict[str, str] = {}  # "quotes_old", without the _total of counters


def notice(what: str, old: str, new: str) -> str:
    """Return what a site is to change."""
    return f"{what} {old!r} is now {new!r}. The old name is accepted until the next release"


def settings(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return QUOTES with new names for old ones. If it has both, the new one counts."""
    old = used(given)
    for name, new in old:
        text = notice("the key of QUOTES", name, new)
        warnings.warn(text, DeprecationWarning, stacklevel=3)
    if not old:
        return given
    kept = {name: value for name, value in given.items() if name not in SETTINGS}
    return {new: given[name] for name, new in old} | kept


def used(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the old keys in QUOTES, each with its new name."""
    return [(old, new) for old, new in SETTINGS.items() if old in given]


def template(name: str) -> Any:
    """Return a template, or that of the site in its place, also if that has the old name."""
    old = [each for each, new in TEMPLATES.items() if new == name]
    return select_template([*old, name]) if old else get_template(name)


def loggers() -> None:
    """Let records of renamed loggers reach the handlers and levels of their old names."""
    for old, new in LOGGERS.items():
        logging.getLogger(new).parent = logging.getLogger(old)
