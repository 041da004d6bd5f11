"""Keeps a publication of old windows from overwriting newer values of the same keys (docs/stale-writes.md)."""
