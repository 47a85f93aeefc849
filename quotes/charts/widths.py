"""How wide a text is at most, in any of the fonts that a chart may have.

The bounds are above the glyphs of Inter, Helvetica, Arial, Roboto and DejaVu Sans, which is the
widest font that a page falls back to.
"""

from __future__ import annotations

from collections.abc import Sequence

BOUNDS = {
    34: "ijlI.,:;'’· \u00a0\u202f",
    40: "ftr()/",
    51: "-",
    57: "cszJL–",
    60: "kvxy",
    65: "0123456789abdeghnopquäöüéßFPT₀₁₂₃₄₅₆₇₈₉",
    72: "ABEKSRVXYZÄ",
    79: "CDGHNOQUÖÜ",
    85: "+−w",
    100: "%mMW",
    102: "\u2003",
}  # in hundredths of the font's size
BOUND = {glyph: bound for bound, glyphs in BOUNDS.items() for glyph in glyphs}
OTHER = 110
BOLD = 1.13  # times as wide are the glyphs of a number

LABEL, READING = 11, 12  # px
GAP = "\u2003"  # between two items of a line


def width(text: str, size: int, *, bold: bool = False) -> float:
    """Return the largest width of a text in a font of this size, both in pixels.

    Only a number may be bold.
    """
    hundredths = sum(BOUND.get(glyph, OTHER) for glyph in text)
    return hundredths * size / 100 * (BOLD if bold else 1)


def lines(rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Return how many items of a row stand on each line, so that no row is wider than the room.

    All rows have the same items, so that an item stands on the same line in each of them. As few
    lines as possible are filled equally. An item alone may be wider than the room.
    """
    wide = [[width(item, READING) for item in row] for row in rows]
    gap, items = width(GAP, READING), len(rows[0])
    for count in range(1, items + 1):
        each = -(-items // count)
        parts = [slice(at, at + each) for at in range(0, items, each)]
        widest = (
            max(sum(row[part]) + gap * (len(row[part]) - 1) for row in wide) for part in parts
        )
        if all(most <= room for most in widest):
            break
    return [len(rows[0][part]) for part in parts]
