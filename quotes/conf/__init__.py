"""The app's settings: one dict, `QUOTES`, merged over these defaults."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from quotes.conf import renamed
from quotes.kinds import KINDS

DEFAULTS: dict[str, Any] = {
    "FEED": "inline",  # "inline": the feed runs in the web process; "external": `runfeed` does
    "PROVIDERS": ["simulated"],  # in order of preference
    "PROVIDER_OPTIONS": {},  # {"coinbase": {"rest_url": "…"}}
    "PACE": 0.25,  # minimum number of seconds between two frames to one page
    "PULSE": 5.0,  # seconds between two pulses, one of NOT_LIVE_AFTER
    "PAGE_SIZE": 50,  # rows of a board on one page
    "MAX_SYMBOLS": 200,  # symbols that one socket may watch
    "MAX_SOCKETS": 10_000,  # open in one process
    "MAX_SOCKETS_PER_ADDRESS": 1_000,  # open in one process, from an address or an IPv6 /64
    "MAX_MESSAGES": 60,  # a minute from one socket; of our own pages, iframes send 12
    "MAX_MESSAGE_BYTES": 4096,  # of one message from a page
    "MAX_BODY_BYTES": None,  # of one request to any page of the site; None: any number
    "HTMX": None,  # version of the htmx that the site's own pages have, 2 or 4; None: we bring 4
    "HTMX_SCRIPTS": [],  # static files, in place of ours: htmx 4 and its extension hx-ws
    "ORIGINS": [],  # foreign origins that may open sockets: "https://partner.example"
    "EMBED_ORIGINS": [],  # origins that may frame /embed/ pages
    "METRICS_FROM": ["127.0.0.1", "::1"],  # addresses and networks that may read /metrics
    "LOOPBACK_ONLY": "",  # a reason for servers to listen on this machine only
    "DEPLOYMENT": "",  # the name of this deployment in the layer; "": one made in the database
    "CHANNEL_LAYER": "default",  # alias in CHANNEL_LAYERS
    "STALE_AFTER": {name: kind.stale_after for name, kind in KINDS.items()},  # seconds
    # by kind: the largest change from the last price that needs no confirmation, as a fraction
    "MAX_JUMP": {name: kind.max_jump for name, kind in KINDS.items()},
    "NOT_FOUND_AFTER": 5,  # answers of all its providers, after which a symbol is switched off
    # By the seconds of a candle: days to keep candles, and days to request from providers. 380 days
    # of daily ones reach the close before a year of change, also around the longest holidays.
    "RETENTION": {60: 2, 300: 10, 3600: 90, 86_400: 1830},
    "BACKFILL": {60: 0.125, 300: 1, 3600: 30, 86_400: 380},
}

# By seconds between two pulses: seconds without a pulse after which a page shows "Not live". The
# clocks are in quotes.css, because a strict CSP allows no value per page. Tests use the fast ones.
FAST = 0.5
NOT_LIVE_AFTER = {5.0: 15, FAST: 2}

# How messages name the settings: they are read in this project and in sites of others.
LAYER = "REDIS_URL in this project, CHANNEL_LAYERS in a site of your own"
PROVIDERS = "QUOTES['PROVIDERS'] (in this project, QUOTES_PROVIDERS)"


def get(name: str) -> Any:
    """Return a setting of the app; raise ImproperlyConfigured for an unknown key in QUOTES."""
    given = renamed.settings(getattr(settings, "QUOTES", {}))
    if unknown := sorted(given.keys() - DEFAULTS.keys()):
        raise ImproperlyConfigured(unknown_keys(unknown))
    default = DEFAULTS[name]
    value = given.get(name, default)
    return default | value if isinstance(value, dict) and isinstance(default, dict) else value


def not_live_after() -> int:
    """Return after how many seconds without a pulse a page shows "Not live"."""
    return NOT_LIVE_AFTER[get("PULSE")]


def layers() -> dict[str, Any]:
    """Return the channel layers of the site; a site without the setting has none."""
    return getattr(settings, "CHANNEL_LAYERS", None) or {}


def prefix() -> str:
    """Return what all addresses of the site begin with, such as /market, or ""."""
    return settings.FORCE_SCRIPT_NAME or ""


def unknown_keys(unknown: list[str]) -> str:
    """Return the error message for unknown keys of QUOTES."""
    return f"Unknown key {unknown[0]!r} in QUOTES, must be one of: {', '.join(sorted(DEFAULTS))}"
