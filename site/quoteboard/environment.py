"""The environment of the site, read variable by variable.

An invalid value stops the site from starting.
"""

from __future__ import annotations

import os
import zoneinfo
from collections.abc import Callable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured
from django.http.request import split_domain_port

from quoteboard import addresses
from quotes.conf import forms
from quotes.providers import provider_class
from quotes.quote.texts import one_line

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
ENV_FILE = ROOT / ".env"
TRUE = environ.Env.BOOLEAN_TRUE_STRINGS
FALSE = ("false", "off", "n", "no", "0")
MAX_DIGITS = 9  # of a number
A_HOST = (
    "host names without a scheme, a port or a path: quotes.example, .quotes.example for all "
    "subdomains, or [::1]"
)
AN_ORIGIN = "origins, for example https://quotes.example, in small letters and without a path"

# A copy: the variables of the file must not get into the environment of child processes.
environ.Env.ENVIRON = dict(os.environ)
env = environ.Env()

# A deployment has its key in the environment. The file is for a development machine.
USES_ENV_FILE = "DJANGO_SECRET_KEY" not in os.environ and ENV_FILE.is_file()
if USES_ENV_FILE:
    env.read_env(ENV_FILE)


READ: set[str] = set()  # the names of all variables that the site reads


def text(name: str, default: str = "") -> str:
    """Read a variable of the environment, without spaces around it; fail for invalid UTF-8."""
    READ.add(name)
    given: str = env.str(name, default).strip()
    try:
        given.encode()
    except UnicodeEncodeError:
        raise ImproperlyConfigured(f"Unexpected value of {name}, must be in UTF-8") from None
    return given


def unexpected(name: str, given: str, allowed: str) -> ImproperlyConfigured:
    """Return the error for an invalid value, which a terminal can print."""
    return ImproperlyConfigured(f"Unexpected value {name}={one_line(given)}, must be {allowed}")


def unexpected_in(name: str, given: str, allowed: str) -> ImproperlyConfigured:
    """Return the error for an invalid value in a list."""
    return ImproperlyConfigured(
        f"Unexpected value {one_line(repr(given))} in {name}, must be a list of {allowed}"
    )


def flag(name: str, default: bool) -> bool:
    """Read a boolean from the environment; fail at once for anything else."""
    given = text(name)
    if given and given.lower() not in TRUE + FALSE:
        raise unexpected(name, given, f"one of: {', '.join(TRUE + FALSE)}")
    return given.lower() in TRUE if given else default


def choice(name: str, allowed: tuple[str, ...], default: str) -> str:
    """Read one of the allowed words from the environment; fail at once for anything else."""
    given = text(name, default)
    if given not in allowed:
        raise unexpected(name, given, f"one of: {', '.join(allowed)}")
    return given


def number(name: str, least: int) -> int | None:
    """Read a whole number from the environment if it is there; fail at once for anything else."""
    given = text(name)
    is_number = given.isascii() and given.isdigit() and len(given) <= MAX_DIGITS
    if given and not (is_number and int(given) >= least):
        allowed = f"a whole number, {least} or larger, of at most {MAX_DIGITS} digits"
        raise unexpected(name, given, allowed)
    return int(given) if given else None


def limits(*names: str) -> dict[str, int]:
    """Read those that are given: whole numbers above 0."""
    given = {name.removeprefix("QUOTES_"): number(name, 1) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def database() -> dict[str, Any]:
    """Read DATABASE_URL; fail at once for an address that can't work, without its password."""
    return address("DATABASE_URL", f"sqlite:///{ROOT / 'db.sqlite3'}", addresses.database)


def redis() -> str:
    """Read REDIS_URL; fail at once for an address that can't work, without its password."""
    return address("REDIS_URL", "", addresses.redis) if text("REDIS_URL") else ""


def address(name: str, default: str, read: Callable[[str], T]) -> T:
    """Read an address; fail at once with what is allowed."""
    try:
        return read(text(name) or default)
    except ValueError as error:
        words = str(error)
        separator = ", " if words.startswith("must ") else ": "
        raise ImproperlyConfigured(f"Unexpected value of {name}{separator}{words}") from None


def time_zone() -> str:
    """Read the name of a time zone; fail at once for an unknown one."""
    given = text("DJANGO_TIME_ZONE") or "UTC"
    try:
        zoneinfo.ZoneInfo(given)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise unexpected("DJANGO_TIME_ZONE", given, "a name such as Europe/Berlin") from error
    return given


def words(name: str, default: str = "") -> list[str]:
    """Read a comma-separated list from the environment."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def hosts(name: str, default: str) -> list[str]:
    """Read a list of host names; fail at once for one that Django would never match."""
    given = words(name) or default.split(",")
    for host in given:
        if host != "*" and not is_host(host.removeprefix(".")):
            raise unexpected_in(name, host, A_HOST)
    return given


def is_host(given: str) -> bool:
    """Return whether a host is written as Django reads it from requests, in any case."""
    try:
        return forms.host(given) == given.lower() == split_domain_port(given)[0]
    except ValueError:
        return False


def origins(name: str) -> list[str]:
    """Read a list of origins as Django matches them; fail at once for an invalid one."""
    return [str(origin(name, each)) for each in words(name)]


def origin(name: str, given: str) -> forms.Origin:
    """Read one origin of a list; fail at once for another scheme, a path or a capital letter."""
    with suppress(ValueError):
        found = forms.origin(given, wildcard=True)
        if found.scheme in forms.DEFAULT_PORTS:
            return found
    raise unexpected_in(name, given, AN_ORIGIN)


def prefix() -> str:
    """Read DJANGO_SCRIPT_NAME without its last slash; fail at once for another form."""
    given = text("DJANGO_SCRIPT_NAME")
    try:
        return forms.prefix(given.removesuffix("/"))
    except ValueError:
        raise unexpected("DJANGO_SCRIPT_NAME", given, "a prefix such as /market") from None


def refuse_unknown_variables() -> None:
    """Fail for an unknown variable QUOTES_…, and for DJANGO_… if its name is almost one of ours.

    Django and other programs have variables of their own that begin with DJANGO_.
    """
    for name in sorted(env.ENVIRON.keys() - READ):
        prefix = name.partition("_")[0]
        known = sorted(each for each in READ if each.startswith(f"{prefix}_"))
        near = get_close_matches(name, known, n=1, cutoff=0.85)
        if near and prefix in ("QUOTES", "DJANGO"):
            raise ImproperlyConfigured(
                f"Unknown variable {one_line(name)}, did you mean {near[0]}?"
            )
        if name.startswith("QUOTES_"):
            raise ImproperlyConfigured(
                f"Unknown variable {one_line(name)}, must be one of: {', '.join(known)}"
            )


def provider_options(name: str) -> dict[str, str]:
    """Read all options of a provider from the environment, for example <NAME>_REST_URL."""
    names = provider_class(name).option_names()
    given = {option: text(f"{name}_{option}".upper()) for option in names}
    return {option: value for option, value in given.items() if value}
