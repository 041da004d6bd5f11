"""The preflight: what must hold before the first byte is written.
Facts are gathered first, then judged, then reported."""
