"""Prevents that a publication of old windows overwrites newer values of the same
keys (docs/stale-writes.md)."""
