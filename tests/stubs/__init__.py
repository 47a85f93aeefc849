"""Servers that stand in for the real sources, on 127.0.0.1, with made-up figures."""
