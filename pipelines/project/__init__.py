"""A team's project: a repository with its own events, which uses Sluice as an installed package."""
