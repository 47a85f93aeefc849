"""The site's settings, read from the environment. docs/configuration.md lists every variable."""

from __future__ import annotations

import os
import re
import zoneinfo
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key
from django.http.request import split_domain_port

from quotes.conf import forms
from quotes.providers import REGISTRY, provider_class

ROOT = Path(__file__).resolve().parents[2]
ENV_FILE = ROOT / ".env"
TRUE = environ.Env.BOOLEAN_TRUE_STRINGS
FALSE = ("false", "off", "n", "no", "0")
MAX_DIGITS = 9  # of a number

# A copy: the variables of the file must not get into the environment of child processes.
environ.Env.ENVIRON = dict(os.environ)
env = environ.Env()

# A deployment has its key in the environment. The file is for a development machine.
USES_ENV_FILE = "DJANGO_SECRET_KEY" not in os.environ and ENV_FILE.is_file()
if USES_ENV_FILE:
    env.read_env(ENV_FILE)


READ: set[str] = set()  # the names of all variables that the site reads


def text(name: str, default: str = "") -> str:
    """Read a variable of the environment."""
    READ.add(name)
    given: str = env.str(name, default)
    return given


def flag(name: str, default: bool) -> bool:
    """Read a boolean from the environment; fail at once for anything else."""
    given = text(name).strip()
    if given and given.lower() not in TRUE + FALSE:
        raise ImproperlyConfigured(
            f"Unexpected value {name}={given}, must be one of: {', '.join(TRUE + FALSE)}"
        )
    return given.lower() in TRUE if given else default


def choice(name: str, allowed: tuple[str, ...], default: str) -> str:
    """Read one of the allowed words from the environment; fail at once for anything else."""
    given = text(name, default)
    if given not in allowed:
        raise ImproperlyConfigured(
            f"Unexpected value {name}={given}, must be one of: {', '.join(allowed)}"
        )
    return given


def number(name: str, least: int) -> int | None:
    """Read a whole number from the environment if it is there; fail at once for anything else."""
    given = text(name).strip()
    is_number = given.isascii() and given.isdigit() and len(given) <= MAX_DIGITS
    if given and not (is_number and int(given) >= least):
        raise ImproperlyConfigured(
            f"Unexpected value {name}={given}, must be a whole number, {least} or larger, of at "
            f"most {MAX_DIGITS} digits"
        )
    return int(given) if given else None


