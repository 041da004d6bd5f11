"""Work that a thread does before its results are needed, or after it was handed on."""
