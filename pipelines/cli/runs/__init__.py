"""Runs launched from a terminal: started, watched, divided and reported."""
