"""Candles: made of the quotes, completed by the providers, kept in the database."""
