"""Records on their way to the brokers, transaction by transaction."""
