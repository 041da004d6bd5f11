"""What must hold before the first byte is written: looked at as a whole, judged, and told with its figures."""
