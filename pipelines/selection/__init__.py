"""Selections: some events, by name, owner, tag or state. A text becomes an expression, and an expression
picks events; nothing here does I/O."""
