"""Selections: some events, by name, owner, tag or state. Pure: a text becomes an expression, and an expression picks events."""
