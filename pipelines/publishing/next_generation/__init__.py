"""Which rows a generation publishes, and why: the decision, the comparison and the plan."""
