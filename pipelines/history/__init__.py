"""The history of one event: what the ledger and the journal know about it, in time order."""
