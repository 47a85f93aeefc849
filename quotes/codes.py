"""Codes and names: which texts can stand in addresses, on pages and in logs."""

from __future__ import annotations

import re
from unicodedata import bidirectional, category, normalize

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from quotes.quote.wire import MAX_WORD

MAX_CODE = MAX_WORD  # characters: a quote carries the code of its symbol
# categories of characters that end a line, control a terminal, or can't be stored: half of a pair
HIDDEN = ("Cc", "Zl", "Zp", "Cs")
INVISIBLE = (*HIDDEN, "Cf")  # the same, and those that texts may need, but no code
BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters and signs that show nothing
# marks that show nothing: they choose the form of the letter before them, or keep letters apart
SILENT = re.compile("[\u034f\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# bidirectional classes of characters that turn the text after them
TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
NOT_IN_PATHS = ("", ".", "..")  # between two slashes, browsers and proxies remove them
BEGINS_WITH_MARK = _("“%(value)s” begins with a mark that needs a letter before it.")


def code_of(text: str) -> str:
    """Return a text as the code of a symbol is written: with capital letters and single spaces.

    Equal texts have equal codes, in whichever form of Unicode they are given.
    """
    return normalize("NFC", " ".join(normalize("NFC", text).upper().split()))


def comparable(text: str) -> str:
    """Return a text in the one form in which searches compare.

    An ä may be one character or two, and Asian keyboards write wide letters.
    """
    return normalize("NFKC", text).casefold()


def shortened(code: str) -> str:
    """Return a code, or the beginning of a text that is too long for one: it is unknown."""
    return code if len(code) <= MAX_CODE else code[:MAX_CODE] + "…"


def invisible(text: str) -> str:
    """Return the first character of a text that shows nothing, or ""."""
    return next((c for c in text if category(c) in INVISIBLE or c in BLANK or SILENT.match(c)), "")


def validate_code(code: str) -> None:
    """Raise ValidationError unless a code can stand in addresses and on pages.

    Any canonical form of Unicode is valid, because it can't be seen; `Symbol` stores one of them.
    Other forms of ASCII, such as full-width letters, are not.
    """
    wanted = code_of(_ascii(code))
    if normalize("NFC", code) != wanted and "," not in wanted:
        raise ValidationError(
            _("Write “%(code)s” in place of “%(value)s”."),
            params={"value": code, "code": wanted},
        )
    if "," in wanted:
        message = _("“%(value)s” contains a comma, which separates the symbols in an address.")
    elif invisible(code) or not code.isprintable():
        message = _("“%(value)s” contains an invisible character.")
    elif _begins_with_mark(code):
        message = BEGINS_WITH_MARK
    elif any(part in NOT_IN_PATHS for part in code.split("/")):
        message = _("No part of “%(value)s” between slashes may be empty, “.” or “..”.")
    else:
        return
    raise ValidationError(message, params={"value": code})


def validate_text(text: str) -> None:
    """Raise ValidationError for a text that could forge or turn lines, or that shows nothing."""
    for character in text:
        turns = bidirectional(character) in TURNING
        if turns or category(character) in HIDDEN or character in BLANK:
            raise ValidationError(
                _(
                    "Remove the character %(character)s. Texts must not contain control "
                    "characters, characters that change the direction of text, or letters that "
                    "show nothing."
                ),
                params={"character": f"U+{ord(character):04X}"},
            )
    if _begins_with_mark(text):
        raise ValidationError(BEGINS_WITH_MARK, params={"value": text})
    if text and all(character.isspace() or invisible(character) for character in text):
        raise ValidationError(
            _("This text has only spaces and invisible characters. Add one that can be seen.")
        )


def _ascii(text: str) -> str:
    """Return a text in ASCII if it consists of other forms of ASCII characters."""
    plain = normalize("NFKC", text)
    return plain if plain.isascii() else text


def _begins_with_mark(text: str) -> bool:
    return category(text[:1] or " ").startswith("M")
