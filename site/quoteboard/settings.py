"""The site's settings, read from the environment. docs/configuration.md lists every variable."""

from __future__ import annotations

import os
from typing import Any

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

from quoteboard.environment import (
    ENV_FILE,
    ROOT,
    USES_ENV_FILE,
    choice,
    database,
    flag,
    hosts,
    limits,
    number,
    origins,
    prefix,
    provider_options,
    redis,
    refuse_unknown_variables,
    text,
    time_zone,
    words,
)
from quotes.providers import REGISTRY


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
    "quoteboard.apps.QuoteboardAdminConfig",
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
    "quoteboard.outages.Sessions",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "quoteboard.outages.AnswerOutages",
]
if not DEBUG:  # runserver serves static files by itself, and asgi.py does under other servers
    INSTALLED_APPS.append("servestatic")
    MIDDLEWARE.insert(4, "servestatic.middleware.ServeStaticMiddleware")

PREFIX = prefix()  # of all addresses
FORCE_SCRIPT_NAME = PREFIX or None
ROOT_URLCONF = "quoteboard.urls"
CSRF_FAILURE_VIEW = "quoteboard.errors.csrf_failure"
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
    DATABASES["default"]["OPTIONS"] = DATABASES["default"].get("OPTIONS", {}) | {
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
                        "health_check_interval": 5,
                    }
                    # a socket of the file system has none, and its client would refuse the option
                    | ({} if REDIS_URL.startswith("unix:") else {"socket_keepalive": True})
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
    "MAX_BODY_BYTES": 4 * 1024 * 1024,  # as nginx has it; a file with 20,000 symbols fits
    **limits(
        "QUOTES_MAX_SOCKETS",
        "QUOTES_MAX_SOCKETS_PER_ADDRESS",
        "QUOTES_MAX_SYMBOLS",
        "QUOTES_MAX_MESSAGES",
        "QUOTES_MAX_MESSAGE_BYTES",
        "QUOTES_NOT_FOUND_AFTER",
    ),
}

LANGUAGE_CODE = "en"
LANGUAGE_COOKIE_NAME = ";"  # no cookie: pages depend on Accept-Language alone, as Vary states
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [ROOT / "site" / "quoteboard" / "locale"]
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
        else "quoteboard.storage.Storage"
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
SILENCED_SYSTEM_CHECKS = ["security.W021"]  # it recommends preloading, which can't be undone soon
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
            "callback": "ext://quoteboard.outages.is_error",
        },
        "rare_refusals": {"()": "quotes.limits.rarely.RareRefusals"},
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
