"""What a run does with its windows, and what Dagster records of them."""
