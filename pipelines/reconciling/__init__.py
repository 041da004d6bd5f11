"""Reconciliation: what a window should have put on its topic against what a consumer finds there."""
