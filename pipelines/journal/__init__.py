"""The journal: decisions and milestones of an event that no other source records."""
