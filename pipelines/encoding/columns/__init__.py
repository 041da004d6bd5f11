"""Encodes whole columns at once."""
