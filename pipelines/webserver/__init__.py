"""Dagster's web server with a guard in front of it, so that a web page of somebody else cannot launch runs."""
