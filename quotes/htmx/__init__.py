"""htmx, which swaps what the server sends: its scripts, and how its version 2 and 4 differ."""
