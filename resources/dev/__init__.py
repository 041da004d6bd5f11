"""Only for development: servers that Sluice starts itself, the embedded registry and the sample data."""
