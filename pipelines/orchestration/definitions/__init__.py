"""Events as Dagster's assets, checks, schedules and resources."""
