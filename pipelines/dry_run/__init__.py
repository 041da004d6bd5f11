"""Finds out what publishing or replaying windows would do, without writing anything;
a run can then do exactly that."""
