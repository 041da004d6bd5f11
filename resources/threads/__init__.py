"""Work that a thread does ahead of, or behind, whoever needs it."""
