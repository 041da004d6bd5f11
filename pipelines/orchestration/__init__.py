"""The thin Dagster outside: events become assets, checks and schedules. Nothing of Dagster's is written again."""
