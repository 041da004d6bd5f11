"""From tables to modules and contracts: the first draft of an event."""
