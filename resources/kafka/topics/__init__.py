"""Topics as they are on the brokers, the ledger topic among them."""
