"""The kit: what providers share and no single one of them owns."""
