"""Reconciliation: compares what a window should have put on its topic with what a consumer finds there."""
