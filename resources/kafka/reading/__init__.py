"""Records and offsets read back."""
