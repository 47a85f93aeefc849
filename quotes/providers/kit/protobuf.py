"""The part of protobuf that one stream needs: the fields of a flat message, by number.

Wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import math
import struct
from decimal import Decimal

VARINT, FIXED64, SIZED, FIXED32 = 0, 1, 2, 5  # kinds of fields
MAX_VARINT = 10  # bytes
FLOAT = struct.Struct("<f")

Field = int | bytes


def read_fields(message: bytes) -> dict[int, Field]:
    """Return the last value of each field of a message; raise ValueError if it is not valid.

    A varint is returned as a number, any other field as bytes. A field whose value is zero is
    not sent.
    """
    found: dict[int, Field] = {}
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        kind = key & 7
        if kind == VARINT:
            found[key >> 3], at = _varint(message, at)
            continue
        if kind == FIXED32:
            stop = at + 4
        elif kind == SIZED:
            size, at = _varint(message, at)
            stop = at + size
        elif kind == FIXED64:
            stop = at + 8
        else:
            raise ValueError(f"unknown kind of field: {kind}")
        if stop > end:
            raise ValueError("the message is cut off")
        found[key >> 3], at = message[at:stop], stop
    return found


def signed(field: Field | None) -> int | None:
    """Read a field of type sint32 or sint64; return None for another type."""
    return field >> 1 ^ -(field & 1) if isinstance(field, int) else None


def text(field: Field | None) -> str | None:
    """Read a field of type string; return None for another type."""
    try:
        return field.decode() if isinstance(field, bytes) else None
    except UnicodeDecodeError:
        return None


def single(field: Field | None) -> float | None:
    """Read a field of type float; return None for another type, infinity and NaN."""
    if not isinstance(field, bytes) or len(field) != 4:
        return None
    number: float = FLOAT.unpack(field)[0]
    return number if math.isfinite(number) else None


def shortest(number: float) -> Decimal:
    """Return a number of 32 bits with the fewest digits that identify it."""
    for form in ("%.6g", "%.7g", "%.8g", "%.9g"):  # nine digits are always enough
        digits = form % number
        if to_32_bits(float(digits)) == number:
            break
    return Decimal(f"{Decimal(digits):f}" if "e" in digits else digits)


def to_32_bits(number: float) -> float:
    """Return the nearest number of 32 bits; the given one must be below 3.4e38."""
    nearest: float = FLOAT.unpack(FLOAT.pack(number))[0]
    return nearest


def _varint(message: bytes, at: int) -> tuple[int, int]:
    try:
        number = message[at]
    except IndexError:
        raise ValueError("the message is cut off") from None
    at, shift = at + 1, 7
    if number < 128:  # most have one byte
        return number, at
    number &= 127
    for byte in message[at : at + MAX_VARINT - 1]:
        at += 1
        if byte < 128:
            return number | byte << shift, at
        number |= (byte & 127) << shift
        shift += 7
    raise ValueError("a number has no end")
