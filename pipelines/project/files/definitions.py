"""What Dagster loads: the events of this project. Code server, daemon and run workers find the project by this file."""

from pipelines.project.location import definitions

defs = definitions(__file__)
