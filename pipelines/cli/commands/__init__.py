"""One module per command, each with a click command named `command`. Heavy imports stay inside functions."""
