from __future__ import annotations

from quotes.providers.kit.errors import MAX_CHARACTERS, excerpt


def test_an_excerpt_of_a_sources_words_shows_no_key() -> None:
    assert excerpt("key abc of abc is wrong", "abc", "") == "key … of … is wrong"


def test_an_excerpt_of_many_words_is_short() -> None:
    assert excerpt("x" * 1000, "key") == "x" * MAX_CHARACTERS


def test_an_excerpt_cut_within_a_key_shows_no_part_of_it() -> None:
    assert "hus" not in excerpt("x" * (MAX_CHARACTERS - 3) + "hush", "hush")
