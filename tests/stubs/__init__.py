"""Local servers in place of the real sources, with made-up prices."""
