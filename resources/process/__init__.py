"""What a process uses: memory, locks, scratch folders, and what it waits for."""
