"""Symbols for the tests of tags."""

from tests.test_templatetags import listed

__all__ = ["listed"]
