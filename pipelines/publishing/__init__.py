"""Exactly-once publishing: the ledger's rules, the decision for a window, and its execution."""
