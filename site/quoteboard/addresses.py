"""The addresses of the database and of Redis, with their options.

Values that a client would refuse only at its first connection are refused here, because a process
waits for its database and its Redis without end. Errors contain no user, password or value of an
option.
"""

from __future__ import annotations

import re
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import environ

from quotes.quote.texts import one_line

PASSWORD = "in a password, %2F, %3F, %23 and %40 for / ? # @"  # noqa: S105  a hint
A_DATABASE = f"sqlite:///path or postgres://user:password@host/name; {PASSWORD}"
A_REDIS = f"redis://host:6379/0, rediss://host:6379/0 or unix:///path; {PASSWORD}"

A_FILE = "the path of a file that exists"
A_CERTIFICATE = f"system or {A_FILE}"
A_FOLDER = "the path of a folder that exists, from / on"
A_NUMBER = "a whole number"
TEXT = "a text"
Allowed = dict[str, tuple[str, ...] | str]  # by option
SESSIONS = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
POSTGRES: Allowed = {
    "application_name": TEXT,
    "channel_binding": ("disable", "prefer", "require"),
    "connect_timeout": A_NUMBER,
    "gssencmode": ("disable", "prefer", "require"),
    "host": A_FOLDER,
    "keepalives": ("0", "1"),
    "keepalives_count": A_NUMBER,
    "keepalives_idle": A_NUMBER,
    "keepalives_interval": A_NUMBER,
    "options": TEXT,
    "passfile": A_FILE,
    "sslcert": A_FILE,
    "sslkey": A_FILE,
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslrootcert": A_CERTIFICATE,
    "target_session_attrs": SESSIONS,
}
REDIS: Allowed = {"db": A_NUMBER}
REDISS: Allowed = REDIS | {
    "ssl_ca_certs": A_FILE,
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_certfile": A_FILE,
    "ssl_check_hostname": ("true", "false"),
    "ssl_keyfile": A_FILE,
}


def database(given: str) -> dict[str, Any]:
    """Read the address of a database as Django's settings have it.

    Raise ValueError, with what is allowed, for an address that can't work.
    """
    parts = split(given)
    is_sqlite = given[:10].lower() == "sqlite:///"
    is_postgres = parts.scheme in ("postgres", "postgresql") and not is_torn(parts)
    if not (is_sqlite or is_postgres) or parts.netloc.endswith((":", ":0")) or parts.fragment:
        raise ValueError(f"must be {A_DATABASE}")
    refuse_options(parts, {} if is_sqlite else POSTGRES)
    try:
        found: dict[str, Any] = environ.Env.db_url_config(given)
    except ValueError:  # the port is not a number
        raise ValueError(f"must be {A_DATABASE}") from None
    if not found["NAME"] or found["NAME"] == ":memory:":
        raise ValueError(f"the name of the database is missing, must be {A_DATABASE}")
    if is_sqlite:
        refuse_path(Path(found["NAME"]))
    else:
        found["HOST"] = socket_folder(parts) or found["HOST"]
        found.get("OPTIONS", {}).pop("host", None)
    return found


def socket_folder(parts: SplitResult) -> str:
    """Return the folder of a Unix socket, if an address has one as its host or as an option."""
    host = re.sub(r":[0-9]+$", "", unquote(parts.netloc.rpartition("@")[2]))
    return host if host.startswith("/") else dict(parse_qsl(parts.query)).get("host", "")


def redis(given: str) -> str:
    """Read the address of a Redis; raise ValueError, with what is allowed, if it can't work."""
    parts = split(given)
    if not is_redis(parts):
        raise ValueError(f"must be {A_REDIS}")
    refuse_options(parts, REDISS if parts.scheme == "rediss" else REDIS)
    return f"{parts.scheme}{given[len(parts.scheme) :]}"  # in small letters


def split(given: str) -> SplitResult:
    """Split an address; return an empty one for what is not an address."""
    try:
        return urlsplit(given)
    except ValueError:  # its cause may contain the password
        return urlsplit("")


def is_torn(parts: SplitResult) -> bool:
    """Return whether a password has a /, ? or #, so that its rest is not part of the host."""
    return "@" in parts.path + parts.query + parts.fragment


def is_redis(parts: SplitResult) -> bool:
    """Return whether an address names a Redis: a client would take a default for the rest."""
    try:
        with_port = parts.port != 0
    except ValueError:  # the port is not a number
        return False
    if parts.fragment:
        return False
    if parts.scheme == "unix":
        return len(parts.path) > 1 and not parts.hostname
    if is_torn(parts):
        return False
    is_host = re.fullmatch(r"[\w.:-]+", parts.hostname or "") is not None
    is_database = re.fullmatch(r"(/[0-9]{0,9}/?)?", parts.path) is not None
    return parts.scheme in ("redis", "rediss") and is_host and with_port and is_database


def refuse_options(parts: SplitResult, allowed: Allowed) -> None:
    """Raise ValueError for an option that the client does not know, or for its invalid value."""
    names = f"must be one of: {', '.join(allowed)}" if allowed else "must be without options"
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in allowed:
            raise ValueError(f"unknown option {one_line(repr(name))}, {names}")
        choices = allowed[name]
        if not is_allowed(name, value, choices):
            words = choices if isinstance(choices, str) else f"one of: {', '.join(choices)}"
            raise ValueError(f"invalid value of the option {name}, must be {words}")


def is_allowed(name: str, value: str, allowed: tuple[str, ...] | str) -> bool:
    """Return whether an option may have a value; raise ValueError for an unreadable file."""
    shown = f"the file of the option {name}"
    if allowed == A_CERTIFICATE and value == "system":
        return True
    if allowed in (A_FILE, A_CERTIFICATE):
        return S_ISREG(mode_of(Path(value), shown))
    if allowed == A_FOLDER:
        return value.startswith("/") and S_ISDIR(mode_of(Path(value), shown))
    if allowed == A_NUMBER:
        return re.fullmatch("[0-9]{1,9}", value) is not None
    return bool(value) if allowed == TEXT else value in allowed


def mode_of(path: Path, shown: str) -> int:
    """Return the mode of a file, or 0 if there is none; raise ValueError if it can't be read."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a name with a NUL, for example
        return 0
    except OSError as error:  # its text may contain the value of an option
        raise ValueError(f"{shown} can't be read: {error.strerror}") from None


def refuse_path(path: Path) -> None:
    """Raise ValueError for the path of a file that SQLite can't make."""
    shown, folder = one_line(str(path)), one_line(str(path.parent))
    if S_ISDIR(mode_of(path, shown)):
        raise ValueError(f"{shown} is a folder, must be the path of a file")
    if not S_ISDIR(mode_of(path.parent, f"the folder {folder}")):
        raise ValueError(f"the folder {folder} does not exist: create it, or correct the path")
