"""What a process holds: memory, locks, scratch folders, and what it waits for."""
