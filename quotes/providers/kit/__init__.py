"""The kit: what providers share."""
