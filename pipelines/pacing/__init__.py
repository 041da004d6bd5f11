"""How fast a publication may go: limits of rate and of consumer lag, and the operator's commands."""
