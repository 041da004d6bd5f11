"""What a run does with its windows, and what Dagster is told of them."""
