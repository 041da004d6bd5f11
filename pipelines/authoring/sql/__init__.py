"""An event's SQL: parsed with sqlglot, checked, and written for a driver."""
