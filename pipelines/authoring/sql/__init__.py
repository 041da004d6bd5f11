"""An event's SQL: read with sqlglot, judged, and written for a driver."""
