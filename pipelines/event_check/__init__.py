"""A few real rows of an event through every step but the last, as a run would take them; nothing of it is kept."""
