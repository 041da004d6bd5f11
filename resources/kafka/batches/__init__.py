"""Records in batches, on their way to the brokers and back: what is asked of a client, and the public way to ask."""