def limits(*names: str) -> dict[str, int]:
    """Read those of QUOTES_MAX_… that are given."""
    given = {name.removeprefix("QUOTES_"): number(name, 1) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def database() -> dict[str, Any]:
    """Read DATABASE_URL.

    Fail at once for another kind of database, with a message that does not contain the password.
    """
    given = text("DATABASE_URL") or f"sqlite:///{ROOT / 'db.sqlite3'}"
    try:
        scheme = given.partition("://")[0]
        if scheme == "sqlite" or (scheme in ("postgres", "postgresql") and not is_torn(given)):
            found: dict[str, Any] = env.db_url_config(given)
            return found
    except ValueError:  # the port is not a number
        pass
    raise ImproperlyConfigured(
        "Unexpected value of DATABASE_URL, must be sqlite:///path "
        "or postgres://user:password@host/name; in a password, %2F, %3F, %23 and %40 for / ? # @"
    )


def is_torn(url: str) -> bool:
    """Return whether a password has a /, ? or #, so that its rest is not part of the host."""
    parts = urlsplit(url)
    before_host = "@" in parts.netloc
    return "@" in parts.path + parts.fragment or ("@" in parts.query and not before_host)


def redis() -> str:
    """Read REDIS_URL; fail at once for another kind of address, without its password."""
    given = text("REDIS_URL").strip()
    scheme, separator, rest = given.partition("://")
    given = f"{scheme.lower()}{separator}{rest}"
    if not given or is_redis(given):
        return given
    raise ImproperlyConfigured(
        "Unexpected value of REDIS_URL, must be redis://host:6379/0, rediss://host:6379/0 "
        "or unix:///path; in a password, %2F, %3F, %23 and %40 for / ? # @"
    )


def is_redis(url: str) -> bool:
    """Return whether an address names a Redis: a client would take a default for the rest."""
    try:
        parts = urlsplit(url)
        with_port = parts.port != 0
    except ValueError:  # the port is not a number
        return False
    if parts.scheme == "unix":
        return len(parts.path) > 1 and not parts.hostname
    if is_torn(url):
        return False
    is_host = re.fullmatch(r"[\w.:-]+", parts.hostname or "") is not None
    is_database = re.fullmatch(r"(/[0-9]*/?)?", parts.path) is not None
    return parts.scheme in ("redis", "rediss") and is_host and with_port and is_database


def time_zone() -> str:
    """Read the name of a time zone; fail at once for an unknown one."""
    given = text("DJANGO_TIME_ZONE") or "UTC"
    try:
        zoneinfo.ZoneInfo(given)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ImproperlyConfigured(
            f"Unexpected value DJANGO_TIME_ZONE={given}, must be a name such as Europe/Berlin"
        ) from error
    return given


def words(name: str, default: str = "") -> list[str]:
    """Read a comma-separated list from the environment."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def hosts(name: str, default: str) -> list[str]:
    """Read a list of host names; fail at once for one that Django would never match."""
    given = words(name) or default.split(",")
    for host in given:
        if host != "*" and not is_host(host.removeprefix(".")):
            raise ImproperlyConfigured(
                f"Unexpected value {host!r} in {name}, must be a list of host names without a "
                "scheme, a port or a path: quotes.example, .quotes.example for all subdomains, or "
                "[::1]"
            )
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
    raise ImproperlyConfigured(
        f"Unexpected value {given!r} in {name}, must be a list of origins, for example "
        "https://quotes.example, in small letters and without a path"
    )


def prefix() -> str:
    """Read DJANGO_SCRIPT_NAME without its last slash; fail at once for another form."""
    given = text("DJANGO_SCRIPT_NAME").strip()
    try:
        return forms.prefix(given.removesuffix("/"))
    except ValueError:
        raise ImproperlyConfigured(
            f"Unexpected value DJANGO_SCRIPT_NAME={given}, must be a prefix such as /market"
        ) from None


def refuse_unknown_variables() -> None:
    """Fail for an unknown variable QUOTES_…, and for DJANGO_… if its name is almost one of ours.

    Django and other programs have variables of their own that begin with DJANGO_.
    """
    for name in sorted(env.ENVIRON.keys() - READ):
        prefix = name.partition("_")[0]
        known = sorted(each for each in READ if each.startswith(f"{prefix}_"))
        near = get_close_matches(name, known, n=1, cutoff=0.85)
        if near and prefix in ("QUOTES", "DJANGO"):
            raise ImproperlyConfigured(f"Unknown variable {name}, did you mean {near[0]}?")
        if name.startswith("QUOTES_"):
            raise ImproperlyConfigured(
                f"Unknown variable {name}, must be one of: {', '.join(known)}"
            )


def provider_options(name: str) -> dict[str, str]:
    """Read all options of a provider from the environment, for example <NAME>_REST_URL."""
    names = provider_class(name).option_names()
    given = {option: text(f"{name}_{option}".upper()) for option in names}
    return {option: value for option, value in given.items() if value}


def reason_for_loopback() -> str:
    """Return the reason why other machines may not reach the site, or ""."""
    if USES_ENV_FILE:
        return (
            f"the settings come from {ENV_FILE}, which is for this machine only: "
            "set DJANGO_SECRET_KEY and the other variables in the environment"
        )
    return "debug mode is for this machine only: set DJANGO_DEBUG=False" if DEBUG else ""


DEBUG = flag("DJANGO_DEBUG", False)
SECRET_KEY = text("DJANGO_SECRET_KEY") or (get_random_secret_key() if DEBUG else "")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "DJANGO_SECRET_KEY is empty: load the file that has it, set it to a long random text, "
        "or run “make setup” on a development machine."
    )

ALLOWED_HOSTS = hosts("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = origins("DJANGO_CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "quotes",  # before staticfiles: its runserver is daphne, which serves the sockets too
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "logins",
]

MIDDLEWARE = [
    "quoteboard.headers.add_headers",  # first, so that every answer has them
    "quoteboard.encodings.require_utf_8",
    "quotes.probes.answer_probes",  # before SecurityMiddleware, which would redirect to HTTPS
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
if not DEBUG:  # runserver serves static files by itself, and asgi.py does under other servers
    INSTALLED_APPS.append("servestatic")
    MIDDLEWARE.insert(4, "servestatic.middleware.ServeStaticMiddleware")

PREFIX = prefix()  # of all addresses
FORCE_SCRIPT_NAME = PREFIX or None
ROOT_URLCONF = "quoteboard.urls"
ASGI_APPLICATION = "quoteboard.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": database()}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 5,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    # The database of the tests is a file, because the feed writes from a thread of its own.
    DATABASES["default"]["TEST"] = {"NAME": ROOT / "var" / f"test-{os.getpid()}.sqlite3"}
else:
    # Persistent connections leak under ASGI; a pool does not.
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    # The pool tries to connect again within two seconds, and gives up a server that hangs.
    DATABASES["default"]["OPTIONS"] = {
        "pool": {"min_size": 1, "max_size": 8, "timeout": 5, "reconnect_timeout": 2},
        "connect_timeout": 5,
        "tcp_user_timeout": 10_000,  # milliseconds
        "keepalives_idle": 5,  # seconds; a server that vanished after a query is noticed too
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }
DEFAULT_EXCEPTION_REPORTER = "quotes.management.reports.Reporter"
LOGIN_REDIRECT_URL = "admin:index"
AUTHENTICATION_BACKENDS = ["logins.backend.ThrottledBackend"]
VALIDATION = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{VALIDATION}.UserAttributeSimilarityValidator"},
    {"NAME": f"{VALIDATION}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{VALIDATION}.CommonPasswordValidator"},
    {"NAME": f"{VALIDATION}.NumericPasswordValidator"},
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = redis()
if REDIS_URL:
    CHANNEL_LAYERS: dict[str, Any] = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {
                "prefix": "quotes",
                "hosts": [
                    {
                        "address": REDIS_URL,
                        "socket_connect_timeout": 2,
                        "socket_timeout": 2,
                        "socket_keepalive": True,
                        "health_check_interval": 5,
                    }
                ],
            },
        }
    }
else:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels.layers.InMemoryChannelLayer",
            "CONFIG": {"capacity": 1000},
        }
    }

QUOTES = {
    "FEED": choice("QUOTES_FEED", ("inline", "external"), "inline"),
    "PROVIDERS": words("QUOTES_PROVIDERS", "simulated"),
    "PROVIDER_OPTIONS": {name: provider_options(name) for name in REGISTRY},
    "ORIGINS": words("QUOTES_ORIGINS"),
    "EMBED_ORIGINS": words("QUOTES_EMBED_ORIGINS"),
    "METRICS_FROM": words("QUOTES_METRICS_FROM", "127.0.0.1,::1"),
    "LOOPBACK_ONLY": reason_for_loopback(),
    "DEPLOYMENT": text("QUOTES_DEPLOYMENT"),
    "MAX_BODY_BYTES": 1024 * 1024,  # as nginx has it; the form of a board with 5,000 symbols fits
    **limits(
        "QUOTES_MAX_SOCKETS",
        "QUOTES_MAX_SOCKETS_PER_ADDRESS",
        "QUOTES_MAX_SYMBOLS",
        "QUOTES_MAX_MESSAGES",
        "QUOTES_MAX_MESSAGE_BYTES",
    ),
}

LANGUAGE_CODE = "en"
LANGUAGE_COOKIE_NAME = ";"  # no cookie: pages depend on Accept-Language alone, as Vary states
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
TIME_ZONE = time_zone()
USE_TZ = True

# The form of a board has four fields for each of its symbols; Django's limit allows 250 of them.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 25_000

# Absolute: to a relative one, the client of the first request could add a prefix for all pages.
STATIC_URL = f"{PREFIX}/static/"
STATIC_ROOT = ROOT / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "servestatic.storage.CompressedManifestStaticFilesStorage"
    },
}

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "connect-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = PREFIX or "/"
SESSION_COOKIE_SAMESITE = "Lax"
hsts_seconds = number("DJANGO_HSTS_SECONDS", 0)
hsts_subdomains = flag("DJANGO_HSTS_SUBDOMAINS", not PREFIX)
hsts_preload = flag("DJANGO_HSTS_PRELOAD", False)
SILENCED_SYSTEM_CHECKS = ["security.W021"]  # recommends to preload, which can't be undone soon
if flag("DJANGO_HTTPS", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 31536000 if hsts_seconds is None else hsts_seconds
    SECURE_HSTS_INCLUDE_SUBDOMAINS = hsts_subdomains
    SECURE_HSTS_PRELOAD = hsts_preload
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "errors": {
            "()": "django.utils.log.CallbackFilter",
            "callback": "ext://quotes.probes.is_error",
        },
        "rare_refusals": {"()": "quotes.limits.RareRefusals"},
    },
    "formatters": {
        "line": {
            "()": "quotes.management.logs.LineFormatter",
            "format": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        },
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["rare_refusals"],
        },
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        # without handlers of its own: with them, each line would be written twice
        "django": {"level": "INFO"},
        # a 404 is in the line of its request
        "django.request": {"level": "ERROR", "filters": ["errors"]},
        "django.utils.autoreload": {"level": "WARNING"},
        "uvicorn.access": {"level": "INFO"},
        "quotes": {"level": "INFO"},
        # its INFO lines contain whole addresses, with the keys in the query
        "httpx": {"level": "WARNING"},
        # a traceback each second while Redis is away; quotes.live logs the outage once
        "channels_redis": {"level": "CRITICAL"},
        # two lines a second while the database is away; quotes.live logs the outage once
        "psycopg.pool": {"level": "ERROR"},
    },
}

refuse_unknown_variables()
