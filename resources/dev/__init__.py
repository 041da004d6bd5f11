"""For development alone: servers that Sluice starts itself, the embedded registry and the sample data."""
