"""Instruments: the lists of providers in the database, in which an operator finds a new symbol."""
