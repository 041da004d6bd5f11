"""One record, or one column of many records: its content and its place."""
