"""The history of one event: what the ledger and the journal know of it, in order of time."""
