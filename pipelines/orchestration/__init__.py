"""The thin Dagster layer outside: events become assets, checks and schedules.
Nothing of Dagster is implemented again."""
