"""As much of protobuf as a stream needs: the fields of a flat message, by their number.

Wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import math
import struct
from decimal import Decimal

VARINT, FIXED64, SIZED, FIXED32 = 0, 1, 2, 5  # kinds of fields
LONGEST_VARINT = 10  # bytes

Field = int | bytes


def read_fields(message: bytes) -> dict[int, Field]:
    """Return the fields of a message, of each the last; raise ValueError for what is none.

    A varint comes as the number it is, everything else as its bytes. A field that is zero is not
    on the wire at all.
    """
    found: dict[int, Field] = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == VARINT:
            found[key >> 3], at = _varint(message, at)
            continue
        if kind == SIZED:
            size, at = _varint(message, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"no field is of kind {kind}")
        if at + size > len(message):
            raise ValueError("the message is cut off")
        found[key >> 3], at = message[at : at + size], at + size
    return found


def signed(field: Field | None) -> int | None:
    """Read a field of type sint32 or sint64; None where it is none."""
    return field >> 1 ^ -(field & 1) if isinstance(field, int) else None


def text(field: Field | None) -> str | None:
    """Read a field of type string; None where it is none."""
    try:
        return field.decode() if isinstance(field, bytes) else None
    except UnicodeDecodeError:
        return None


def single(field: Field | None) -> Decimal | None:
    """Read a field of type float with the digits it was made of; None where it is no number."""
    if not isinstance(field, bytes) or len(field) != 4:
        return None
    number: float = struct.unpack("<f", field)[0]
    return shortest(number) if math.isfinite(number) else None


def shortest(number: float) -> Decimal:
    """Spell a number that fits 32 bits with as few digits as lead back to the same bits."""
    for digits in range(6, 10):  # nine are always enough
        spelled = f"{number:.{digits}g}"
        if to_32_bits(float(spelled)) == number:
            break
    return Decimal(f"{Decimal(spelled):f}" if "e" in spelled else spelled)


def to_32_bits(number: float) -> float:
    """Return the nearest number that fits 32 bits, of one below 3.4e38."""
    nearest: float = struct.unpack("<f", struct.pack("<f", number))[0]
    return nearest


def _varint(message: bytes, at: int) -> tuple[int, int]:
    if (first := message[at : at + 1]) and first[0] < 128:  # most are of one byte
        return first[0], at + 1
    number = 0
    for place, byte in enumerate(message[at : at + LONGEST_VARINT]):
        number |= (byte & 127) << 7 * place
        if byte < 128:
            return number, at + place + 1
    raise ValueError("a number has no end")
