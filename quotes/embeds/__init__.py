"""Quotes in the pages of other sites: what tags accept, and places that can't be live."""
