"""For the tests of a site with quotes: a plugin of pytest with the fixture `live_quotes`.

docs/testing.md shows how to use it.
"""
