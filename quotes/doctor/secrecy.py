"""Secrecy: keys and passwords are never printed, although errors may contain them."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from django.conf import settings

PLACES = ("SECRET_KEY", "SECRET_KEY_FALLBACKS", "DATABASES", "CHANNEL_LAYERS", "QUOTES")
SECRET = re.compile("key|secret|token|passw|credential", re.IGNORECASE)  # names of such values
LONG = 8  # characters: a value of that length in an address's query is hidden under any name
WORD = 6  # characters: a shorter secret is only hidden if it is a word of its own


class Secrecy:
    """Hides the secrets of the settings in other texts."""

    def __init__(self, places: Mapping[str, Any] | None = None) -> None:
        if places is None:
            places = {name: getattr(settings, name, None) for name in PLACES}
        found = {each for name, value in places.items() for each in _found(name, value)}
        forms = {form for secret in found for form in _forms(secret) if form}
        patterns = [
            re.escape(form) if len(form) >= WORD else rf"(?<!\w){re.escape(form)}(?!\w)"
            for form in sorted(forms, key=len, reverse=True)
        ]
        self.pattern = re.compile("|".join(patterns) or r"(?!)")

    def public(self, text: str) -> str:
        """Return a text with … in place of each secret."""
        return self.pattern.sub("…", text)


def _found(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _found(str(key), each)
    elif isinstance(value, list | tuple | set):
        for each in value:
            yield from _found(name, each)
    elif isinstance(value, bytes):
        yield from _found(name, value.decode(errors="replace"))
    elif isinstance(value, str) and SECRET.search(name):
        yield value
    elif isinstance(value, str) and "://" in value:
        yield from _in_address(value)


def _in_address(address: str) -> Iterator[str]:
    try:
        parts = urlsplit(address)
    except ValueError:
        yield address  # any part of it may be the secret
        return
    yield parts.password or parts.username or ""
    yield b64encode(f"{parts.username}:{parts.password}".encode()).decode()  # as it is in headers
    for name, value in parse_qsl(parts.query):
        if (SECRET.search(name) or len(value) >= LONG) and "{" not in value:
            yield value


def _forms(secret: str) -> set[str]:
    # a secret as it is, without spaces around it, in addresses, in JSON, in a repr and in HTML
    plain = {secret, secret.strip(), unquote(secret)}
    written = plain | {
        form
        for each in plain
        for form in (
            quote(each, safe=""),
            quote(each),
            quote_plus(each),
            json.dumps(each)[1:-1],
            repr(each)[1:-1],
        )
    }
    return written | {escape(each) for each in written}
