"""The ledger: what is on the topics for each window, who wrote it, and whether it is still there."""
