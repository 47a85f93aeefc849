"""The kit: modules that providers share."""
