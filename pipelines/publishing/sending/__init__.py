"""Sends records to the brokers, transaction by transaction."""
