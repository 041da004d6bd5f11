"""Which rows a generation publishes, and why: decided, compared and planned."""
