"""Retries of dead letters with the present module."""
