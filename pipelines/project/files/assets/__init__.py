"""The events of this project: one folder for each domain, in it one module and one contract for each event."""
