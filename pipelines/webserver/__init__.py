"""Dagster's web server with a guard in front of it, so that somebody else's web page cannot launch runs."""
