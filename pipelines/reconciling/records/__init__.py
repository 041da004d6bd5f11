"""One record, or one side of many: what it holds, and where it is."""
