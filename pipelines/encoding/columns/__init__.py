"""Whole columns to bytes at once."""
