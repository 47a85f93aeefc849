"""Codes and names: which texts can stand in addresses, on pages and in logs."""

from __future__ import annotations

from unicodedata import bidirectional, category, normalize

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

MAX_CODE = 60  # characters
HIDDEN = ("Cc", "Zl", "Zp")  # categories of characters that end a line or control a terminal
# bidirectional classes of characters that turn the text after them
TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
NOT_IN_PATHS = ("", ".", "..")  # between two slashes, browsers and proxies remove them


def code_of(text: str) -> str:
    """Return a text as the code of a symbol is written: with capital letters and single spaces.

    Equal texts have equal codes, in whichever form of Unicode they are given.
    """
    return normalize("NFC", " ".join(normalize("NFC", text).upper().split()))


def validate_code(code: str) -> None:
    """Raise ValidationError unless a code can stand in addresses and on pages.

    Any form of Unicode is valid, because it can't be seen; `Symbol` stores one of them.
    """
    if normalize("NFC", code) != code_of(code) and "," not in code:
        raise ValidationError(
            _("Write “%(code)s” in place of “%(value)s”."),
            params={"value": code, "code": code_of(code)},
        )
    if "," in code:
        message = _("“%(value)s” contains a comma, which separates the symbols in an address.")
    elif not code.isprintable():
        message = _("“%(value)s” contains an invisible character.")
    elif any(part in NOT_IN_PATHS for part in code.split("/")):
        message = _("Each part of “%(value)s” between slashes must have more than dots.")
    else:
        return
    raise ValidationError(message, params={"value": code})


def validate_text(text: str) -> None:
    """Raise ValidationError for a text that could forge lines, or turn the text after it."""
    for character in text:
        if category(character) in HIDDEN or bidirectional(character) in TURNING:
            raise ValidationError(
                _(
                    "Remove the character %(character)s. Texts must not contain control characters "
                    "or characters that change the direction of text."
                ),
                params={"character": f"U+{ord(character):04X}"},
            )
