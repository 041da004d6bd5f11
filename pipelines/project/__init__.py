"""A team's project: a repository with events of its own, over Sluice as an installed package."""
