"""Takes a few real rows of an event through every step except the last,
as a run would; nothing of it is kept."""
