"""Candles: made from the quotes, completed from providers, stored in the database."""
