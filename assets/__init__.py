"""One module and one contract per event."""
