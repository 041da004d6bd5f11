"""The ledger: what the topics hold for each window, who wrote it, and whether it is still there."""
