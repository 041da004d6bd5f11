"""Records in batches, to the brokers and back: what a client must offer, and the public way to do it."""
